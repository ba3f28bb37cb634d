// Names that other users choose, wherever they are shown: none drives the terminal, or turns its text around.

import { assert, assertEquals } from "@std/assert";
import { Peer } from "../harness/peer.ts";
import { DOOMED_PORT } from "../harness/scene.ts";
import { systemTest } from "../harness/system.ts";
import { PublicCopy, type Run, TCPHUP, tcphup } from "../harness/tcphup.ts";
import { Terminal } from "../harness/terminal.ts";

/** nobody, and a user who is nobody in particular either. */
const USER = 65534;
const OTHER_USER = 64999;

/** What a name of at most 15 bytes can hold: a title for the terminal, C1, bidirectional marks, bytes that are not UTF-8. */
const NAMES = ["x\x1b]0;PWN\x07\n", "x\u009b2J\u0085\u007f", "x\u202e\u2066\u200f\u061c", "x\u2028\udcff\udcfe"];

/** Programs of another user with such names, connected to a server of theirs; the server's and theirs. */
async function hostilePrograms(netns: Parameters<typeof Peer.start>[0]): Promise<Peer[]> {
  const server = Peer.start(netns);
  await server.listen("127.0.0.2", DOOMED_PORT);
  const clients = NAMES.map(() => Peer.start(netns, { user: OTHER_USER }));
  for (const [i, client] of clients.entries()) {
    await client.setName(NAMES[i]!);
    await client.connect("127.0.0.2", DOOMED_PORT);
  }
  return clients;
}

function assertHarmless({ stdout, stderr }: Pick<Run, "stdout" | "stderr">, what: string): void {
  const raw = /(?!\n)[\p{Cc}\p{Zl}\p{Zp}]|\p{Bidi_Control}/u.exec(stdout + stderr);
  assert(raw === null, `${what}: ${JSON.stringify(raw)}`);
}

systemTest("the names of other users' processes are harmless wherever they are shown", ["setpriv"], async (netns) => {
  await using copy = await PublicCopy.make();
  const clients = await hostilePrograms(netns);
  const commands = [
    ["ls", "127.0.0.2"],
    ["ls", "127.0.0.2", "--summary"],
    ["ls", "127.0.0.2", "-v", "-k"],
    ["ls", "127.0.0.2", "--json"],
    ["ls", "127.0.0.2", "--json-lines"],
    ["ls", "any", "--comm", "x*"],
    ["ls", "any", "--comm", "x*", "--json"],
    ["ls", "any", "--pid", `${clients[0]!.pid}`],
    ["any", "--comm", "x*"],
    ["any", "--comm", "x*", "--json"],
    ["127.0.0.2", "-v", "--dry-run"],
    ["127.0.0.2", "--json", "--dry-run"],
    ["keepalive", "any", "--comm", "x*"],
    ["keepalive", "127.0.0.2", "--dry-run", "--json"],
    ["keepalive", "127.0.0.2", "--dry-run", "--json-lines"],
  ];
  for (const args of commands) {
    for (const user of [undefined, USER]) {
      // Root would do what is only to be shown.
      if (user === undefined && args[0] !== "ls" && !args.includes("--dry-run")) continue;
      const run = await tcphup(args, { netns, user, ...copy });
      assertHarmless(run, `${args.join(" ")}, as ${user ?? "root"}`);
    }
  }
});

systemTest("JSON says what a name really is", [], async (netns) => {
  const clients = await hostilePrograms(netns);
  const run = await tcphup(["ls", "127.0.0.2", "--json"], { netns });
  const names = new Map(run.json().connections.flatMap(({ owners }) => owners.map(({ pid, comm }) => [pid, comm])));
  const decoded = NAMES.map((name) => name.replace(/[\udcfe\udcff]/g, "\ufffd"));
  assertEquals(clients.map(({ pid }) => names.get(pid)), decoded);
});

systemTest("ls --watch shows such names on its screen as they are on paper", [], async (netns) => {
  const client = (await hostilePrograms(netns))[0]!;
  const terminal = new Terminal(netns, [...TCPHUP, "ls", "--watch=100ms", "127.0.0.2"]);
  const output = await terminal.expect(`${client.pid}/x\\x1b]0;PWN\\x07\\x0a`);
  // deno-lint-ignore no-control-regex
  assertHarmless({ stdout: output.replace(/\x1b\[[?0-9]*[A-Za-z]|\r/g, ""), stderr: "" }, "the screen");
  await terminal.type("\x03");
  await terminal.end(0);
});
