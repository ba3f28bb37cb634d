// A short form of each part of `deno task torture`, and what it says of a program that is bad.

import { assertEquals, assertMatch } from "@std/assert";
import { type Output, PATIENCE_MS, run } from "../harness/process.ts";
import { hostTest } from "../harness/system.ts";
import { BINARY } from "../harness/tcphup.ts";

const SCRIPT = new URL("../../scripts/torture.ts", import.meta.url).pathname;

/** Tortures a program. */
async function torture(program: string, ...args: string[]): Promise<Output> {
  const command = [Deno.execPath(), "run", "-A", SCRIPT, ...args];
  // A case that fails is tried again, and takes as long as the machine is busy.
  return await run(command, { env: { TCPHUP: program }, mayFail: true, patience_ms: 5 * PATIENCE_MS });
}

const NEEDS = ["root", "iproute2", "python3", "strace", "unshare", "permission to make namespaces"] as const;

/** Fails unless some of a part's cases were tried, and none failed. */
async function assertStands(part: string, ...args: string[]): Promise<void> {
  const { code, stdout, stderr } = await torture(BINARY!, "--part", part, ...args);
  assertEquals(code, 0, stdout + stderr);
  assertMatch(stdout, new RegExp(`^${part}: [1-9]\\d* tried, 0 failed, `, "m"));
}

for (const part of ["inject", "mutate"]) {
  hostTest(`torture: some of ${part}`, [...NEEDS, "TCPHUP_COMPILED"], async () => {
    await assertStands(part, "--seconds", "10", "--seed", "1");
  });
}

const CASES = {
  race: ["reopen:1", "dissolve:1", "pid:1"],
  kill: ["SIGKILL:paced:0.8", "SIGINT:paced:0.8", "SIGKILL:supervisor:0.5"],
};

for (const [part, cases] of Object.entries(CASES)) {
  hostTest(`torture: some of ${part}`, [...NEEDS, "TCPHUP_COMPILED"], async () => {
    for (const name of cases) await assertStands(part, "--only", name);
  });
}

hostTest("torture: a program that says nothing fails, in a line that says how to try it again", NEEDS, async () => {
  const { code, stdout } = await torture("/bin/true", "--part", "kill", "--only", "SIGTERM:hup:0.9", "--seed", "7");
  assertEquals(code, 1, stdout);
  assertMatch(stdout, /^failed: .*\(deno task torture --part kill --only 'SIGTERM:hup:0.9' --seed 7\)$/m);
  assertMatch(stdout, /^kill: 1 tried, 1 failed, /m);
});

Deno.test("torture: what is mistyped is refused", async () => {
  for (const args of [["--part", "bend"], ["--seconds", "0"], ["--only", "a"], ["--fast"]]) {
    const { code, stdout, stderr } = await torture("/bin/true", ...args);
    assertEquals([code, stdout], [2, ""]);
    assertMatch(stderr, /^[^\n]+\n$/);
  }
});
