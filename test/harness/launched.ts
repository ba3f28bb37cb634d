// Programs under `tcphup run --no-bpf`, and the supervisor beside them.

import type { Namespace } from "./namespace.ts";
import { commandLine, eventually } from "./process.ts";
import { TCPHUP } from "./tcphup.ts";

/** The command that launches `command` with a supervisor. */
export function launching(
  command: readonly string[],
  flags: readonly string[] = [],
  tcphup: readonly string[] = TCPHUP,
): string[] {
  return [...tcphup, "run", "--no-bpf", ...flags, "--", ...command];
}

/** The processes beside a command. */
export interface Beside {
  /** The shell. */
  keeper: number;
  supervisor: number;
}

/** Those of the one command that runs in the namespace; null as long as, or once, there are none. */
export async function beside(netns: Namespace): Promise<Beside | null> {
  const pids = (await netns.pids()).filter((pid) => commandLine(pid).includes("supervise"));
  const keeper = pids.find((pid) => commandLine(pid)[0] === "sh");
  const supervisor = pids.find((pid) => commandLine(pid)[0] !== "sh" && !isWatcher(pid));
  return keeper === undefined || supervisor === undefined ? null : { keeper, supervisor };
}

function isWatcher(pid: number): boolean {
  const words = commandLine(pid);
  return words[words.indexOf("supervise") + 1] === "watch";
}

/** The process that watches the supervisor of the one command that runs in the namespace; undefined before its first call. */
export async function watcher(netns: Namespace): Promise<number | undefined> {
  return (await netns.pids()).find(isWatcher);
}

/** Waits until there is a supervisor, another one than `before`. */
export async function supervised(netns: Namespace, before?: Beside): Promise<Beside> {
  return await eventually("a supervisor", async () => {
    const found = await beside(netns);
    return found !== null && found.supervisor !== before?.supervisor && found;
  });
}

/** Waits until nothing of tcphup's is left. */
export async function unsupervised(netns: Namespace): Promise<void> {
  await eventually("the end of the supervisor", async () => {
    return !(await netns.pids()).some((pid) => commandLine(pid).includes("supervise"));
  });
}
