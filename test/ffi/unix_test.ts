// Messages and descriptors between two unix sockets.

import { assertEquals } from "@std/assert";
import { receive, send, socketpair } from "../../ffi/unix.ts";

Deno.test("what an end has sent can be read when it is closed, also with unread messages in it", () => {
  for (const unread of [[], ["hello"], ["hello", "hello"]]) {
    const [here, there] = socketpair();
    for (const text of unread) send({ text, descriptors: [] }, here);
    send({ text: "goodbye", descriptors: [] }, there);
    there.close();
    assertEquals(receive(here)?.text, "goodbye");
    assertEquals(receive(here), null);
    here.close();
  }
});
