// Containers as a cluster's node runs them, made by podman: of the image that the Containerfile describes, with the
// privileges and limits that a manifest gives.

import type { PodContainer } from "./kubernetes.ts";
import { toCommand } from "../../scripts/process.ts";
import { commandLine, PATIENCE_MS, run } from "./process.ts";

const CONTAINERFILE = new URL("../../scripts/kubernetes/Containerfile", import.meta.url).pathname;
/** The profile that the manifests name. */
export const SECCOMP_PROFILE = new URL("../../scripts/kubernetes/seccomp.json", import.meta.url).pathname;
const TAG = "localhost/tcphup:test";

// Podman 5 would warn of cgroup v1, which is not what is tried here.
Deno.env.set("PODMAN_IGNORE_CGROUPSV1_WARNING", "1");

/** Images and containers in a directory of their own. */
class Storage {
  readonly directory = Deno.makeTempDirSync({ prefix: "tcphup-test-" });

  /** A command line of podman's. */
  command(...args: string[]): string[] {
    const places = ["--root", `${this.directory}/root`, "--runroot", `${this.directory}/run`];
    return ["podman", ...places, "--storage-driver=vfs", "--cgroup-manager=cgroupfs", "--runtime=runc", ...args];
  }

  /** Runs podman, and returns what it prints. */
  async podman(...args: string[]): Promise<string> {
    return (await run(this.command(...args))).stdout.trim();
  }

  /** Makes the root directory of a container that has nothing but busybox. Returns its path. */
  makeRoot(): string {
    const root = `${this.directory}/busybox`;
    Deno.mkdirSync(`${root}/bin`, { recursive: true });
    Deno.copyFileSync("/bin/busybox", `${root}/bin/busybox`);
    return root;
  }

  /** Whether podman works here still: the monitor of a container that has ended starts it once more. */
  #isInUse(): boolean {
    return [...Deno.readDirSync("/proc")].some(({ name }) =>
      /^\d+$/.test(name) && commandLine(Number(name)).some((word) => word.startsWith(this.directory))
    );
  }

  close(): void {
    const deadline = Date.now() + PATIENCE_MS;
    while (this.#isInUse() && Date.now() < deadline) Atomics.wait(never, 0, 0, 20);
    Deno.removeSync(this.directory, { recursive: true });
  }
}

const never = new Int32Array(new SharedArrayBuffer(4));

/** What a container is given in any case. The limits are no higher than podman's own, which it has no right to raise here. */
const RUN = ["--rm", "--network=none", "--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"];

let permitted: boolean | undefined;

/** Whether this machine lets a container run at all: one with nothing but busybox in it. */
export function canRunContainers(): boolean {
  return permitted ??= Deno.uid() === 0 && runsBusybox();
}

function runsBusybox(): boolean {
  const storage = new Storage();
  try {
    const command = storage.command("run", ...RUN, "--rootfs", storage.makeRoot(), "/bin/busybox", "true");
    const { success, stderr } = toCommand(command).outputSync();
    if (!success) console.error(`No containers here: ${new TextDecoder().decode(stderr).trim()}`);
    return success;
  } catch (error) {
    // Without podman or busybox.
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  } finally {
    storage.close();
  }
}

/** A container in which a program talks to itself over port 8000, and connects anew when that ends. */
export class Talker implements AsyncDisposable {
  readonly #storage: Storage;
  /** 64 hexadecimal digits. */
  readonly id: string;

  private constructor(storage: Storage, id: string) {
    this.#storage = storage;
    this.id = id;
  }

  static async start(): Promise<Talker> {
    const storage = new Storage();
    const script = "busybox nc -ll -p 8000 -e busybox sleep 1000 & " +
      "while :; do busybox nc 127.0.0.1 8000 </dev/zero; busybox sleep 0.1; done";
    const command = ["--rootfs", storage.makeRoot(), "/bin/busybox", "sh", "-c", script];
    return new Talker(storage, await storage.podman("run", "--detach", ...RUN, ...command));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#storage.podman("rm", "--force", "--time=0", this.id);
    this.#storage.close();
  }
}

/** The image of tcphup. */
export class Image {
  readonly #storage = new Storage();

  private constructor() {}

  /**
   * Builds it.
   *
   * @param program The compiled program.
   */
  static async build(program: string): Promise<Image> {
    const image = new Image();
    const base = await image.#importBase(program);
    const context = `${image.#storage.directory}/build`;
    await Deno.mkdir(context);
    await Deno.copyFile(program, `${context}/tcphup`);
    const flags = ["--pull=never", "--isolation=chroot", "--from", base, "--file", CONTAINERFILE, "--tag", TAG];
    await image.#storage.podman("build", ...flags, context);
    return image;
  }

  /**
   * Makes what stands in for the base image, which is on a registry: what it has that the program needs, as this machine
   * has it. Returns its name.
   */
  async #importBase(program: string): Promise<string> {
    const base = "localhost/base:test";
    const { stdout } = await run(["ldd", program]);
    const libraries = [...stdout.matchAll(/\/\S+/g)].map(([path]) => path.slice(1));
    const archive = `${this.#storage.directory}/base.tar`;
    await run(["tar", "--create", "--dereference", "--file", archive, "-C", "/", ...libraries]);
    await this.#storage.podman("import", archive, base);
    return base;
  }

  /** The command that runs it as a user without any privileges. There is a busybox, which also is /bin/sh. */
  command(...args: string[]): string[] {
    const volumes = ["/bin/busybox", "/bin/sh"].map((path) => `--volume=/bin/busybox:${path}:ro`);
    const flags = ["--user=1000", "--read-only", "--read-only-tmpfs=false", "--cap-drop=all", ...volumes];
    return this.#storage.command("run", ...RUN, ...flags, "--security-opt=no-new-privileges", TAG, ...args);
  }

  /**
   * The command that runs it as a manifest says. The PID namespace that the command is run in stands for the node's.
   *
   * @param seccomp A seccomp profile in place of the runtime's.
   */
  commandOf(container: PodContainer, seccomp?: string): string[] {
    const { hostPID, securityContext, resources, args, volumes = [], volumeMounts = [] } = container;
    const { runAsUser, allowPrivilegeEscalation, readOnlyRootFilesystem, capabilities } = securityContext;
    const flags = [
      ...(hostPID ? ["--pid=host"] : []),
      "--cgroupns=private",
      ...volumeMounts.map(({ name, mountPath, readOnly }) => {
        const { path } = volumes.find((volume) => volume.name === name)!.hostPath;
        return `--volume=${path}:${mountPath}${readOnly ? ":ro" : ""}`;
      }),
      `--user=${runAsUser}`,
      `--read-only=${readOnlyRootFilesystem}`,
      "--read-only-tmpfs=false",
      ...(allowPrivilegeEscalation ? [] : ["--security-opt=no-new-privileges"]),
      "--security-opt=apparmor=unconfined",
      ...(seccomp === undefined ? [] : [`--security-opt=seccomp=${seccomp}`]),
      ...capabilities.drop.map((name) => `--cap-drop=${name}`),
      ...capabilities.add.map((name) => `--cap-add=${name}`),
      `--memory=${resources.limits.memory.replace(/i$/, "")}`,
      `--cpus=${resources.limits.cpu.replace(/^(\d+)m$/, (_, thousandths) => `${thousandths / 1000}`)}`,
    ];
    return this.#storage.command("run", ...RUN, ...flags, TAG, ...args);
  }

  close(): void {
    this.#storage.close();
  }
}
