// tcphup ls --watch, on a terminal and in a pipe.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { Lines } from "../harness/lines.ts";
import type { Namespace } from "../harness/namespace.ts";
import { Peer, python } from "../harness/peer.ts";
import { DOOMED_PORT, Scene } from "../harness/scene.ts";
import { systemTest } from "../harness/system.ts";
import { TCPHUP } from "../harness/tcphup.ts";
import { Terminal, type TerminalOptions } from "../harness/terminal.ts";

const ENTER = "\x1b[?1049h";
const LEAVE = "\x1b[?1049l";
const HIDE_CURSOR = "\x1b[?25l";
const SHOW_CURSOR = "\x1b[?25h";
const INTERRUPT = "\x03";

function watch(netns: Namespace, args: readonly string[], options?: TerminalOptions): Terminal {
  return new Terminal(netns, [...TCPHUP, "ls", "--watch=100ms", ...args], options);
}

/** The pictures that a terminal was sent one after the other, in lines. */
function pictures(output: string): string[][] {
  // deno-lint-ignore no-control-regex
  const text = (picture: string) => picture.replace(/\x1b\[[0-9;?]*[A-Za-z]/g, "").trimEnd();
  return output.split("\x1b[H").slice(1).map((picture) => text(picture).split("\r\n"));
}

systemTest("--watch shows what comes and goes, until ^C", [], async (netns) => {
  const server = Peer.start(netns);
  await server.listen("127.0.0.2", DOOMED_PORT);
  const client = Peer.start(netns);
  const terminal = watch(netns, ["127.0.0.2"]);
  const start = await terminal.expect("0 connections at ");
  assert(start.includes(ENTER) && start.includes(HIDE_CURSOR), JSON.stringify(start));
  const pool = await client.connect("127.0.0.2", DOOMED_PORT, { count: 2 });
  const title = pictures(await terminal.expect(`127.0.0.1:${pool.ports[1]}`)).at(-1)![0]!;
  assertMatch(title, /^2 connections at \d\d:\d\d:\d\d, every 100 ms$/);
  await pool.close();
  await terminal.expect("0 connections at ");
  await terminal.type(INTERRUPT);
  const output = await terminal.end(0);
  assert(output.endsWith(SHOW_CURSOR + LEAVE), JSON.stringify(output.slice(-100)));
});

systemTest("--watch leaves the terminal as it was when it is told to end", [], async (netns) => {
  const terminal = watch(netns, ["any"]);
  await terminal.expect("0 connections");
  await terminal.kill("SIGTERM");
  const output = await terminal.end(0);
  assert(output.endsWith(SHOW_CURSOR + LEAVE), JSON.stringify(output.slice(-100)));
});

systemTest("--watch fits the terminal, also when that changes", [], async (netns) => {
  await Scene.make(netns, { count: 20 });
  const terminal = watch(netns, ["127.0.0.2", "-k"], { columns: 40, rows: 10 });
  await terminal.expect("connections at ");
  const small = pictures(await terminal.expect("and 35 more")).at(-1)!;
  assertEquals(small.length, 10);
  for (const line of small) assert(line.length <= 40, line);
  assert(small.some((line) => line.endsWith("…")), "some lines are cut");
  await terminal.resize(200, 60);
  await terminal.expect("never; with data");
  const title = "40 connections at ";
  await terminal.expect(title);
  // When a picture begins, the one before it is whole.
  const large = pictures(await terminal.expect(title)).at(-2)!;
  assert(large[0]!.startsWith(title), large[0]);
  assertEquals(large.filter((line) => line.includes("127.0.0.2:")).length, 40);
  assert(!large.some((line) => line.includes(" more")), "all are shown");
  await terminal.type(INTERRUPT);
  await terminal.end(0);
});

systemTest("--watch keeps who and where on a narrow terminal", [], async (netns) => {
  const scene = await Scene.make(netns, { count: 2 });
  const process = `${scene.client.pid}/python3`;
  const narrow = watch(netns, ["127.0.0.2", `${DOOMED_PORT}`], { columns: 40, rows: 10 });
  await narrow.expect("2 connections at ");
  await narrow.expect(process);
  await narrow.expect("2 connections at ");
  const lines = pictures((await narrow.expect(process)) + "\x1b[H").at(-3)!;
  for (const line of lines) assert(line.length <= 40 && !line.endsWith("…"), line);
  assertEquals(lines.filter((line) => line.includes(`127.0.0.2:${DOOMED_PORT}`) && line.includes(process)).length, 2);
  await narrow.resize(120, 10);
  await narrow.expect("Recv-Q");
  await narrow.type(INTERRUPT);
  await narrow.end(0);
});

systemTest("--watch draws nothing on a terminal that cannot be cleared", [], async (netns) => {
  const output = await watch(netns, ["any"], { env: { TERM: "dumb" } }).end(2);
  assertMatch(output, /^tcphup: Option --watch .*TERM is "dumb": add --json-lines\r\n$/);
});

systemTest("--watch --summary keeps groups in view", [], async (netns) => {
  const scene = await Scene.make(netns, { count: 2 });
  const terminal = watch(netns, ["127.0.0.2", "--summary"]);
  await terminal.expect(`127.0.0.2:${DOOMED_PORT}`);
  await scene.doomed.close();
  await terminal.expect("2 connections at ");
  const screen = pictures(await terminal.expect("2 connections: 2 ESTAB")).at(-1)!;
  assertEquals(screen.filter((line) => /^\d+ +127\.0\.0\.2:/.test(line)).length, 1);
  await terminal.type(INTERRUPT);
  await terminal.end(0);
});

systemTest("--watch ends when its terminal goes away", [], async (netns) => {
  const terminal = watch(netns, ["any"]);
  await terminal.expect("0 connections");
  // The kernel sends SIGHUP, which ends it, or it finds that nobody reads.
  assert([0, -1].includes(await terminal.hangUp()));
});

systemTest("--watch ends when its terminal goes away, also one that sends it no signal", [], async (netns) => {
  const script = `
import os, pty, subprocess, sys
terminal, end = pty.openpty()
program = subprocess.Popen(sys.argv[1:], stdin=end, stdout=end, start_new_session=True)
os.close(end)
os.read(terminal, 1)
os.close(terminal)
sys.exit(program.wait())`;
  const { code, stderr } = await netns.run(python(script, ...TCPHUP, "ls", "any", "--watch=100ms"), {
    env: { TERM: "xterm" },
  });
  assertEquals([code, stderr], [0, ""]);
});

systemTest("--watch --json-lines writes to a pipe, each line with its time", [], async (netns) => {
  const scene = await Scene.make(netns, { count: 1 });
  const child = netns.spawn([...TCPHUP, "ls", "--watch=100ms", "--json-lines", "127.0.0.2", `${DOOMED_PORT}`]);
  const lines = new Lines(child.stdout);
  const [first, second] = (await lines.next(2)).map((line) => JSON.parse(line));
  assertEquals([first.src.port, second.src.port], [scene.doomed.ports[0], scene.doomed.ports[0]]);
  assert(Date.parse(first.time) < Date.parse(second.time), `${first.time} is before ${second.time}`);
  assertEquals(Object.keys(first)[0], "time");
  child.kill("SIGINT");
  await lines.rest();
  assertEquals((await child.status).code, 0);
});

systemTest("--watch --json-lines ends when nobody reads it", [], async (netns) => {
  await Scene.make(netns, { count: 1 });
  const command = [...TCPHUP, "ls", "--watch=100ms", "--json-lines", "127.0.0.2"];
  const script = `"$@" | head -n 3 | wc -l; echo "\${PIPESTATUS[0]}"`;
  const { stdout, stderr } = await netns.run(["bash", "-c", script, "bash", ...command]);
  assertEquals({ stdout, stderr }, { stdout: "3\n0\n", stderr: "" });
});
