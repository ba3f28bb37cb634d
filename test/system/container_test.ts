// The image and the manifests in real containers: what a runtime's seccomp profile, a read-only file system and the limits
// leave of a process's rights is enough, beside the pods of a node in small.

import { assertEquals, assertMatch } from "@std/assert";
import { Image } from "../harness/container.ts";
import { type Container, readManifest } from "../harness/kubernetes.ts";
import { assertNames, HALF_OWNED, oneLess, POD_ADDRESS, runOnNode } from "../harness/node.ts";
import { run } from "../harness/process.ts";
import { assertExit } from "../harness/scene.ts";
import { hostTest, type Need } from "../harness/system.ts";
import { BINARY } from "../harness/tcphup.ts";

const NEEDS: readonly Need[] = [
  ...["root", "python3", "iproute2", "unshare", "TCPHUP_COMPILED"] as const,
  ...["podman", "runc", "busybox", "permission to run containers"] as const,
];

function containerTest(name: string, body: (image: Image) => Promise<void>): void {
  hostTest(name, NEEDS, async () => body(await theImage()));
}

let image: Promise<Image> | undefined;

function theImage(): Promise<Image> {
  return image ??= Image.build(BINARY!);
}

Deno.test.afterAll(async () => {
  if (image !== undefined) (await image).close();
});

async function containerOf(manifest: string, words: Record<string, string>): Promise<Container> {
  return (await readManifest(manifest, words)).spec.template.spec.containers[0];
}

const job = await containerOf("failover.yaml", { VIP: POD_ADDRESS, PORT: "8000" });
const daemon = await containerOf("keepalive.yaml", {});

/** The Job's words but for --destroy-after, which has a test of its own: the servers of these pods never close. */
const HANG_UP = job.args.filter((arg) => !arg.startsWith("--destroy-after"));

containerTest("the image has all that the program needs", async (image) => {
  const { version } = JSON.parse(await Deno.readTextFile(new URL("../../deno.json", import.meta.url)));
  assertEquals((await run(image.command("--version"))).stdout, `tcphup ${version}\n`);
});

containerTest("the Job's container hangs up in every pod", async (image) => {
  const { tcphup, pods } = await runOnNode(image.commandOf({ ...job, args: HANG_UP }));
  assertExit(tcphup, 0);
  assertMatch(tcphup.stdout, /^hung up on 6 connections$/m);
  assertEquals(pods, Array(2).fill(["EOF", "EOF", "EOF"]));
});

containerTest("the Job's container destroys what nobody holds", async (image) => {
  const { tcphup, pods } = await runOnNode(image.commandOf({ ...job, args: HALF_OWNED }));
  assertExit(tcphup, 0);
  assertEquals(pods, Array(2).fill(["EOF", "EOF", "ECONNRESET"]));
});

for (const [left, add] of oneLess(job.securityContext.capabilities.add)) {
  containerTest(`the Job's container without CAP_${left}: it fails and says so`, async (image) => {
    const securityContext = { ...job.securityContext, capabilities: { drop: ["ALL"], add } };
    // Without a socket that nobody holds, CAP_NET_ADMIN is not missed.
    const args = left === "NET_ADMIN" ? HALF_OWNED : HANG_UP;
    const { tcphup } = await runOnNode(image.commandOf({ ...job, securityContext, args }));
    assertNames(left, tcphup);
  });
}

containerTest("the DaemonSet's container sets keepalive in every pod", async (image) => {
  const args = [...daemon.args.filter((arg) => !arg.startsWith("--watch")), "--json"];
  const { tcphup, pods } = await runOnNode(image.commandOf({ ...daemon, args }));
  // Three clients and two accepted connections in each of two pods.
  assertEquals(tcphup.json<{ keepalive_set: number }>().keepalive_set, 10);
  assertEquals(pods, Array(2).fill(["alive", "alive", "alive"]));
});
