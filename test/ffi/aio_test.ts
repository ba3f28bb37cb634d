// Several transfers at once, done by the host's libc.

import { assert, assertEquals } from "@std/assert";
import { canTransfer, type Transfer, Transfers } from "../../ffi/aio.ts";
import { open } from "../../ffi/fs.ts";
import { allocate } from "../../ffi/memory.ts";

/** Does all of them, and waits. */
function transfer(transfers: readonly Transfer[]): (number | null)[] {
  assert(canTransfer());
  const started = new Transfers(transfers);
  started.wait();
  return transfers.map((_, i) => started.bytes(i));
}

Deno.test("each gets what it reads, however many there are", () => {
  const path = new URL(import.meta.url).pathname;
  const bytes = Deno.readFileSync(path);
  const files = Array.from({ length: 100 }, () => open(path));
  const memories = files.map((_, i) => allocate(i + 1));
  try {
    const results = transfer(files.map((file, i) => ({ kind: "read", file, memory: memories[i]! })));
    assertEquals(results, memories.map(({ length }) => length));
    for (const memory of memories) assertEquals(memory, bytes.slice(0, memory.length));
  } finally {
    for (const file of files) file.close();
  }
});

Deno.test("one that fails does not keep the others", () => {
  const closed = open("/dev/null");
  closed.close();
  const [empty, zero] = [open("/dev/null"), open("/dev/zero")];
  try {
    const [bad, end, readOnly, zeros] = transfer([
      { kind: "read", file: closed, memory: allocate(8) },
      { kind: "read", file: empty, memory: allocate(8) },
      { kind: "write", file: zero, memory: allocate(8) },
      { kind: "read", file: zero, memory: allocate(8) },
    ]);
    assertEquals([bad, end, readOnly, zeros], [null, 0, null, 8]);
  } finally {
    empty.close();
    zero.close();
  }
});

Deno.test("those of one file are done in order, each before the next begins", async () => {
  const directory = Deno.makeTempDirSync();
  // A FIFO has no position that a transfer could be given: what was written first is read first.
  const fifo = `${directory}/fifo`;
  assert((await new Deno.Command("mkfifo", { args: [fifo] }).spawn().status).success);
  const O_RDWR = 2;
  const file = open(fifo, O_RDWR);
  try {
    const memories = ["one", "two", "three"].map((text) => {
      const memory = allocate(text.length);
      memory.set(new TextEncoder().encode(text));
      return memory;
    });
    const [first, second] = [allocate(4), allocate(7)];
    const results = transfer([
      ...memories.map((memory) => ({ kind: "write" as const, file, memory })),
      ...[first, second].map((memory) => ({ kind: "read" as const, file, memory })),
    ]);
    assertEquals(results, [3, 3, 5, 4, 7]);
    assertEquals(new TextDecoder().decode(first) + new TextDecoder().decode(second), "onetwothree");
  } finally {
    file.close();
    Deno.removeSync(directory, { recursive: true });
  }
});

Deno.test("nothing to transfer is no error", () => {
  assertEquals(transfer([]), []);
});
