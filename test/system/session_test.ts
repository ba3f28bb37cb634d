// The operator's own session, which is not to be cut off by accident.

import { assertEquals, assertMatch } from "@std/assert";
import type { Namespace } from "../harness/namespace.ts";
import { Peer } from "../harness/peer.ts";
import { eventually, quote } from "../harness/process.ts";
import { assertCountsAddUp, DOOMED_PORT, Scene } from "../harness/scene.ts";
import { systemTest } from "../harness/system.ts";
import { assertExit, Run, TCPHUP, tcphup } from "../harness/tcphup.ts";

const SERVED = ["any", "--sport", `${DOOMED_PORT}`, "--json"];
const POOL = ["127.0.0.2", `${DOOMED_PORT}`, "--json"];

/** Runs tcphup as a descendant, by way of a shell, of an application that has connections. */
async function runBelow(application: Peer, ...args: string[]): Promise<Run> {
  const shell = ["sh", "-c", '"$@"; exit $?', "sh"];
  return new Run(await application.run([...shell, ...TCPHUP, ...args]));
}

/** The same on a terminal that the application gives it. */
async function runOnTerminalOf(application: Peer, ...args: string[]): Promise<Run> {
  const command = `${quote([...TCPHUP, ...args])}; exit $?`;
  return new Run(await application.run(["script", "--quiet", "--return", "--command", command, "/dev/null"]));
}

function assertSpared(run: Run, why: RegExp): void {
  assertExit(run, 3);
  assertEquals(run.outcomes(), ["skipped", "skipped", "skipped"]);
  for (const { error } of run.json().connections) {
    assertMatch(error!, why);
    assertMatch(error!, /; --include-session takes it too$/);
  }
}

function assertCut(run: Run, outcome = "hung-up"): void {
  assertExit(run, 0);
  assertEquals(run.outcomes(), [outcome, outcome, outcome]);
}

/** The scene, with as many connections accepted as were opened. */
async function makeScene(netns: Namespace): Promise<Scene> {
  const scene = await Scene.make(netns);
  await scene.server.serving(6);
  return scene;
}

systemTest("a connection that an ancestor of tcphup has accepted is skipped: exit 3", [], async (netns) => {
  const scene = await makeScene(netns);
  for (const how of [[], ["--destroy"], ["--pid", `${scene.server.pid}`]]) {
    const run = await runBelow(scene.server, ...SERVED, ...how);
    assertSpared(run, new RegExp(`^accepted by an ancestor of this process: pid ${scene.server.pid} `));
    assertEquals(run.json().skipped, 3);
    assertCountsAddUp(run);
  }
  await scene.assertUntouched();
});

systemTest("--include-session takes it too", [], async (netns) => {
  const scene = await makeScene(netns);
  assertCut(await runBelow(scene.server, ...SERVED, "--include-session"));
  await scene.assertHungUp();
});

systemTest("the rest is hung up on, and what was skipped is reported", [], async (netns) => {
  const scene = await makeScene(netns);
  const other = Peer.start(netns);
  await other.listen("127.0.0.2", 7000);
  const pool = await Peer.start(netns).connect("127.0.0.2", 7000, { count: 2 });
  await other.serving(2);
  const run = await runBelow(scene.server, "any", "--sport", "7000-8000", "--json");
  assertExit(run, 0);
  assertEquals({ hung_up: run.json().hung_up, skipped: run.json().skipped }, { hung_up: 2, skipped: 3 });
  await pool.assertEnded("EOF");
  await scene.assertUntouched();
});

systemTest("what an ancestor has opened itself is hung up on: an application may call tcphup", [], async (netns) => {
  const scene = await makeScene(netns);
  assertCut(await runBelow(scene.client, ...POOL));
  await scene.assertHungUp();
});

systemTest("whatever an ancestor holds that serves the terminal is spared", ["script"], async (netns) => {
  const scene = await makeScene(netns);
  const run = await runOnTerminalOf(scene.client, ...POOL);
  assertSpared(run, new RegExp(`^held by an ancestor of this process: pid ${scene.client.pid} `));
  await scene.assertUntouched();
});

systemTest("whatever sshd holds is spared, listener or none", [], async (netns) => {
  const scene = await makeScene(netns);
  await scene.client.setName("sshd-session");
  assertSpared(await runBelow(scene.client, ...POOL), /^held by an ancestor .* \(sshd-session\)/);
  await scene.assertUntouched();
});

systemTest("what systemd keeps for services is nobody's session", ["script"], async (netns) => {
  const scene = await makeScene(netns);
  await scene.server.setName("systemd");
  assertCut(await runOnTerminalOf(scene.server, ...SERVED));
  await scene.assertHungUp();
});

