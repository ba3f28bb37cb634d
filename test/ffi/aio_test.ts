// Several transfers at once, done by the host's libc.

import { assert, assertEquals } from "@std/assert";
import { canTransferAtOnce, transferAtOnce } from "../../ffi/aio.ts";
import { open, type SyscallError } from "../../ffi/libc.ts";
import { allocate } from "../../ffi/memory.ts";

Deno.test("each gets what it reads, however many there are", () => {
  assert(canTransferAtOnce());
  const path = new URL(import.meta.url).pathname;
  const bytes = Deno.readFileSync(path);
  const files = Array.from({ length: 100 }, () => open(null, path));
  const memories = files.map((_, i) => allocate(i + 1));
  try {
    const results = transferAtOnce(files.map((file, i) => ({ kind: "read", file, memory: memories[i] })));
    assertEquals(results, memories.map(({ length }) => length));
    for (const memory of memories) assertEquals(memory, bytes.slice(0, memory.length));
  } finally {
    for (const file of files) file.close();
  }
});

Deno.test("one that fails says why, and the others go on", () => {
  const closed = open(null, "/dev/null");
  closed.close();
  const [empty, zero] = [open(null, "/dev/null"), open(null, "/dev/zero")];
  try {
    const [bad, end, readOnly, zeros] = transferAtOnce([
      { kind: "read", file: closed, memory: allocate(8) },
      { kind: "read", file: empty, memory: allocate(8) },
      { kind: "write", file: zero, memory: allocate(8) },
      { kind: "read", file: zero, memory: allocate(8) },
    ]);
    for (const failed of [bad, readOnly]) assertEquals((failed as SyscallError).code, "EBADF");
    assertEquals([end, zeros], [0, 8]);
  } finally {
    empty.close();
    zero.close();
  }
});

Deno.test("nothing to transfer is no error", () => {
  assertEquals(transferAtOnce([]), []);
});
