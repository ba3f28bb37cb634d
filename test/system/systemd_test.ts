// scripts/systemd/tcphup-keepalive.service: accepted by systemd, and no tighter than what tcphup does.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { Lines } from "../harness/lines.ts";
import { eventually, run } from "../harness/process.ts";
import { DOOMED_PORT, Scene } from "../harness/scene.ts";
import { hostTest, systemTest } from "../harness/system.ts";
import { BINARY } from "../harness/tcphup.ts";
import { UNIT, unitCommand, unitSetting } from "../harness/unit.ts";

hostTest("systemd accepts the unit", ["systemd-analyze"], async () => {
  const directory = await Deno.makeTempDir({ prefix: "tcphup-test-" });
  try {
    // Neither the program nor its man page is installed here.
    const text = (await Deno.readTextFile(UNIT)).replace("/usr/local/bin/tcphup", "/bin/true").replace(/^Doc.*$/m, "");
    await Deno.writeTextFile(`${directory}/tcphup-keepalive.service`, text);
    const { stdout, stderr } = await run(["systemd-analyze", "verify", `${directory}/tcphup-keepalive.service`]);
    assertEquals(stdout + stderr, "");
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

hostTest("systemd finds the unit little exposed", ["systemd-analyze"], async () => {
  // In tenths, of which 100 is no protection at all.
  const { stdout } = await run(["systemd-analyze", "security", "--offline=true", "--threshold=20", UNIT]);
  assertMatch(stdout, /Overall exposure level/);
});

/** The system calls of a set of systemd's, and of the sets in it. */
async function callsIn(names: readonly string[]): Promise<Set<string>> {
  const calls = new Set<string>();
  for (const name of names) {
    if (!name.startsWith("@")) {
      calls.add(name);
      continue;
    }
    const lines = (await run(["systemd-analyze", "syscall-filter", name])).stdout.split("\n").slice(1);
    const members = lines.map((line) => line.trim()).filter((line) => line !== "" && !line.startsWith("#"));
    for (const call of await callsIn(members)) calls.add(call);
  }
  return calls;
}

async function allowedCalls(): Promise<Set<string>> {
  let allowed = new Set<string>();
  for (const filter of await unitSetting("SystemCallFilter")) {
    if (filter.startsWith("~")) allowed = allowed.difference(await callsIn(filter.slice(1).split(" ")));
    else allowed = allowed.union(await callsIn(filter.split(" ")));
  }
  return allowed;
}

/** A line of what the unit's command says. */
const SET = /keepalive set/;

systemTest(
  "the unit allows every system call that tcphup makes",
  ["systemd-analyze", "strace", "TCPHUP_COMPILED"],
  async (netns) => {
    const { client, doomed, kept } = await Scene.make(netns);
    const trace = await Deno.makeTempFile({ prefix: "tcphup-test-" });
    try {
      const strace = ["strace", "--daemonize", "--follow-forks", "--quiet=all", "--signal=none", "--output", trace];
      const watching = netns.spawn([...strace, BINARY!, ...await unitCommand()]);
      await using lines = new Lines(watching.stdout);
      // Both ends of each.
      for (const line of await lines.next(2 * (doomed.ports.length + kept.ports.length))) assertMatch(line, SET);
      // At a later look.
      await client.connect("127.0.0.2", DOOMED_PORT);
      for (const line of await lines.next(2)) assertMatch(line, SET);
      watching.kill("SIGTERM");
      assertEquals((await watching.status).code, 0);

      const calls = [...(await wholeTrace(trace)).matchAll(/^\d+ +([a-z0-9_]+)\(([A-Z_]*)/gm)];
      const names = new Set(calls.map(([, name]) => name));
      assert(names.has("pidfd_getfd") && names.has("setsockopt"), [...names].join(" "));
      assertEquals([...names.difference(await allowedCalls())], []);
      assertEquals([names.has("bind"), await unitSetting("SocketBindDeny")], [false, ["any"]]);
      const families = calls.filter(([, name]) => name === "socket").map(([, , family]) => family);
      assertEquals([...new Set(families)], await unitSetting("RestrictAddressFamilies"));
    } finally {
      await Deno.remove(trace);
    }
  },
);

/** What strace(1) has written once it knows of the end, which it may a moment after others do. */
async function wholeTrace(path: string): Promise<string> {
  return await eventually("strace has ended", async () => {
    const text = await Deno.readTextFile(path);
    return /exit_group(?:\(0\)| resumed>\)) +=/.test(text) && text;
  });
}