const AS_INIT = { within: ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"] };

systemTest("the first process serves no terminal: it is everybody's ancestor", ["script", "unshare"], async (netns) => {
  const server = Peer.start(netns);
  await server.listen("127.0.0.2", DOOMED_PORT);
  const init = Peer.start(netns, AS_INIT);
  const connections = await init.connect("127.0.0.2", DOOMED_PORT, { count: 3 });
  assertCut(await runOnTerminalOf(init, ...POOL));
  await connections.assertEnded("EOF");
});

systemTest(
  "what the first process of a container has accepted is spared: sshd may be it",
  ["unshare"],
  async (netns) => {
    const init = Peer.start(netns, AS_INIT);
    await init.listen("127.0.0.2", DOOMED_PORT);
    const connections = await Peer.start(netns).connect("127.0.0.2", DOOMED_PORT, { count: 3 });
    await init.serving(3);
    assertSpared(await runBelow(init, ...SERVED), /^accepted by an ancestor of this process: pid 1 /);
    await connections.assertAlive();
  },
);

systemTest("the connection that SSH_CONNECTION names is spared, whoever holds it", [], async (netns) => {
  const scene = await makeScene(netns);
  const [mine = 0, ...others] = scene.doomed.ports;
  // This host is the ssh server: its end of the connection is the one that tcphup sees as local.
  const env = { SSH_CONNECTION: `127.0.0.2 ${DOOMED_PORT} 127.0.0.1 ${mine}` };
  const run = await tcphup(POOL, { netns, env });
  const outcomeOf = new Map(run.json().connections.map(({ src, outcome }) => [src.port, outcome]));
  assertEquals(outcomeOf.get(mine), "skipped");
  assertEquals(others.map((port) => outcomeOf.get(port)), ["hung-up", "hung-up"]);
});

systemTest(
  "sudo takes SSH_CONNECTION away from tcphup, but not from the shell that it was typed into",
  [],
  async (netns) => {
    const scene = await Scene.make(netns, { count: 1 });
    const shell = `SSH_CONNECTION='127.0.0.2 ${DOOMED_PORT} 127.0.0.1 ${
      scene.doomed.ports[0]
    }' sh -c '"$@"; exit $?' sh "$@"`;
    const without = ["env", "--unset=SSH_CONNECTION"];
    const run = new Run(await netns.run(["sh", "-c", shell, "sh", ...without, ...TCPHUP, ...POOL]));
    assertExit(run, 3);
    assertMatch(run.json().connections[0]!.error!, /SSH_CONNECTION/);
  },
);

/** A session of tmux, begun by nobody who is there now, in which tcphup runs when Enter is typed. It ends with tcphup. */
class Tmux implements AsyncDisposable {
  readonly #netns: Namespace;
  readonly #directory: string;

  private constructor(netns: Namespace, directory: string) {
    this.#netns = netns;
    this.#directory = directory;
  }

  static async start(netns: Namespace, ...args: string[]): Promise<Tmux> {
    const tmux = new Tmux(netns, await Deno.makeTempDir({ prefix: "tcphup-test-" }));
    const shell = 'read -r _; "$@" >stdout 2>stderr; echo $? >code.new; mv code.new code';
    const session = ["new-session", "-d", "-c", tmux.#directory, "sh", "-c", shell, "sh", ...TCPHUP, ...args];
    await netns.exec(...tmux.command(...session));
    return tmux;
  }

  command(...args: string[]): string[] {
    return ["env", "--unset=TMUX", "TERM=xterm", "tmux", "-S", `${this.#directory}/socket`, "-f", "/dev/null", ...args];
  }

  /** What tcphup has done, once it has. */
  async result(): Promise<Run> {
    const read = async (name: string) => await Deno.readTextFile(`${this.#directory}/${name}`);
    const code = await eventually("tcphup ends in tmux", () => read("code").catch(() => false as const));
    return new Run({ code: Number(code), stdout: await read("stdout"), stderr: await read("stderr") });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#netns.run(this.command("kill-server"));
    await Deno.remove(this.#directory, { recursive: true });
  }
}

systemTest("in tmux, the connection over which it was attached again is spared", ["script", "tmux"], async (netns) => {
  const scene = await makeScene(netns);
  await using tmux = await Tmux.start(netns, ...SERVED);
  const attach = tmux.command("attach", "';'", "send-keys", "Enter").join(" ");
  await scene.server.run(["script", "--quiet", "--command", attach, "/dev/null"]);
  assertSpared(await tmux.result(), /^(held|accepted) by an ancestor of pid \d+, attached to tmux: server: pid \d+ /);
  await scene.assertUntouched();
});

systemTest("in tmux, with nobody attached, none is", ["tmux"], async (netns) => {
  const scene = await makeScene(netns);
  await using tmux = await Tmux.start(netns, ...SERVED);
  await netns.exec(...tmux.command("send-keys", "Enter"));
  assertCut(await tmux.result());
  await scene.assertHungUp();
});
