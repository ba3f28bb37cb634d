// The output of tcphup: the table, the summary, -q, -v, --json, terminals and pipes.

import { assert, assertEquals, assertMatch } from "@std/assert";
import type { Namespace } from "../harness/namespace.ts";
import { Peer, python } from "../harness/peer.ts";
import { quote } from "../harness/process.ts";
import {
  assertCountsAddUp,
  assertNoStackTrace,
  assertOneLine,
  DOOMED_PORT,
  KEPT_PORT,
  makePool,
  Scene,
} from "../harness/scene.ts";
import { systemTest } from "../harness/system.ts";
import { assertExit, Run, TCPHUP, tcphup } from "../harness/tcphup.ts";
import { Terminal } from "../harness/terminal.ts";

const ESCAPE = "\x1b";

/** Runs tcphup on a terminal, whose output is in `stdout`. */
async function onTerminal(netns: Namespace, args: string[], env?: Record<string, string>): Promise<Run> {
  const command = ["script", "--quiet", "--return", "--command", quote([...TCPHUP, ...args]), "/dev/null"];
  // Whoever runs the tests may have set it.
  return new Run(await netns.run(command, { env: { NO_COLOR: "", ...env } }));
}

systemTest("a table with state, both ends, owner and outcome, and a summary", [], async (netns) => {
  const scene = await Scene.make(netns);
  await scene.client.setName("pool");
  const run = await tcphup(["127.0.0.2", `${DOOMED_PORT}`], { netns, code: 0 });
  for (const port of scene.doomed.ports) {
    const row = run.stdout.split("\n").find((line) => line.includes(`127.0.0.1:${port}`));
    assertMatch(row ?? run.stdout, /ESTAB/);
    assertMatch(row!, new RegExp(`127\\.0\\.0\\.2:${DOOMED_PORT}`));
    assertMatch(row!, new RegExp(`${scene.client.pid}`));
    assertMatch(row!, /pool/);
    assertMatch(row!, /hung[- ]up/);
  }
  assertMatch(run.stdout + run.stderr, /hung up on 3 (of 3 )?connections/);
  assert(!run.stdout.includes(ESCAPE), "no color in a pipe");
});

systemTest("the summary names what failed, and why", [], async (netns) => {
  const { client } = await makePool(netns, { accept: false, source: "127.0.0.9" });
  const held = Peer.start(netns);
  await held.listen("127.0.0.2", 7000);
  await client.connect("127.0.0.2", 7000, { source: "127.0.0.9" });
  await held.serving(1);
  const run = await tcphup(["127.0.0.9"], { netns, code: 1 });
  assertMatch(run.stdout + run.stderr, /hung up on 1 of 2 connections; 1 .*owner/i);
});

systemTest("-q prints nothing but errors", [], async (netns) => {
  const scene = await Scene.make(netns);
  const run = await tcphup(["-q", "127.0.0.2", `${DOOMED_PORT}`], { netns, code: 0 });
  assertEquals({ stdout: run.stdout, stderr: run.stderr }, { stdout: "", stderr: "" });
  await scene.assertHungUp();
});

systemTest("-q takes nothing away from what --json asks for", [], async (netns) => {
  await Scene.make(netns);
  for (const command of ["hup", "ls", "keepalive"]) {
    const run = await tcphup([command, "127.0.0.2", "-q", "--json", ...(command === "ls" ? [] : ["-n"])], {
      netns,
      code: 0,
    });
    assertEquals([run.json().matched, run.stderr], [6, ""]);
  }
  for (const command of [["ls"], ["keepalive", "-n"]]) {
    const run = await tcphup([...command, "127.0.0.2", "-q", "--json-lines"], { netns, code: 0 });
    assertEquals([run.stdout.split("\n").length, run.stderr], [7, ""]);
  }
});

systemTest("-q: what failed is an error", [], async (netns) => {
  await makePool(netns, { accept: false, source: "127.0.0.9" });
  const run = await tcphup(["127.0.0.9", "-q"], { netns, code: 1 });
  assertEquals(run.stdout, "");
  assertOneLine(run, /owner/);
});

systemTest("-v names every owner with its descriptor, and says more on standard error", [], async (netns) => {
  const scene = await Scene.make(netns, { count: 1, descriptor: 77 });
  const run = await tcphup(["-v", "127.0.0.2", `${DOOMED_PORT}`], { netns, code: 0 });
  assertMatch(run.stdout, new RegExp(`${scene.client.pid}.* 77`));
  assertMatch(run.stderr, /\d/);
  assertNoStackTrace(run.stderr);
  await scene.assertHungUp();
});

