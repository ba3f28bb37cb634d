// scripts/kubernetes: the manifests by the schemas that they are of, by what is promised of them, and in kubectl's hands.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { Attached, Place } from "../harness/attach.ts";
import { Cluster } from "../harness/cluster.ts";
import { SECCOMP_PROFILE } from "../harness/container.ts";
import { Directory } from "../harness/directory.ts";
import { containerOf, DIRECTORY, findFault, type Manifest, readManifest, scriptIn } from "../harness/kubernetes.ts";
import { type Output, run } from "../harness/process.ts";
import { wholeTrace } from "../harness/strace.ts";
import { DOOMED_PORT, Scene } from "../harness/scene.ts";
import { hostTest, systemTest } from "../harness/system.ts";
import { BINARY } from "../harness/tcphup.ts";
import { compileSelection } from "../../src/select/compile_selection.ts";
import { parseArguments } from "../../src/cli/flags/arguments.ts";
import { selectionOf } from "../../src/cli/flags/selection.ts";

const WORDS = {
  NODE: "worker-1.example.com",
  VIP: "192.0.2.10",
  NAME: "db.example.com",
  PORT: "5432",
};
/** What the scene doomed. */
const SELECTION = ["127.0.0.2", `${DOOMED_PORT}`];
const COMMANDS = {
  "failover.yaml": "hup",
  "follow.yaml": "follow",
  "keepalive.yaml": "keepalive",
  "keepalive-watch.yaml": "keepalive",
};
const WORKLOADS = Object.keys(COMMANDS) as (keyof typeof COMMANDS)[];

for (const file of [...WORKLOADS, "namespace.yaml", "priority.yaml"]) {
  Deno.test(`${file} is what its schema says`, async () => {
    assertEquals(await findFault(await readManifest(file, WORDS)), null);
  });
}

Deno.test("a wrong value and an unknown field are noticed", async () => {
  const faulty = async (spoil: (manifest: Manifest) => void) => {
    const manifest = await readManifest("failover.yaml", WORDS);
    spoil(manifest);
    return await findFault(manifest) ?? "";
  };
  assertMatch(await faulty(({ spec }) => Object.assign(spec.template.spec, { hostPid: true })), /hostPid/);
  const limits = { memory: "lots" };
  assertMatch(
    await faulty(({ spec }) => Object.assign(spec.template.spec.containers[0]!.resources, { limits })),
    /memory/,
  );
});

for (const file of WORKLOADS) {
  Deno.test(`${file} asks for no more than it needs`, async () => {
    const { metadata, spec } = await readManifest(file, WORDS);
    const { hostPID, hostNetwork, automountServiceAccountToken, volumes, containers } = spec.template.spec;
    const looksAtProcesses = file === "keepalive.yaml" ? undefined : true;
    assertEquals([hostPID, hostNetwork, automountServiceAccountToken], [looksAtProcesses, undefined, false]);
    const cgroups = { name: "cgroup", hostPath: { path: "/sys/fs/cgroup", type: "Directory" } };
    assertEquals(volumes, looksAtProcesses ? undefined : [cgroups]);
    assertEquals(containers[0]!.volumeMounts?.map(({ readOnly }) => readOnly), volumes?.map(() => true));
    assertEquals(metadata.namespace, (await readManifest("namespace.yaml", WORDS)).metadata.name);
    const { securityContext, resources } = containers[0]!;
    const { privileged, allowPrivilegeEscalation, readOnlyRootFilesystem, capabilities } = securityContext;
    assertEquals([privileged, readOnlyRootFilesystem], [undefined, true]);
    // A container with CAP_SYS_ADMIN is taken to have it, and some API servers refuse one that is told otherwise.
    assertEquals(allowPrivilegeEscalation, capabilities.add.includes("SYS_ADMIN"));
    assertEquals(capabilities.drop, ["ALL"]);
    assertEquals(Object.keys(resources.limits).sort(), ["cpu", "memory"]);
  });

  Deno.test(`${file} explains each of its capabilities`, async () => {
    const text = await Deno.readTextFile(new URL(`../../scripts/kubernetes/${file}`, import.meta.url));
    const { spec } = await readManifest(file, WORDS);
    const { add } = spec.template.spec.containers[0]!.securityContext.capabilities;
    assert(add.length > 0);
    for (const capability of add) {
      assertMatch(text, new RegExp(`# .*\\. Without it, .*(\n +#.*)*\n +- ${capability}\n`));
    }
  });

  Deno.test(`${file} calls tcphup by words that it knows`, async () => {
    const { spec } = await readManifest(file, WORDS);
    const args = parseArguments(spec.template.spec.containers[0]!.args);
    // Named, so that VIP may be a host whose name is near a command's.
    assertEquals([args.named, args.command], [true, COMMANDS[file]]);
    compileSelection(selectionOf(args));
  });
}

