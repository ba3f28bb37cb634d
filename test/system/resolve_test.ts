// Whoever holds a connection, and however: tcphup finds it, and hits nothing else while holders come and go.

import { assert, assertEquals, assertMatch } from "@std/assert";
import type { Health } from "../../src/doctor/check_host.ts";
import { withHolder } from "../resolve/holder.ts";
import { Namespace } from "../harness/namespace.ts";
import { Peer, Program } from "../harness/peer.ts";
import { DOOMED_PORT, KEPT_PORT, makePool, Scene } from "../harness/scene.ts";
import { systemTest } from "../harness/system.ts";
import { PublicCopy, tcphup } from "../harness/tcphup.ts";

systemTest("owners: process, descriptor and name of each connection", [], async (netns) => {
  const scene = await Scene.make(netns, { count: 2 });
  await scene.client.setName("pool worker");
  const run = await tcphup(["ls", "127.0.0.2", `${DOOMED_PORT}`, "--json"], { netns, code: 0 });
  const { connections } = run.json();
  assertEquals(connections.length, 2);
  for (const { inode, owners } of connections) {
    assertEquals(owners.map(({ pid, comm }) => ({ pid, comm })), [{ pid: scene.client.pid, comm: "pool worker" }]);
    const link = await Deno.readLink(`/proc/${scene.client.pid}/fd/${owners[0]!.fd}`);
    assertEquals(link, `socket:[${inode}]`);
  }
});

systemTest("a socket on descriptor 0", [], async (netns) => {
  const scene = await Scene.make(netns, { count: 1, descriptor: 0 });
  const run = await tcphup(["127.0.0.2", `${DOOMED_PORT}`, "--json"], { netns, code: 0 });
  assertEquals(run.json().connections[0]!.owners.map(({ fd }) => fd), [0]);
  await scene.assertHungUp();
});

systemTest("sockets that two processes share after a fork", [], async (netns) => {
  const scene = await Scene.make(netns);
  const child = await scene.client.fork();
  const list = await tcphup(["ls", "127.0.0.2", `${DOOMED_PORT}`, "--json"], { netns });
  const holders = list.json().connections.map(({ owners }) => owners.map(({ pid }) => pid).sort());
  assertEquals(holders, Array(3).fill([scene.client.pid, child].sort()));
  const run = await tcphup(["127.0.0.2", `${DOOMED_PORT}`, "--json"], { netns, code: 0 });
  assertEquals(run.outcomes(), ["hung-up", "hung-up", "hung-up"]);
  await scene.assertHungUp();
});

systemTest(
  "where many descriptors are open the kernel itself finds holders, the same as /proc has",
  [],
  async (netns) => {
    const scene = await Scene.make(netns);
    await scene.client.fork();
    await scene.client.connectInThread("127.0.0.2", DOOMED_PORT);
    await withHolder(["many", 8000], async () => {
      const found = async (...flags: string[]) => {
        const args = ["-n", "127.0.0.2", `${DOOMED_PORT}`, ...flags];
        const run = await tcphup([...args, "--json"], { netns, code: 0 });
        const owners = run.json().connections.map(({ cookie, owners }) => ({ cookie, owners }));
        const { stderr } = await tcphup([...args, "--verbose"], { netns });
        return { owners, stderr };
      };
      const [usual, without] = [await found(), await found("--no-bpf")];
      assertEquals(usual.owners, without.owners);
      assertMatch(without.stderr, /holders found in \/proc: --no-bpf/);
      const { findings } = (await tcphup(["doctor", "--json"], { netns })).json<Health>();
      const works = findings.find(({ name }) => name === "BPF: find who holds a socket")?.status === "ok";
      assertMatch(usual.stderr, works ? /holders found with BPF/ : /holders found in \/proc: /);
    });
  },
);

systemTest("a holder that may not be looked into: the other holder will do", ["setpriv"], async (netns) => {
  await using copy = await PublicCopy.make();
  const scene = await Scene.make(netns, { user: 65534 });
  await scene.client.fork({ dumpable: false });
  const run = await tcphup(["127.0.0.2", `${DOOMED_PORT}`, "--json"], { netns, user: 65534, ...copy, code: 0 });
  assertEquals(run.outcomes(), ["hung-up", "hung-up", "hung-up"]);
  await scene.assertHungUp();
});

systemTest("a thread that has a descriptor table of its own", ["Linux 6.9"], async (netns) => {
  const scene = await Scene.make(netns);
  const threads = Peer.start(netns);
  const doomed = await threads.connectInThread("127.0.0.2", DOOMED_PORT);
  const kept = await threads.connectInThread("127.0.0.2", KEPT_PORT);
  const run = await tcphup(["127.0.0.2", `${DOOMED_PORT}`, "--json"], { netns, code: 0 });
  assertEquals(run.json().hung_up, 4);
  await doomed.assertEnded("EOF");
  await kept.assertUnended();
  await scene.assertHungUp();
});

