// The capabilities that the manifests and the unit give tcphup: with exactly these it works, with one less it says which.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { type Manifest, readManifest } from "../harness/kubernetes.ts";
import { type NodeRun, POD_ADDRESS, type Privileges, runOnNode } from "../harness/node.ts";
import { assertExit } from "../harness/scene.ts";
import { systemTest } from "../harness/system.ts";
import { unitCapabilities, unitCommand } from "../harness/unit.ts";
import type { Run } from "../harness/tcphup.ts";

const UNHARMED = Array(2).fill(["alive", "alive", "alive"]);
const NOBODY = 65534;

function capabilitiesOf({ spec }: Manifest): string[] {
  return spec.template.spec.containers[0].securityContext.capabilities.add.map((name) => name.toLowerCase());
}

function argsOf({ spec }: Manifest): string[] {
  return spec.template.spec.containers[0].args;
}

/** Each capability with the others of a set. */
function oneLess(capabilities: readonly string[]): [left: string, others: string[]][] {
  return capabilities.map((left) => [left, capabilities.filter((name) => name !== left)]);
}

/** Fails unless tcphup failed and named a capability, as capabilities(7) spells it, and no other. */
function assertNames(capability: string, run: Run): void {
  assert(run.code === 1 || run.code === 4, `exit ${run.code}: ${run.stdout}${run.stderr}`);
  const named = new Set((run.stdout + run.stderr).match(/CAP_[A-Z_]+/g));
  assertEquals([...named], [`CAP_${capability.toUpperCase()}`], run.stdout + run.stderr);
}

const failover = await readManifest("failover.yaml", { VIP: POD_ADDRESS, PORT: "8000" });

/** The Job's words but for --destroy-after, which has a test of its own: the servers of these pods never close. */
const HANG_UP = argsOf(failover).filter((arg) => !arg.startsWith("--destroy-after"));

systemTest("the Job's capabilities hang up in every pod", ["setpriv", "unshare"], async (netns) => {
  const { tcphup, pods } = await runOnNode(netns, HANG_UP, { capabilities: capabilitiesOf(failover) });
  assertExit(tcphup, 0);
  assertMatch(tcphup.stdout, /^hung up on 6 connections$/m);
  assertEquals(pods, Array(2).fill(["EOF", "EOF", "EOF"]));
});

/** Connections of which each pod has one that no process holds: it has not been accepted. */
const HALF_OWNED = ["any", "--sport=8000", "--netns=all", "--destroy-after=1s"];

for (const [left, capabilities] of oneLess(capabilitiesOf(failover))) {
  const name = `CAP_${left.toUpperCase()}`;
  systemTest(`the Job's capabilities without ${name}: it fails and says so`, ["setpriv", "unshare"], async (netns) => {
    // Without a socket that nobody holds, CAP_NET_ADMIN is not missed.
    const args = left === "net_admin" ? HALF_OWNED : HANG_UP;
    const { tcphup, pods } = await runOnNode(netns, args, { capabilities });
    assertNames(left, tcphup);
    const expected: Record<string, NodeRun["pods"]> = {
      sys_ptrace: UNHARMED,
      sys_admin: UNHARMED,
      dac_read_search: [["alive", "alive", "alive"], ["EOF", "EOF", "EOF"]],
      net_admin: Array(2).fill(["EOF", "EOF", "alive"]),
    };
    assertEquals(pods, expected[left]);
  });
}

systemTest("the Job's capabilities destroy what nobody holds", ["setpriv", "unshare"], async (netns) => {
  const { tcphup, pods } = await runOnNode(netns, HALF_OWNED, { capabilities: capabilitiesOf(failover) });
  assertExit(tcphup, 0);
  assertEquals(pods, Array(2).fill(["EOF", "EOF", "ECONNRESET"]));
});

/** The words of a command that watches, for a single look instead. */
function once(args: readonly string[]): string[] {
  return [...args.filter((arg) => !arg.startsWith("--watch")), "--json"];
}

async function setsKeepalive(run: Promise<NodeRun>, count: number): Promise<void> {
  const { tcphup, pods } = await run;
  const report = tcphup.json<{ keepalive_set: number; connections: { error: string | null }[] }>();
  assertEquals(report.keepalive_set, count, tcphup.stdout + tcphup.stderr);
  assertEquals(pods, UNHARMED);
}

const keepalive = await readManifest("keepalive.yaml", {});

systemTest("the DaemonSet's capabilities set keepalive in every pod", ["setpriv", "unshare"], async (netns) => {
  // Three clients and two accepted connections in each of two pods.
  await setsKeepalive(runOnNode(netns, once(argsOf(keepalive)), { capabilities: capabilitiesOf(keepalive) }), 10);
});

for (const [left, capabilities] of oneLess(capabilitiesOf(keepalive))) {
  const name = `CAP_${left.toUpperCase()}`;
  systemTest(`the DaemonSet's capabilities without ${name}: it says so`, ["setpriv", "unshare"], async (netns) => {
    const { tcphup, pods } = await runOnNode(netns, [...once(argsOf(keepalive)), "--dst", POD_ADDRESS], {
      capabilities,
    });
    assertNames(left, tcphup);
    assertEquals(pods, UNHARMED);
  });
}

/** The unit watches the network namespace that it runs in, the host's. Here that of the first pod stands for it. */
const FIRST_POD = 3;

systemTest("the unit's capabilities set keepalive, as a user of its own", ["setpriv", "unshare"], async (netns) => {
  const privileges: Privileges = { capabilities: await unitCapabilities(), user: NOBODY, beside: FIRST_POD };
  await setsKeepalive(runOnNode(netns, once(await unitCommand()), privileges), 5);
});

for (const [left, others] of oneLess(await unitCapabilities())) {
  const name = `CAP_${left.toUpperCase()}`;
  systemTest(`the unit's capabilities without ${name}: it says so`, ["setpriv", "unshare"], async (netns) => {
    const privileges: Privileges = { capabilities: others, user: NOBODY, beside: FIRST_POD };
    const args = [...once(await unitCommand()), "--dst", POD_ADDRESS];
    const { tcphup, pods } = await runOnNode(netns, args, privileges);
    assertNames(left, tcphup);
    assertEquals(pods, UNHARMED);
  });
}
