// The capabilities that the manifests and the unit give tcphup: with exactly these it works, with one less it says which.

import { assertEquals, assertMatch } from "@std/assert";
import { assertSetsInPods, Place } from "../harness/attach.ts";
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
import { assertOneLine } from "../harness/scene.ts";
import { hostTest, type Need, systemTest } from "../harness/system.ts";
import { unitCapabilities, unitCommand, WATCH_UNIT } from "../harness/unit.ts";
import { assertExit, PublicCopy, Run, TCPHUP } from "../harness/tcphup.ts";

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

const watching = await readManifest("keepalive-watch.yaml", {});

hostTest("the watching DaemonSet's capabilities set keepalive in every pod", NEEDS, async () => {
  // Three clients and two accepted connections in each of two pods.
  await setsKeepalive(once(argsOf(watching)), { capabilities: capabilitiesOf(watching) }, 10);
});

for (const [left, capabilities] of oneLess(capabilitiesOf(watching))) {
  const name = `CAP_${left.toUpperCase()}`;
  hostTest(`the watching DaemonSet's capabilities without ${name}: it says so`, NEEDS, async () => {
    const args = [...once(argsOf(watching)), "--dst", POD_ADDRESS, "--no-bpf"];
    const { tcphup, pods } = await runPrivileged(args, { capabilities });
    assertNames(left, tcphup);
    assertEquals(pods, UNHARMED);
  });
}

// The unit watches the network namespace that it runs in, the host's. Here that of the first pod stands for it.

hostTest("the watching unit's capabilities set keepalive, as a user of its own", NEEDS, async () => {
  const privileges: Privileges = { capabilities: await unitCapabilities(WATCH_UNIT), user: NOBODY, inPod: true };
  await setsKeepalive(once(await unitCommand(WATCH_UNIT)), privileges, 5);
});

for (const [left, others] of oneLess(await unitCapabilities(WATCH_UNIT))) {
  const name = `CAP_${left.toUpperCase()}`;
  hostTest(`the watching unit's capabilities without ${name}: it says so`, NEEDS, async () => {
    const privileges: Privileges = { capabilities: others, user: NOBODY, inPod: true };
    const args = [...once(await unitCommand(WATCH_UNIT)), "--dst", POD_ADDRESS];
    const { tcphup, pods } = await runPrivileged(args, privileges);
    assertNames(left, tcphup);
    assertEquals(pods, UNHARMED);
  });
}

const attaching = await readManifest("keepalive.yaml", {});

/** What is attached, and as whom. */
const ATTACHING: readonly (readonly [string, readonly string[], Privileges])[] = [
  ["DaemonSet", argsOf(attaching), { capabilities: capabilitiesOf(attaching) }],
  ["unit", await unitCommand(), { capabilities: await unitCapabilities(), user: NOBODY }],
];

for (const [what, args, privileges] of ATTACHING) {
  /** Attached to the root, it would set the connections of this host. */
  const attachTest = (name: string, body: (place: Place, command: (given: Privileges) => string[]) => Promise<void>) =>
    systemTest(`the ${what}'s capabilities ${name}`, [...NEEDS, "cgroup v2"], async (netns) => {
      await using place = await Place.make(netns);
      await using copy = await PublicCopy.make();
      const env = Object.entries(copy.env).map(([name, value]) => `${name}=${value}`);
      const command = ["env", `--chdir=${copy.cwd}`, ...env, ...copy.command, ...args, "--cgroup", place.cgroup.path];
      await body(place, (given) => ["unshare", "--net", ...privileged(given, command)]);
    });

  attachTest("set keepalive on what every pod opens from then on", async (place, command) => {
    assertEquals(await assertSetsInPods(place, command(privileges)), { code: 0, stdout: "", stderr: "" });
  });

  for (const [left, capabilities] of oneLess(privileges.capabilities)) {
    attachTest(`without CAP_${left.toUpperCase()}: it says so`, async (place, command) => {
      const tcphup = new Run(await place.netns.run(command({ ...privileges, capabilities }), place.inside()));
      assertNames(left, tcphup);
      assertOneLine(tcphup, /BPF is denied/);
    });
  }
}
