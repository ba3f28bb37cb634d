// ffi/node.ts stands in for ffi/deno.ts.

import { assert, assertEquals } from "@std/assert";
import * as deno from "../../ffi/deno.ts";
import * as node from "../../ffi/node.ts";
import { RUN_FLAGS } from "../../scripts/tools.ts";
import { PATIENCE_MS } from "../harness/process.ts";

Deno.test("what Deno's backend exports Node's exports too, of the same types", () => {
  // The compiler compares the types.
  const backend: typeof deno = node;
  for (const name of Object.keys(deno)) assert(name in backend, name);
  for (const name of Object.keys(deno.host)) assert(name in backend.host, name);
});

Deno.test("the backends describe the same machine and process", () => {
  assertEquals(node.host.arch, deno.host.arch);
  assertEquals(node.host.noColor, deno.host.noColor);
  for (const stream of [0, 1, 2] as const) assertEquals(node.host.isTerminal(stream), deno.host.isTerminal(stream));
});

Deno.test("a turn of the event loop lets a signal through, soon", async () => {
  let signals = 0;
  const restore = deno.host.onSignal("SIGWINCH", () => signals++);
  const turns: number[] = [];
  try {
    for (let sent = 1; sent <= 21; sent++) {
      Deno.kill(Deno.pid, "SIGWINCH");
      const deadline = Date.now() + PATIENCE_MS;
      let count = 0;
      for (; signals < sent; count++) {
        assert(Date.now() < deadline, `signal ${sent} has not come`);
        await deno.host.yieldToEvents();
      }
      turns.push(count);
    }
  } finally {
    restore();
  }
  // Now and then another thread of the runtime has to wait for a processor.
  const median = turns.sort((a, b) => a - b)[10]!;
  assert(median < 100, `${median} turns`);
});

Deno.test("what tcphup starts of itself has the flags of V8 that it was started with", () => {
  const isForV8 = (flag: string) => flag.startsWith("--v8-flags=");
  assertEquals(deno.host.selfCommand.filter(isForV8), RUN_FLAGS.filter(isForV8));
});