systemTest("--json is one document with the keys that are promised", [], async (netns) => {
  const scene = await Scene.make(netns, { count: 1 });
  const run = await tcphup(["127.0.0.2", `${DOOMED_PORT}`, "--json"], { netns, code: 0 });
  assertEquals(run.stderr, "");
  const report = run.json();
  const { schema, command, dry_run, matched, hung_up, destroyed, already_gone, skipped, failed } = report;
  assertEquals(
    { schema, command, dry_run, matched, hung_up, destroyed, already_gone, skipped, failed },
    {
      schema: 1,
      command: "hup",
      dry_run: false,
      matched: 1,
      hung_up: 1,
      destroyed: 0,
      already_gone: 0,
      skipped: 0,
      failed: 0,
    },
  );
  assertEquals(typeof report.elapsed_ms, "number");
  assertCountsAddUp(run);

  const { protocol, family, state, src, dst, inode, cookie, uid, netns: space, owners, outcome, error } = report
    .connections[0]!;
  assertEquals(
    { protocol, family, state, src, dst, uid, outcome, error },
    {
      protocol: "tcp",
      family: "inet",
      state: "ESTAB",
      src: { address: "127.0.0.1", port: scene.doomed.ports[0] },
      dst: { address: "127.0.0.2", port: DOOMED_PORT },
      uid: 0,
      outcome: "hung-up",
      error: null,
    },
  );
  assert(inode > 0);
  assertMatch(cookie, /^[0-9a-f]+$/);
  assertEquals(owners.map(({ pid, comm }) => ({ pid, comm })), [{ pid: scene.client.pid, comm: "python3" }]);
  assertEquals(`net:[${space}]`, await Deno.readLink(`/proc/${scene.client.pid}/ns/net`));
});

systemTest("--json in a dry run, for no match, and for ls is a document too", [], async (netns) => {
  await Scene.make(netns);
  for (const args of [["--dry-run", "any"], ["127.0.0.77"], ["ls", "127.0.0.77"], ["ls", "any"]]) {
    const run = await tcphup([...args, "--json"], { netns, code: 0 });
    assertEquals(run.json().schema, 1);
    assertEquals(run.json().matched, run.json().connections.length);
  }
});

systemTest("| head -1 is quiet", [], async (netns) => {
  const scene = await Scene.make(netns, { count: 1000 });
  const command = quote([...TCPHUP, "ls", "any"]);
  const run = new Run(await netns.run(["sh", "-c", `${command} | head -1`]));
  assertExit(run, 0);
  assertEquals(run.stderr, "");
  assertEquals(run.stdout.split("\n").length, 2);
  await scene.assertUntouched();
});

systemTest("closing standard output early does not keep tcphup from finishing its work", [], async (netns) => {
  const scene = await Scene.make(netns, { count: 1000 });
  const command = quote([...TCPHUP, "127.0.0.2", `${DOOMED_PORT}`]);
  const run = new Run(await netns.run(["sh", "-c", `${command} | true`]));
  assertNoStackTrace(run.stderr);
  await scene.assertHungUp();
});

systemTest("a closed standard output, or none, is no crash", [], async (netns) => {
  const scene = await Scene.make(netns);
  for (const args of [["ls", "any"], ["--version"], ["--help"]]) {
    for (const redirection of [">&-", "2>&-", ">/dev/full"]) {
      const command = quote([...TCPHUP, ...args]);
      const run = new Run(await netns.run(["sh", "-c", `${command} ${redirection}`]));
      assertNoStackTrace(run.stderr);
      assert(run.code < 128, `${args} ${redirection}: exit ${run.code}`);
    }
  }
  await scene.assertUntouched();
});

systemTest("what it does, and the exit code, do not depend on standard error", [], async (netns) => {
  const scene = await Scene.make(netns);
  const command = (...args: string[]) => ["sh", "-c", `${quote([...TCPHUP, ...args])} 2>/dev/full`];
  const run = new Run(await netns.run(command("127.0.0.2", `${DOOMED_PORT}`, "--verbose")));
  assertExit(run, 0);
  assertMatch(run.stdout, /^hung up on 3 connections$/m);
  await scene.assertHungUp();
  assertExit(new Run(await netns.run(command("--bogus"))), 2);
});

/** Runs a command with its standard output a pipe that does not block, and that is read late; prints what came, and its end. */
const LATE_READER = `
import os, subprocess, sys, time
out, end = os.pipe()
os.set_blocking(end, False)
program = subprocess.Popen(sys.argv[1:], stdout=end)
os.close(end)
time.sleep(1)
while chunk := os.read(out, 4096):
    os.write(1, chunk)
sys.exit(program.wait())`;

/** Runs a command with its standard error a pipe that is full. */
const NO_READER = `
import os, subprocess, sys
out, end = os.pipe()
os.set_blocking(end, False)
try:
    while True: os.write(end, b"x")
except BlockingIOError:
    pass
os.set_blocking(end, sys.argv[1] == "blocking")
sys.exit(subprocess.run(sys.argv[2:], stderr=end).returncode)`;

