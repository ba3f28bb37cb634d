// The standard streams, with a backend of the test's own.

import { assert, assertEquals } from "@std/assert";
import { type Backend, writeAll } from "../../ffi/streams.ts";

/** How long whoever reads standard error takes to make room. */
const READER_MS = 300;

Deno.test("a slow reader of standard error is waited for a second in all, however much is written", () => {
  let [waited_ms, writes] = [0, 0];
  const poll = (_fds: Int32Array, _count: bigint, timeout_ms: number) => {
    const ms = Math.min(timeout_ms, READER_MS);
    if (ms > 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
    waited_ms += ms;
    return ms < READER_MS ? 0 : 1;
  };
  const backend = {
    load: () => ({ poll }),
    write: (_stream: number, bytes: Uint8Array) => {
      writes++;
      return bytes.length;
    },
  } as unknown as Backend;
  assertEquals(writeAll(backend, 2, "x".repeat(40_960)), false);
  for (let line = 1; line <= 10; line++) assertEquals(writeAll(backend, 2, "a line\n"), false);
  assertEquals(writes, 3);
  assert(waited_ms <= 1001, `${waited_ms} ms`);
});