for (const file of ["follow.yaml", "keepalive.yaml", "keepalive-watch.yaml"]) {
  Deno.test(`${file}: its pods have the labels that it looks for, and a priority that there is`, async () => {
    const { spec } = await readManifest(file, WORDS);
    assertEquals(spec.template.metadata.labels, spec.selector!.matchLabels);
    assertEquals(spec.template.spec.priorityClassName, (await readManifest("priority.yaml", WORDS)).metadata.name);
  });
}

/** Runs a script of a document's, whose kubectl speaks to a cluster. */
async function runWith(cluster: Cluster, script: string, cwd: URL): Promise<Output> {
  using home = new Directory();
  await Deno.writeTextFile(`${home.path}/config`, cluster.config);
  const env = { HOME: home.path, KUBECONFIG: `${home.path}/config` };
  return await run(["sh", "-c", script], { cwd: cwd.pathname, env, mayFail: true });
}

hostTest("kubectl apply -k: an empty cluster gets all of it, in order", ["kubectl"], async () => {
  await using cluster = new Cluster("node-2");
  const { code, stdout, stderr } = await runWith(
    cluster,
    "kubectl apply -k scripts/kubernetes",
    new URL("../../", DIRECTORY),
  );
  assertEquals([code, stderr], [0, ""]);
  const made = ["namespace/tcphup", "priorityclass.scheduling.k8s.io/tcphup", "daemonset.apps/keepalive"];
  assertEquals(stdout, made.map((name) => `${name} created\n`).join(""));
  const { spec } = cluster.stored.get("/apis/apps/v1/namespaces/tcphup/daemonsets/keepalive") as Manifest;
  const { image, args } = spec.template.spec.containers[0]!;
  const { version } = JSON.parse(await Deno.readTextFile(new URL("../../deno.json", DIRECTORY)));
  assertEquals(image, `ghcr.io/tcphup/tcphup:${version}`);
  assertEquals(image, (await readManifest("failover.yaml", WORDS)).spec.template.spec.containers[0]!.image);
  assertEquals(args, (await readManifest("keepalive.yaml", {})).spec.template.spec.containers[0]!.args);
  const { labels } = spec.template.metadata;
  assertEquals([labels["app.kubernetes.io/name"], labels["app.kubernetes.io/version"]], ["tcphup", version]);
});

hostTest("kubectl apply -k: keepalive-watch.yaml takes the place of keepalive.yaml", ["kubectl"], async () => {
  await using cluster = new Cluster("node-2");
  using copy = new Directory();
  await run(["cp", "-r", `${DIRECTORY.pathname}.`, copy.path]);
  const script = `sed -i "/^resources/s/keepalive.yaml/keepalive-watch.yaml/" kustomization.yaml && kubectl apply -k .`;
  const { code, stderr } = await runWith(cluster, script, new URL(`file://${copy.path}/`));
  assertEquals([code, stderr], [0, ""]);
  const { spec } = cluster.stored.get("/apis/apps/v1/namespaces/tcphup/daemonsets/keepalive") as Manifest;
  const watching = await readManifest("keepalive-watch.yaml", {});
  assertEquals(spec.template.spec.containers[0]!.args, watching.spec.template.spec.containers[0]!.args);
  // What is looked for by labels cannot be changed in place.
  assertEquals(spec.selector, (await readManifest("keepalive.yaml", {})).spec.selector);
});

hostTest(
  "failover.yaml: what its head says goes from node to node, and ends where one fails",
  ["kubectl"],
  async () => {
    await using cluster = new Cluster("node-2");
    const script = (await scriptIn("failover.yaml")).replace("--timeout=10s", "--timeout=2s");
    const { stdout, stderr } = await runWith(cluster, script, DIRECTORY);
    const jobs = [...cluster.stored].filter(([path]) => path.includes("/jobs/")).map(([, job]) => job as Manifest);
    assertEquals(jobs.map(({ spec }) => spec.template.spec.nodeName), ["node-1", "node-2"]);
    for (const { metadata } of jobs) assertMatch(stdout, new RegExp(`^the log of ${metadata.name}-pod$`, "m"));
    assertMatch(stderr, new RegExp(`timed out waiting for the condition on jobs/${jobs[1]?.metadata.name}`));
  },
);

