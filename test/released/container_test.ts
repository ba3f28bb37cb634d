// Real containers. The image and the manifests in them: what a runtime's seccomp profile, a read-only file system and the
// limits leave of a process's rights is enough, beside the pods of a node in small. And the connections of one.

import { assertEquals, assertMatch } from "@std/assert";
import { assertSetsInPods, Place } from "../harness/attach.ts";
import { Image, SECCOMP_PROFILE, Talker } from "../harness/container.ts";
import { containerOf, type PodContainer, readManifest } from "../harness/kubernetes.ts";
import { Namespace } from "../harness/namespace.ts";
import { assertNames, HALF_OWNED, once, oneLess, POD_ADDRESS, runOnNode, withoutEscalation } from "../harness/node.ts";
import { eventually, run } from "../harness/process.ts";
import { selected } from "../harness/selected.ts";
import { hostTest, type Need, systemTest } from "../harness/system.ts";
import { assertExit, BINARY, Run, tcphup } from "../harness/tcphup.ts";

const CONTAINERS: readonly Need[] = ["root", "podman", "runc", "busybox", "permission to run containers"];

function imageTest(name: string, body: (image: Image) => Promise<void>): void {
  hostTest(name, [...CONTAINERS, "python3", "iproute2", "unshare", "TCPHUP_COMPILED"], async () => {
    await body(await theImage());
  });
}

let image: Image | undefined;

async function theImage(): Promise<Image> {
  return image ??= await Image.build(BINARY!);
}

globalThis.addEventListener("unload", () => image?.close());

const job = containerOf(await readManifest("failover.yaml", { VIP: POD_ADDRESS, PORT: "8000" }));
const watching = containerOf(await readManifest("keepalive-watch.yaml", {}));
const attaching = containerOf(await readManifest("keepalive.yaml", {}));

const HANG_UP = withoutEscalation(job.args);

imageTest("the image has all that the program needs", async (image) => {
  const { version } = JSON.parse(await Deno.readTextFile(new URL("../../deno.json", import.meta.url)));
  assertEquals((await run(image.command("--version"))).stdout, `tcphup ${version}\n`);
});

imageTest("run needs no privilege in a container", async (image) => {
  const script = `
    busybox nc -ll -p 8000 -e busybox sleep 1000 &
    while :; do busybox nc 127.0.0.1 8000 </dev/zero; busybox sleep 0.1; done 2>/dev/null &
    until list=$(tcphup ls any 8000 --keepalive --json) && [ "$list" != "\${list#*idle_s}" ]; do busybox sleep 0.1; done
    echo "$list"`;
  const { stdout } = await run(image.command("run", "--idle=33", "--", "/bin/sh", "-c", script));
  const [{ keepalive, owners }] = JSON.parse(stdout).connections;
  assertEquals([keepalive.enabled, keepalive.idle_s, owners[0].comm], [true, 33, "busybox"]);
});

imageTest("the Job's container hangs up in every pod", async (image) => {
  const { tcphup, pods } = await runOnNode(image.commandOf({ ...job, args: HANG_UP }));
  assertExit(tcphup, 0);
  assertMatch(tcphup.stdout, /^hung up on 6 connections$/m);
  assertEquals(pods, Array(2).fill(["EOF", "EOF", "EOF"]));
});

imageTest("the Job's container destroys what nobody holds", async (image) => {
  const { tcphup, pods } = await runOnNode(image.commandOf({ ...job, args: HALF_OWNED }));
  assertExit(tcphup, 0);
  assertEquals(pods, Array(2).fill(["EOF", "EOF", "ECONNRESET"]));
});

imageTest("the manifests' containers work under the profile that these name", async (image) => {
  const destroying = await runOnNode(image.commandOf({ ...job, args: HALF_OWNED }, SECCOMP_PROFILE));
  assertExit(destroying.tcphup, 0);
  assertEquals(destroying.pods, Array(2).fill(["EOF", "EOF", "ECONNRESET"]));
  const setting = await runOnNode(image.commandOf({ ...watching, args: once(watching.args) }, SECCOMP_PROFILE));
  assertEquals(setting.tcphup.json<{ keepalive_set: number }>().keepalive_set, 10);
});

