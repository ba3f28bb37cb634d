// A share of the work, as both sides see it.

import { assert, assertEquals } from "@std/assert";
import { Share, shareSize } from "../../src/crew/share.ts";

Deno.test("a share says who holds what, what was done, and when to stop", () => {
  const bytes = new Uint8Array(shareSize(2));
  const [ours, theirs] = [new Share(bytes), new Share(bytes)];
  const held = (pid: number, fd: number, cookie: string) => ({ owners: [{ pid, fd, comm: "" }], cookie });
  ours.assign([held(7, 0, "c0ffee"), held(4194303, 9, "123456789abcdef0")], 5000);
  assertEquals([theirs.count, theirs.linger_ms], [2, 5000]);
  assertEquals([theirs.pid(0), theirs.fd(0), theirs.cookie(0)], [7, 0, [0xc0ffee, 0]]);
  assertEquals([theirs.pid(1), theirs.fd(1), theirs.cookie(1)], [4194303, 9, [0x9abcdef0, 0x12345678]]);

  theirs.setDone(1);
  assertEquals([ours.isDone(0), ours.isDone(1)], [false, true]);
  assert(!theirs.isStopped);
  ours.stop();
  assert(theirs.isStopped);
  assertEquals([theirs.count, theirs.linger_ms], [2, 5000], "and says nothing else");
});