/** A profile in the form that container runtimes take. */
interface Profile {
  defaultAction: string;
  syscalls: { comment: string; names: string[]; action: string; args?: unknown[] }[];
}

const profile: Profile = JSON.parse(await Deno.readTextFile(SECCOMP_PROFILE));

systemTest(
  "the seccomp profile allows every system call that tcphup makes",
  ["strace", "unshare", "TCPHUP_COMPILED"],
  async (netns) => {
    await Scene.make(netns);
    const allowed = new Set(profile.syscalls.flatMap(({ names }) => names));
    using directory = new Directory();
    const trace = `${directory.path}/trace`;
    const strace = ["strace", "--follow-forks", "--quiet=all", "--signal=none", "--output", trace, BINARY!];
    const made = new Set<string>();
    for (
      const args of [
        ["keepalive", ...SELECTION, "--only-missing"],
        ["ls", ...SELECTION, "--keepalive"],
        [...SELECTION, "--rate=50/s", "--destroy-after=100ms"],
        ["localhost", ...SELECTION.slice(1), "--destroy"],
      ]
    ) {
      const { code, stderr } = await netns.run([...strace, ...args]);
      assertEquals(code, 0, stderr);
      for (const [, name = ""] of (await Deno.readTextFile(trace)).matchAll(/^\d+ +([a-z0-9_]+)\(/gm)) made.add(name);
    }
    assert(made.has("pidfd_getfd") && made.has("shutdown") && made.has("setns"), [...made].join(" "));
    // Where clone3 is missing, as the profile has it, glibc calls clone.
    assertEquals([...made.difference(allowed)].filter((name) => name !== "clone3"), []);
  },
);

systemTest(
  "the seccomp profile allows the commands of bpf(2) that keepalive --attach gives, and no others",
  ["strace", "unshare", "cgroup v2", "TCPHUP_COMPILED"],
  async (netns) => {
    await using place = await Place.make(netns);
    const { args } = containerOf(await readManifest("keepalive.yaml", {}));
    using directory = new Directory();
    const trace = `${directory.path}/trace`;
    const strace = ["strace", "--daemonize", "--follow-forks", "--quiet=all", "--signal=none", "--output", trace];
    const command = [...strace, BINARY!, ...args, "--cgroup", place.cgroup.path];
    await using attached = new Attached(netns.spawn(command, place.inside()));
    await attached.untilAttached();
    await attached.end();
    const calls = await wholeTrace(trace);
    const made = new Set([...calls.matchAll(/^\d+ +([a-z0-9_]+)\(/gm)].map(([, name = ""]) => name));
    const allowed = new Set(profile.syscalls.flatMap(({ names }) => names));
    assertEquals([...made.difference(allowed)].filter((name) => name !== "clone3"), []);
    const commands = new Set([...calls.matchAll(/^\d+ +bpf\((\w+)/gm)].map(([, command = ""]) => command));
    // These read the counters, for --json and --verbose.
    const others = ["BPF_MAP_GET_NEXT_KEY", "BPF_MAP_LOOKUP_ELEM"];
    const named = profile.syscalls.filter(({ names }) => names.includes("bpf"))
      .map(({ comment }) => /: (\w+)\.$/.exec(comment)![1]!);
    assertEquals([...commands, ...others].toSorted(), named.toSorted());
    assertEquals(
      new Set(profile.syscalls.filter(({ names }) => names.includes("bpf")).map(({ args }) => args?.length)),
      new Set([1]),
    );
  },
);

Deno.test("the seccomp profile denies what it does not allow, and allows nothing that changes the node", () => {
  assertEquals(profile.defaultAction, "SCMP_ACT_ERRNO");
  assertEquals(new Set(profile.syscalls.map(({ action }) => action)), new Set(["SCMP_ACT_ALLOW"]));
  const names = profile.syscalls.flatMap(({ names }) => names);
  const harmful = "clone3 kill mount pivot_root process_vm_writev ptrace unlinkat unshare".split(" ");
  assertEquals(harmful.filter((name) => names.includes(name)), []);
});