systemTest("a connection that nobody has accepted yet has no owner", [], async (netns) => {
  const { pool: waiting } = await makePool(netns, { accept: false, source: "127.0.0.9" });
  const run = await tcphup(["127.0.0.9", "--json"], { netns, code: 1 });
  assertEquals(run.outcomes(), ["no-owner"]);
  assert(run.json().connections[0]!.error, "it says why");
  await waiting.assertUnended();
});

systemTest("descriptors on their way from one process to another have no owner", [], async (netns) => {
  const scene = await Scene.make(netns);
  await scene.doomed.putInFlight();
  const args = ["127.0.0.2", `${DOOMED_PORT}`, "--json"];
  const run = await tcphup(args, { netns, code: 1 });
  assertEquals(run.outcomes(), ["no-owner", "no-owner", "no-owner"]);
  for (const { error } of run.json().connections) assertMatch(error ?? "", /^no process in this \/proc holds it\b/);
  await (await scene.server.serving(6)).assertUnended();
  const destroyed = await tcphup([...args, "--destroy"], { netns, code: 0 });
  assertEquals(destroyed.outcomes(), ["destroyed", "destroyed", "destroyed"]);
  await scene.kept.assertAlive();
});

systemTest("the same addresses in another network namespace are other connections", [], async (netns) => {
  await using other = await Namespace.create();
  const here = await Scene.make(netns);
  const there = await Scene.make(other);
  const run = await tcphup(["127.0.0.2", `${DOOMED_PORT}`, "--json"], { netns, code: 0 });
  assertEquals(run.json().hung_up, 3);
  await here.assertHungUp();
  await there.assertUntouched();
});

systemTest("two thousand connections of four processes, among as many others", [], async (netns) => {
  const server = Peer.start(netns);
  await server.listen("127.0.0.2", DOOMED_PORT);
  await server.listen("127.0.0.2", KEPT_PORT);
  const clients = Array.from({ length: 4 }, () => Peer.start(netns));
  const connect = (port: number) =>
    Promise.all(clients.map((client) => client.connect("127.0.0.2", port, { count: 500 })));
  const [doomed, kept] = await Promise.all([connect(DOOMED_PORT), connect(KEPT_PORT)]);
  const run = await tcphup(["127.0.0.2", `${DOOMED_PORT}`, "--json"], { netns, code: 0 });
  assertEquals(run.json().hung_up, 2000);
  for (const connections of doomed) await connections.assertEnded("EOF");
  for (const connections of kept) await connections.assertAlive();
  assertEquals(await netns.resetsSent(), 0);
});

systemTest(
  "a pool that connects anew at once is followed until it has been cut, but not for ever",
  [],
  async (netns) => {
    const scene = await Scene.make(netns, { count: 20, reconnect: true });
    const run = await tcphup(["127.0.0.2", `${DOOMED_PORT}`, "--json"], { netns, code: 0 });
    assert(run.json().hung_up >= 20);
    await scene.doomed.assertEnded("EOF");
    await scene.kept.assertAlive();
  },
);

systemTest("processes that exit while tcphup runs are no error", [], async (netns) => {
  const scene = await Scene.make(netns);
  const mayflies = new Program<{ processes: number }>(netns, "mayflies.py", "127.0.0.2", DOOMED_PORT);
  for (let i = 0; i < 10; i++) {
    const run = await tcphup(["127.0.0.2", `${DOOMED_PORT}`, "--json"], { netns, code: 0 });
    assertEquals(run.json().failed, 0);
  }
  assert((await mayflies.end()).processes > 20);
  await scene.doomed.assertEnded("EOF");
  await scene.kept.assertAlive();
});

systemTest("descriptors that are reused all the time: only what was selected is hit", [], async (netns) => {
  const scene = await Scene.make(netns);
  const reuse = new Program<{ rounds: number; reused: number; broken: string[] }>(
    netns,
    "reuse.py",
    "127.0.0.2",
    DOOMED_PORT,
    KEPT_PORT,
  );
  for (let i = 0; i < 10; i++) {
    await tcphup(["127.0.0.2", `${DOOMED_PORT}`, "--json"], { netns, code: 0 });
  }
  const { reused, broken } = await reuse.end();
  assertEquals(broken, []);
  assert(reused > 100, `only ${reused} descriptors were reused`);
  await scene.kept.assertAlive();
});