systemTest("a slow reader of a pipe that does not block gets all of it", [], async (netns) => {
  const scene = await Scene.make(netns, { count: 300 });
  const command = [...TCPHUP, "127.0.0.2", `${DOOMED_PORT}`, "--json"];
  const run = new Run(await netns.run(python(LATE_READER, ...command)));
  assertExit(run, 0);
  assert(run.stdout.length > 65536, "more than a pipe holds");
  assertEquals(run.json().hung_up, 300);
  await scene.assertHungUp();
});

for (const kind of ["blocking", "non-blocking"]) {
  systemTest(`nobody who reads a ${kind} standard error keeps it from its work`, [], async (netns) => {
    const scene = await Scene.make(netns);
    const command = [...TCPHUP, "127.0.0.2", `${DOOMED_PORT}`, "--verbose"];
    const run = new Run(await netns.run(["timeout", "60", ...python(NO_READER, kind, ...command)]));
    assertExit(run, 0);
    assertMatch(run.stdout, /^hung up on 3 connections$/m);
    await scene.assertHungUp();
  });
}

systemTest("what cannot be written to standard output is a failure, when all is done", [], async (netns) => {
  const scene = await Scene.make(netns);
  const command = quote([...TCPHUP, "127.0.0.2", `${DOOMED_PORT}`]);
  const run = new Run(await netns.run(["sh", "-c", `${command} >/dev/full`]));
  assertExit(run, 1);
  assertOneLine(run, /^tcphup: Cannot write to standard output: .*space/);
  await scene.assertHungUp();
});

systemTest("color on a terminal only, and not with NO_COLOR", ["script"], async (netns) => {
  await Scene.make(netns);
  const colored = await onTerminal(netns, ["127.0.0.2", `${KEPT_PORT}`], { TERM: "xterm" });
  assertExit(colored, 0);
  assert(colored.stdout.includes(ESCAPE), "there is color");
  const plain = await onTerminal(netns, ["127.0.0.2", `${DOOMED_PORT}`], { TERM: "xterm", NO_COLOR: "1" });
  assertExit(plain, 0);
  assert(!plain.stdout.includes(ESCAPE), `there is none: ${JSON.stringify(plain.stdout)}`);
});

systemTest("--color: auto, always, never, and none on a dumb terminal", ["script"], async (netns) => {
  await Scene.make(netns);
  const cases: [string[], Record<string, string>, boolean][] = [
    [[], { TERM: "dumb" }, false],
    [["--color", "always"], { TERM: "dumb", NO_COLOR: "1" }, true],
    [["--color=auto"], { TERM: "xterm" }, true],
    [["--color=auto"], { TERM: "xterm", NO_COLOR: "1" }, false],
    [["--color=never"], { TERM: "xterm" }, false],
  ];
  for (const [args, env, expected] of cases) {
    const run = await onTerminal(netns, ["keepalive", "127.0.0.2", "--idle", "7", "--interval", "7", ...args], env);
    assertEquals(run.stdout.includes(ESCAPE), expected, `${args} ${JSON.stringify(env)}: ${run.stdout}`);
  }
  const piped = await tcphup(["doctor", "--color=always"], { netns });
  assert(piped.stdout.includes(ESCAPE), "a pipe too");
  const wrong = await tcphup(["ls", "any", "--color", "sometimes"], { netns, code: 2 });
  assertOneLine(wrong, /"sometimes".*--color.*auto, always or never/);
});

systemTest("the help fits the terminal that it is read on", [], async (netns) => {
  for (const columns of [60, 80]) {
    const output = await new Terminal(netns, [...TCPHUP, "hup", "--help"], { columns }).end(0);
    const lines = output.split("\r\n");
    assertEquals(lines.filter((line) => line.length > columns), []);
    assert(lines.some((line) => line.length > columns - 10), "it uses what there is");
  }
});

systemTest("where the terminal does not say how wide it is, the help is as on a pipe", [], async (netns) => {
  const output = await new Terminal(netns, [...TCPHUP, "hup", "--help"], { columns: 0, rows: 0 }).end(0);
  assertEquals(output.replaceAll("\r\n", "\n"), (await tcphup(["hup", "--help"], { netns })).stdout);
});

systemTest("a process cannot play tricks on the terminal by its name", ["script"], async (netns) => {
  const scene = await Scene.make(netns);
  await scene.client.setName(`a${ESCAPE}[31mb\nc\x07`);
  const run = await onTerminal(netns, ["ls", "127.0.0.2"], { TERM: "xterm", NO_COLOR: "1" });
  assertExit(run, 0);
  assert(!run.stdout.includes(ESCAPE) && !run.stdout.includes("\x07"), JSON.stringify(run.stdout));
  const ports = scene.doomed.ports.filter((port) =>
    new RegExp(`^.*:${port}\\b.*${scene.client.pid}`, "m").test(run.stdout)
  );
  assertEquals(ports, scene.doomed.ports, "each row is still one line");
});
