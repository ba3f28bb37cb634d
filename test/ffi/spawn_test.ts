// Programs that are started with posix_spawn(3).

import { assertEquals } from "@std/assert";
import { spawnChild, wait } from "../../ffi/spawn.ts";

Deno.test("a child has this process's environment", () => {
  // Of what execve(2) was given: a shell has a PATH even so.
  const command = ["sh", "-c", "grep --quiet --null-data '^PATH=' /proc/$$/environ"];
  const encoder = new TextEncoder();
  assertEquals(wait(spawnChild("/bin/sh", command.map((text) => encoder.encode(text)), [])), 0);
});
