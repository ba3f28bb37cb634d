// A control group of a test's own, in the hierarchy of cgroup v2.

import { cgroupMounts } from "../../src/linux/proc/mountinfo.ts";

/** Where cgroup v2 is mounted; null where it is not. */
export const CGROUP_ROOT: string | null =
  cgroupMounts(Deno.readTextFileSync("/proc/self/mountinfo")).find(({ unified }) => unified)?.point ?? null;

/** A control group. Disposing of it puts what is left in it back into the root. */
export class Cgroup implements AsyncDisposable {
  /** Its path from the root of the hierarchy. */
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /** Makes one below another one, or below the root. */
  static async create(name: string, parent?: Cgroup): Promise<Cgroup> {
    const cgroup = new Cgroup(`${parent?.path ?? ""}/${name}`);
    await Deno.mkdir(cgroup.directory);
    return cgroup;
  }

  /** A name that no other test uses. */
  static uniqueName(): string {
    return `tcphup-test-${crypto.randomUUID().slice(0, 8)}`;
  }

  /** The id of a container that no other test uses: 64 hexadecimal digits. */
  static uniqueContainerId(): string {
    return (crypto.randomUUID() + crypto.randomUUID()).replaceAll("-", "");
  }

  get directory(): string {
    return `${CGROUP_ROOT}${this.path}`;
  }

  /** Puts a process into it. */
  async add(pid: number): Promise<void> {
    await Deno.writeTextFile(`${this.directory}/cgroup.procs`, `${pid}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await remove(this.directory);
  }
}

/** Removes a control group, and those in it that `tcphup run` has left there. */
async function remove(directory: string): Promise<void> {
  for (const { name } of Deno.readDirSync(directory)) {
    if (name.startsWith("tcphup-run-")) await remove(`${directory}/${name}`);
  }
  const pids = await Deno.readTextFile(`${directory}/cgroup.procs`);
  for (const pid of pids.split("\n").filter((line) => line !== "")) {
    // It may end by itself meanwhile.
    await Deno.writeTextFile(`${CGROUP_ROOT}/cgroup.procs`, pid).catch(() => {});
  }
  await Deno.remove(directory);
}
