// The capabilities that the manifests and the unit give tcphup: with exactly these it works, with one less it says which.

import { assertEquals, assertMatch } from "@std/assert";
import { type Manifest, readManifest } from "../harness/kubernetes.ts";
import {
  assertNames,
  HALF_OWNED,
  type NodeRun,
  once,
  oneLess,
  POD_ADDRESS,
  privileged,
  type Privileges,
  runOnNode,
  withoutEscalation,
} from "../harness/node.ts";
import { assertExit } from "../harness/scene.ts";
import { hostTest, type Need } from "../harness/system.ts";
import { unitCapabilities, unitCommand } from "../harness/unit.ts";
import { PublicCopy, TCPHUP } from "../harness/tcphup.ts";

const NEEDS: readonly Need[] = ["root", "python3", "iproute2", "setpriv", "unshare", "permission to make namespaces"];

const UNHARMED = Array(2).fill(["alive", "alive", "alive"]);
const NOBODY = 65534;

function capabilitiesOf({ spec }: Manifest): string[] {
  return spec.template.spec.containers[0]!.securityContext.capabilities.add.map((name) => name.toLowerCase());
}

function argsOf({ spec }: Manifest): string[] {
  return spec.template.spec.containers[0]!.args;
}

/** Runs tcphup from where it may be read without any capability. */
async function runPrivileged(args: readonly string[], privileges: Privileges): Promise<NodeRun> {
  await using copy = await PublicCopy.make();
  const env = Object.entries(copy.env).map(([name, value]) => `${name}=${value}`);
  return await runOnNode(privileged(privileges, ["env", `--chdir=${copy.cwd}`, ...env, ...copy.command, ...args]));
}

const failover = await readManifest("failover.yaml", { VIP: POD_ADDRESS, PORT: "8000" });

const HANG_UP = withoutEscalation(argsOf(failover));

hostTest("the Job's capabilities hang up in every pod", NEEDS, async () => {
  const { tcphup, pods } = await runPrivileged(HANG_UP, { capabilities: capabilitiesOf(failover) });
  assertExit(tcphup, 0);
  assertMatch(tcphup.stdout, /^hung up on 6 connections$/m);
  assertEquals(pods, Array(2).fill(["EOF", "EOF", "EOF"]));
});

hostTest("the capabilities that SECURITY.md leaves to root hang up in every pod", NEEDS, async () => {
  const document = await Deno.readTextFile(new URL("../../.github/SECURITY.md", import.meta.url));
  const [, setpriv = ""] = /^(setpriv .*) \\\n +tcphup /m.exec(document)!;
  const { tcphup, pods } = await runOnNode([...setpriv.split(" "), ...TCPHUP, ...HANG_UP]);
  assertExit(tcphup, 0);
  assertEquals(pods, Array(2).fill(["EOF", "EOF", "EOF"]));
});

for (const [left, capabilities] of oneLess(capabilitiesOf(failover))) {
  const name = `CAP_${left.toUpperCase()}`;
  hostTest(`the Job's capabilities without ${name}: it fails and says so`, NEEDS, async () => {
    // Without a socket that nobody holds, CAP_NET_ADMIN is not missed.
    const args = left === "net_admin" ? HALF_OWNED : HANG_UP;
    const { tcphup, pods } = await runPrivileged(args, { capabilities });
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

hostTest("the Job's capabilities destroy what nobody holds", NEEDS, async () => {
  const { tcphup, pods } = await runPrivileged(HALF_OWNED, { capabilities: capabilitiesOf(failover) });
  assertExit(tcphup, 0);
  assertEquals(pods, Array(2).fill(["EOF", "EOF", "ECONNRESET"]));
});

async function setsKeepalive(args: readonly string[], privileges: Privileges, count: number): Promise<void> {
  for (const flags of [[], ["--no-bpf"]]) {
    const { tcphup, pods } = await runPrivileged([...args, ...flags], privileges);
    const report = tcphup.json<KeepaliveDocument>();
    // CAP_SYS_ADMIN may run a BPF program too, which reaches what nobody holds.
    const held = report.connections.filter(({ owners, outcome }) => owners.length > 0 && outcome === "keepalive-set");
    assertEquals(held.length, count, tcphup.stdout + tcphup.stderr);
    assertEquals(pods, UNHARMED);
  }
}

interface KeepaliveDocument {
  connections: { owners: unknown[]; outcome: string }[];
}

const keepalive = await readManifest("keepalive.yaml", {});

hostTest("the DaemonSet's capabilities set keepalive in every pod", NEEDS, async () => {
  // Three clients and two accepted connections in each of two pods.
  await setsKeepalive(once(argsOf(keepalive)), { capabilities: capabilitiesOf(keepalive) }, 10);
});

for (const [left, capabilities] of oneLess(capabilitiesOf(keepalive))) {
  const name = `CAP_${left.toUpperCase()}`;
  hostTest(`the DaemonSet's capabilities without ${name}: it says so`, NEEDS, async () => {
    const args = [...once(argsOf(keepalive)), "--dst", POD_ADDRESS, "--no-bpf"];
    const { tcphup, pods } = await runPrivileged(args, { capabilities });
    assertNames(left, tcphup);
    assertEquals(pods, UNHARMED);
  });
}

// The unit watches the network namespace that it runs in, the host's. Here that of the first pod stands for it.

hostTest("the unit's capabilities set keepalive, as a user of its own", NEEDS, async () => {
  const privileges: Privileges = { capabilities: await unitCapabilities(), user: NOBODY, inPod: true };
  await setsKeepalive(once(await unitCommand()), privileges, 5);
});

for (const [left, others] of oneLess(await unitCapabilities())) {
  const name = `CAP_${left.toUpperCase()}`;
  hostTest(`the unit's capabilities without ${name}: it says so`, NEEDS, async () => {
    const privileges: Privileges = { capabilities: others, user: NOBODY, inPod: true };
    const args = [...once(await unitCommand()), "--dst", POD_ADDRESS];
    const { tcphup, pods } = await runPrivileged(args, privileges);
    assertNames(left, tcphup);
    assertEquals(pods, UNHARMED);
  });
}
