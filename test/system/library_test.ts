// mod.ts: the same as the command line, for other programs.

import { assertEquals } from "@std/assert";
import type { Namespace } from "../harness/namespace.ts";
import { DOOMED_PORT, Scene } from "../harness/scene.ts";
import { systemTest } from "../harness/system.ts";

const MODULE = new URL("../../mod.ts", import.meta.url).href;

/** Runs a program that has the library as `tcphup`, and whose last expression, in JSON, is the result. */
async function evaluate(netns: Namespace, expression: string): Promise<unknown> {
  const program = `import * as tcphup from "${MODULE}"; console.log(JSON.stringify(${expression}));`;
  return JSON.parse(await netns.exec(Deno.execPath(), "eval", program));
}

systemTest("list and hangUp", [], async (netns) => {
  const scene = await Scene.make(netns);
  const selection = `{ dst: "127.0.0.2", dport: ${DOOMED_PORT} }`;
  const ports = await evaluate(netns, `tcphup.list(${selection}).connections.map(({ src }) => src.port)`);
  assertEquals((ports as number[]).sort(), scene.doomed.ports.sort());

  const dry = await evaluate(netns, `(await tcphup.hangUp(${selection}, { dry_run: true })).hung_up`);
  assertEquals(dry, 0);
  await scene.assertUntouched();

  assertEquals(await evaluate(netns, `(await tcphup.hangUp(${selection})).hung_up`), 3);
  await scene.assertHungUp();
});

systemTest("what is wrong is thrown as an error of its own, and nothing is touched", [], async (netns) => {
  const scene = await Scene.make(netns);
  for (const selection of ["{}", `{ dst: "127.0.0.256" }`, `{ dst: "127.0.0.2", dport: 65536 }`]) {
    const name = await evaluate(netns, `await tcphup.hangUp(${selection}).catch(({ name }) => name)`);
    assertEquals(name, "UsageError", selection);
  }
  await scene.assertUntouched();
});
