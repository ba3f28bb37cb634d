// The whole failover, with the pools of programs as they are: a host dies, and its address or its name moves to another
// one. Without tcphup the programs wait for the dead host, most of them for minutes and more.

import { assertEquals, assertMatch } from "@std/assert";
import { Attached } from "../harness/attach.ts";
import {
  CACHING,
  CLIENTS,
  FAILOVER_NEEDS,
  Lab,
  POOL_KINDS,
  type PoolKind,
  RESOLVING,
  WITH_CGROUPS,
} from "../harness/failover.ts";
import { Lines } from "../harness/lines.ts";
import { run } from "../harness/process.ts";
import { hostTest, type Need } from "../harness/system.ts";
import { assertExit, Run, TCPHUP } from "../harness/tcphup.ts";

const NAME = "db.internal";
const IN_POD: readonly PoolKind[] = ["redis-py", "psycopg2", "undici"];

/** So long no pool gets over it by itself, although the new host is there. */
const CONTROL_MS = 3000;

function failoverTest(name: string, needs: readonly Need[], body: (lab: Lab) => Promise<void>): void {
  const general = ["root", "iproute2", "python3", "sysctl", "permission to make namespaces"] as const;
  hostTest(`failover: ${name}`, [...general, ...FAILOVER_NEEDS, ...needs], async () => {
    await using lab = await Lab.create();
    await body(lab);
  });
}

async function pass(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}

/** How many requests an idle pool loses, whoever ends its connections: those that it hands out without a look at them. */
function inherentLosses(kind: PoolKind): number {
  return ["psycopg", "psycopg2"].includes(kind) ? CLIENTS : 0;
}

failoverTest("an address moves, and one call has all pools served, busy and idle, in a pod too", [], async (lab) => {
  await lab.startPools(POOL_KINDS, lab.address);
  await lab.startPools(IN_POD, lab.address, lab.pod);
  for (const isIdle of [false, true]) {
    // To the host that drops what it does not know, and back to the one that resets that.
    for (const drops of [true, false]) {
      const move = async () => {
        const moved = Date.now();
        await lab.moveAddress();
        assertEquals(lab.active.drops, drops);
        if (!drops || isIdle) return;
        await pass(CONTROL_MS);
        for (const pool of lab.pools) pool.assertNotServed(moved);
      };
      // What was reset, or about to connect when the host died, is perhaps well again before tcphup looks.
      const spare = drops && isIdle ? [] : ["--silent-for", "2500ms"];
      const call = await lab.failOver(isIdle, move, async () => {
        assertExit(new Run(await run([...TCPHUP, lab.address, "--netns", "all", ...spare], { mayFail: true })), 0);
      });
      for (const pool of lab.pools) {
        await pool.served(call);
        const failures = pool.failures(call);
        const where = `${pool.kind}${pool.isInPod ? " in the pod" : ""}, drops: ${drops}, idle: ${isIdle}`;
        assertEquals(failures.length, isIdle ? inherentLosses(pool.kind) : 0, `${where}: ${failures}`);
      }
    }
  }
});

failoverTest(
  "a name moves: follow has the pools served that resolve it again, and --redirect the others",
  ["cgroup v2", "permission to use BPF"],
  async (lab) => {
    const [old, live] = lab.hosts.map(({ address }) => address) as [string, string];
    const dns = await lab.nameServer({ [NAME]: [old] });
    await lab.startPools(POOL_KINDS, NAME);
    const [resolving, caching] = [RESOLVING, CACHING].map((kinds) =>
      lab.pools.filter(({ kind }) => kinds.includes(kind))
    ) as [typeof lab.pools, typeof lab.pools];
    const following = lab.netns.spawn([...TCPHUP, "follow", NAME, "--every=200ms", `--after=${CONTROL_MS}ms`]);
    await using lines = new Lines(following.stdout);
    assertEquals(await lines.next(1), [`following ${NAME}: ${old}`]);

    await lab.active.die();
    const death = Date.now();
    for (const pool of lab.pools) await pool.hangs();
    const change = Date.now();
    await dns.set({ [NAME]: [live] });
    assertEquals(await lines.next(1), [`${NAME} has changed: ${live}; missing: ${old}`]);
    await pass(CONTROL_MS / 2);
    for (const pool of lab.pools) pool.assertNotServed(death);
    for (const pool of resolving) {
      await pool.served(change);
      assertEquals(pool.failures(change), [], pool.kind);
    }
    for (const pool of caching) pool.assertNotServed(death);
    following.kill("SIGTERM");
    assertEquals((await following.status).code, 0);

    await using redirecting = new Attached(lab.netns.spawn([...TCPHUP, old, "--redirect", live], WITH_CGROUPS));
    for (const pool of caching) await pool.served(change);
    const { code, stdout, stderr } = await redirecting.end();
    assertEquals([code, stderr], [0, ""]);
    assertMatch(stdout, /^redirected \d+ connects, /m);
  },
);