imageTest("the profile keeps a container from what tcphup does not do", async (image) => {
  const refused = async (args: string[]) => {
    const command = image.commandOf({ ...job, args: [] }, SECCOMP_PROFILE);
    // With the capabilities of the Job, busybox is kept from it by the profile alone.
    const volume = ["--volume=/bin/busybox:/bin/busybox:ro", "--entrypoint=/bin/busybox"];
    return await run([...command.slice(0, -1), ...volume, ...command.slice(-1), ...args], { mayFail: true });
  };
  for (const args of [["unshare", "-n", "true"], ["mount", "-t", "tmpfs", "none", "/proc"], ["kill", "-0", "1"]]) {
    const { code, stderr } = await refused(args);
    assertEquals(code === 0, false, args.join(" "));
    assertMatch(stderr, new RegExp(`^${args[0]}: .*not implemented`, "im"));
  }
});

for (const [left, add] of oneLess(job.securityContext.capabilities.add)) {
  imageTest(`the Job's container without CAP_${left}: it fails and says so`, async (image) => {
    const securityContext = { ...job.securityContext, capabilities: { drop: ["ALL"], add } };
    // Without a socket that nobody holds, CAP_NET_ADMIN is not missed.
    const args = left === "NET_ADMIN" ? HALF_OWNED : HANG_UP;
    const { tcphup } = await runOnNode(image.commandOf({ ...job, securityContext, args }));
    assertNames(left, tcphup);
  });
}

/** The container of the manifest, attaching to a control group of a place: the root's would set this host's connections. */
function attachingTo({ cgroup }: Place): PodContainer {
  return { ...attaching, args: [...attaching.args, `--cgroup=${cgroup.path}`] };
}

async function withPlace(body: (place: Place) => Promise<void>): Promise<void> {
  await using netns = await Namespace.create();
  await using place = await Place.make(netns);
  await body(place);
}

// Under the profile that the manifest names: podman's own lets bpf(2) pass only with CAP_SYS_ADMIN, as CRI-O's does.

imageTest("the DaemonSet's container sets keepalive on what every pod opens, in the kernel", async (image) => {
  await withPlace(async (place) => {
    const end = await assertSetsInPods(place, image.commandOf(attachingTo(place), SECCOMP_PROFILE));
    assertEquals(end, { code: 0, stdout: "", stderr: "" });
  });
});

for (const [left, add] of oneLess(attaching.securityContext.capabilities.add)) {
  imageTest(`the DaemonSet's container without CAP_${left}: it fails and says so`, async (image) => {
    await withPlace(async (place) => {
      const securityContext = { ...attaching.securityContext, capabilities: { drop: ["ALL"], add } };
      const command = image.commandOf({ ...attachingTo(place), securityContext }, SECCOMP_PROFILE);
      assertNames(left, new Run(await place.netns.run(command, place.inside())));
    });
  });
}

imageTest("the DaemonSet's container finds the root of the node's cgroups", async (image) => {
  const args = [...attaching.args, "--dry-run"];
  const { stdout, stderr } = await run(image.commandOf({ ...attaching, args }, SECCOMP_PROFILE));
  assertEquals([stdout, stderr], ["would attach to the root of cgroup v2\n", ""]);
});

imageTest("the watching DaemonSet's container sets keepalive in every pod", async (image) => {
  const { tcphup, pods } = await runOnNode(image.commandOf({ ...watching, args: once(watching.args) }));
  // Three clients and two accepted connections in each of two pods. A BPF program may reach what nobody holds, too.
  const { connections } = tcphup.json<{ connections: { owners: unknown[]; outcome: string }[] }>();
  const held = connections.filter(({ owners, outcome }) => owners.length > 0 && outcome === "keepalive-set");
  assertEquals(held.length, 10, tcphup.stdout + tcphup.stderr);
  assertEquals(pods, Array(2).fill(["alive", "alive", "alive"]));
});

systemTest("--container: a real container's connections, in its network namespace", CONTAINERS, async (netns) => {
  await using talker = await Talker.start();
  const selection = ["--container", talker.id.slice(0, 12), "--netns", "all", "--dport", "8000"];
  const connected = (before?: number) =>
    eventually("a new connection", async () => {
      return (await selected(netns, selection)).find(({ src }) => src.port !== before) ?? false;
    });
  const { src, netns_name, owners } = await connected();
  assertEquals([netns_name, owners[0]!.comm], [talker.id.slice(0, 12), "busybox"]);
  const hup = await tcphup([...selection, "--json"], { netns, code: 0 });
  assertEquals(hup.outcomes(), ["hung-up"]);
  await connected(src.port);
});
