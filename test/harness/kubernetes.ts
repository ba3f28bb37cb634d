// Manifests before the schemas that Kubernetes publishes, as the npm package kubernetes-models has them: its validators
// for what values may be, and its types, since an object of a known type may have no unknown fields.

import { parse } from "@std/yaml";
import { run } from "./process.ts";

/** Where the manifests are. */
export const DIRECTORY = new URL("../../scripts/kubernetes/", import.meta.url);
const MODELS = "npm:kubernetes-models@5.1.0";

/** Has the integrity of MODELS. `deno cache --no-config --lock=test/harness/kubernetes.lock MODELS` writes it anew. */
const LOCK = new URL("kubernetes.lock", import.meta.url).pathname;

/** What we look at in a manifest. */
export interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: { name?: string; generateName?: string; namespace?: string; labels?: Record<string, string> };
  spec: {
    selector?: { matchLabels: Record<string, string> };
    template: { metadata: { labels: Record<string, string> }; spec: PodSpec };
  };
}

interface PodSpec {
  nodeName?: string;
  priorityClassName?: string;
  hostPID?: boolean;
  hostNetwork?: boolean;
  automountServiceAccountToken: boolean;
  containers: Container[];
  volumes?: { name: string; hostPath: { path: string } }[];
}

/** A container of a pod. */
export interface Container {
  image: string;
  args: string[];
  securityContext: {
    runAsUser: number;
    privileged?: boolean;
    allowPrivilegeEscalation: boolean;
    readOnlyRootFilesystem: boolean;
    capabilities: { drop: string[]; add: string[] };
  };
  resources: { limits: { memory: string; cpu: string } };
  volumeMounts?: { name: string; mountPath: string; readOnly?: boolean }[];
}

/** A container with what its pod gives it. */
export type PodContainer = Container & Pick<PodSpec, "hostPID" | "volumes">;

/** The container of a workload. */
export function containerOf({ spec }: Manifest): PodContainer {
  const { hostPID, volumes, containers } = spec.template.spec;
  return { ...containers[0]!, hostPID, volumes };
}

/** Reads a manifest, in which some words stand for what its user puts there with sed(1): the first in each line. */
export async function readManifest(name: string, words: Record<string, string>): Promise<Manifest> {
  const text = await Deno.readTextFile(new URL(name, DIRECTORY));
  const replaced = text.split("\n").map((line) =>
    Object.entries(words).reduce((line, [word, value]) => line.replace(word, value), line)
  );
  return parse(replaced.join("\n")) as Manifest;
}

/** What stands in the comment at the head of a manifest as a script. */
export async function scriptIn(name: string): Promise<string> {
  const text = await Deno.readTextFile(new URL(name, DIRECTORY));
  return text.split("\n").filter((line) => line.startsWith("#   ")).map((line) => `${line.slice(4)}\n`).join("");
}

/** Says what is wrong with a manifest by its schema; null when it is right. */
export async function findFault(manifest: Manifest): Promise<string | null> {
  const { apiVersion, kind, ...rest } = manifest;
  const module = `${MODELS}/${apiVersion}/${kind}`;
  const script = `
    import { ${kind} as Model } from ${JSON.stringify(module)};
    const manifest: ConstructorParameters<typeof Model>[0] = ${JSON.stringify(rest)};
    try {
      new Model(manifest).validate();
    } catch (error) {
      console.error(error);
      Deno.exit(1);
    }`;
  const file = await Deno.makeTempFile({ prefix: "tcphup-test-", suffix: ".ts" });
  try {
    await Deno.writeTextFile(file, script);
    const lock = [`--lock=${LOCK}`, "--frozen"];
    const flags = ["--quiet", "--no-config", ...lock, "--check", "--allow-env", "--allow-read", "--no-prompt"];
    const { code, stderr } = await run([Deno.execPath(), "run", ...flags, file], { mayFail: true });
    return code === 0 ? null : stderr;
  } finally {
    await Deno.remove(file);
  }
}
