// Commands that go on until they are interrupted.

import { commandNamed, selects, WANTED } from "./commands.ts";
import { type Command, pause, type World } from "./world.ts";

/** How long a watch has to set what it sees. */
const PATIENCE_MS = 6000;
/** How long it is watched when it has: some looks. */
const THEN_MS = 350;

/** Waits until a watch has set all, or does so no more, and interrupts it. Returns whether it had not ended before. */
export async function interrupted(running: Command, world: World): Promise<boolean> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!running.hasEnded && performance.now() < deadline && !await isAllSet(world)) await pause(50);
  for (let waited = 0; waited < THEN_MS && !running.hasEnded; waited += 50) await pause(50);
  if (running.hasEnded) return false;
  running.kill("SIGINT");
  return true;
}

async function isAllSet(world: World): Promise<boolean> {
  const { pairs } = await world.look();
  return pairs.filter(({ address, dport }) => selects(commandNamed("watch"), address, dport))
    .every(({ client }) => client.user_timeout_ms === WANTED.user_timeout_ms && client.enabled);
}
