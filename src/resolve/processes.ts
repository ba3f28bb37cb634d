// Selects processes by number, name, program, control group or container.

import { isSyscallError } from "../../ffi/errno.ts";
import { readlink } from "../../ffi/fs.ts";
import { UsageError } from "../model/errors.ts";
import { about } from "../model/wording.ts";
import {
  cgroupExists,
  type CgroupMatcher,
  cgroupMatcher,
  cgroupsOf,
  containerOf,
  mountPoints,
  withoutRuntime,
} from "../linux/proc/cgroup.ts";
import { glob, isGlob } from "../model/glob.ts";
import { comm, listsAllProcesses, parent, processes, readFile } from "../linux/proc/process.ts";
import type { ProcessCriteria } from "../select/compile_selection.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** A process. Each property is read from /proc when it is first used, and then kept. */
export class Process {
  readonly pid: number;
  #comm: string | undefined;
  #parent: number | undefined;
  #cgroups: string[] | undefined;
  #exe: string | null | undefined;
  /** Whether `exe` was used and this user may not read it. */
  exeIsUnreadable = false;

  constructor(pid: number) {
    this.pid = pid;
  }

  get comm(): string {
    return this.#comm ??= comm(this.pid);
  }

  get parent(): number {
    return this.#parent ??= parent(this.pid);
  }

  get cgroups(): readonly string[] {
    return this.#cgroups ??= cgroupsOf(this.pid);
  }

  get container(): string | null {
    return containerOf(this.cgroups);
  }

  /** The path of the program; null for a kernel thread, a process that has gone, and one whose program may not be read. */
  get exe(): string | null {
    if (this.#exe === undefined) this.#exe = this.#readExe();
    return this.#exe;
  }

  #readExe(): string | null {
    const target = new Uint8Array(4096);
    try {
      const length = readlink(`/proc/${this.pid}/exe`, target);
      return length === 0 ? null : decoder.decode(target.subarray(0, length)).replace(/ \(deleted\)$/, "");
    } catch (error) {
      if (!isSyscallError(error, "EACCES", "EPERM")) throw error;
      this.exeIsUnreadable = true;
      return null;
    }
  }
}

/** All processes at one moment. */
export class ProcessSnapshot {
  readonly #processes = new Map(processes().map((pid) => [pid, new Process(pid)]));

  /** Whether /proc hides no process from this user. */
  get isComplete(): boolean {
    return listsAllProcesses([...this.#processes.keys()]);
  }

  get all(): Process[] {
    return [...this.#processes.values()];
  }

  process(pid: number): Process | undefined {
    return this.#processes.get(pid);
  }

  /** Whether a process is one of `pids`, or descends from one. */
  descendsFrom(process: Process, pids: ReadonlySet<number>): boolean {
    for (let one: Process | undefined = process; one; one = this.process(one.parent)) {
      if (pids.has(one.pid)) return true;
    }
    return false;
  }
}

type Condition = (one: Process, snapshot: ProcessSnapshot) => boolean;

/** Selects the processes that fit criteria. */
export class ProcessFilter {
  readonly #criteria: ProcessCriteria;
  readonly #missingOk: boolean;
  readonly #path: string;
  readonly #conditions: readonly Condition[];

  /**
   * @param options.children Whether a process in `pid` selects its descendants too.
   * @param options.missingOk Whether a control group that does not exist is no error.
   * @param options.path The prefix of the criteria's names in errors: `not.`.
   */
  constructor(
    criteria: ProcessCriteria,
    { children = false, missingOk = false, path = "" }: { children?: boolean; missingOk?: boolean; path?: string },
  ) {
    this.#criteria = criteria;
    this.#missingOk = missingOk;
    this.#path = path;
    this.#conditions = conditionsOf(criteria, children, path);
  }

  /** Returns the processes of a snapshot that fit. */
  matching(snapshot: ProcessSnapshot): Process[] {
    return snapshot.all.filter((process) => this.#conditions.every((holds) => holds(process, snapshot)));
  }

  /**
   * Checks that the criteria name existing things.
   *
   * @throws {UsageError} For a process, a control group or a container that does not exist, and for the start of an id that
   * several containers have.
   */
  verify(snapshot: ProcessSnapshot): void {
    const { pid, cgroup, container } = this.#criteria;
    const path = this.#path;
    for (const number of pid) about(`${path}pid`, number, () => verifyProcess(number, snapshot));
    if (!this.#missingOk) {
      for (const text of cgroup) about(`${path}cgroup`, text, () => verifyCgroup(text, snapshot));
    }
    for (const id of container) about(`${path}container`, id, () => verifyContainer(id, snapshot));
  }
}

function conditionsOf(criteria: ProcessCriteria, children: boolean, path: string): Condition[] {
  const { pid, comm, exe, cgroup, container } = criteria;
  const pids = new Set(pid);
  const points = cgroup.length > 0 ? mountPoints() : [];
  const comms = comm.map((pattern) => about(`${path}comm`, pattern, () => commMatcher(pattern)));
  const exes = exe.map((pattern) => about(`${path}exe`, pattern, () => exeMatcher(pattern)));
  const cgroups = cgroup.map((text) => about(`${path}cgroup`, text, () => cgroupMatcher(text, points)));
  const ids = container.map(withoutRuntime);
  const given: [readonly unknown[], Condition][] = [
    [pid, (process, snapshot) => children ? snapshot.descendsFrom(process, pids) : pids.has(process.pid)],
    [comm, (process) => comms.some((matches) => matches(process.comm))],
    [exe, (process) => process.exe !== null && exes.some((matches) => matches(process.exe!))],
    [cgroup, (process) => cgroups.some((matches) => inCgroup(process, matches))],
    [container, (process) => ids.some((id) => process.container?.startsWith(id) ?? false)],
  ];
  return given.filter(([values]) => values.length > 0).map(([, condition]) => condition);
}

/** TASK_COMM_LEN of the kernel, without the NUL. */
const COMM_BYTES = 15;

/** Returns a matcher for names. A plain name is cut to the bytes that the kernel keeps. A name may contain slashes. */
function commMatcher(pattern: string): (comm: string) => boolean {
  if (isGlob(pattern)) return glob(pattern.replaceAll(/\*+/g, "**"));
  const kept = decoder.decode(encoder.encode(pattern).subarray(0, COMM_BYTES));
  return (comm) => comm === kept;
}

function exeMatcher(pattern: string): (exe: string) => boolean {
  const matches = glob(pattern);
  return pattern.includes("/") ? matches : (exe) => matches(exe.slice(exe.lastIndexOf("/") + 1));
}

function inCgroup(process: Process, matches: CgroupMatcher): boolean {
  const { cgroups } = process;
  return cgroups.length === 0 ? matches("/") : cgroups.some(matches);
}

function notFound(message: string): UsageError {
  return new UsageError(message, { code: "not-found" });
}

function verifyProcess(pid: number, snapshot: ProcessSnapshot): void {
  if (snapshot.process(pid) !== undefined) return;
  // /proc/TID exists for each thread, though only processes are listed.
  const [, leader] = /^Tgid:\s*(\d+)$/m.exec(readFile(`/proc/${pid}/status`) ?? "") ?? [];
  if (leader === undefined) {
    throw notFound(`No process ${pid}${snapshot.isComplete ? "" : " that this user may see"}`);
  }
  if (Number(leader) !== pid) throw notFound(`Not a process: ${pid} is a thread of process ${leader}`);
}

function verifyCgroup(text: string, snapshot: ProcessSnapshot): void {
  const points = mountPoints();
  const matches = cgroupMatcher(text, points);
  if (snapshot.all.some((process) => inCgroup(process, matches)) || cgroupExists(text, matches, points)) return;
  throw notFound(
    `No cgroup "${text}": expected a path below ${points[0]}, the name of a cgroup such as that of a systemd unit, ` +
      "or the id of a pod or container",
  );
}

/** The digits of a container's id that are shown, as docker(1) does, unless more are needed to tell ids apart. */
const SHOWN = 12;

function verifyContainer(text: string, snapshot: ProcessSnapshot): void {
  const start = withoutRuntime(text);
  if (!/^[0-9a-f]{1,64}$/.test(start)) {
    throw new UsageError(
      `Not a container's id: "${text}": expected up to 64 hexadecimal digits, not a name; a pod's UID selects as a cgroup`,
    );
  }
  const ids = new Set(snapshot.all.flatMap(({ container }) => container?.startsWith(start) ? [container] : []));
  if (ids.size === 0) throw notFound(`No container "${start}": no process is in one whose id starts so`);
  if (ids.size > 1) {
    const some = distinct([...ids].slice(0, 3)).join(", ");
    throw new UsageError(
      `Several containers "${start}": ${some}${ids.size > 3 ? " and others" : ""}: give more digits`,
      { code: "ambiguous" },
    );
  }
}

/** Returns the starts of ids, long enough to tell the ids apart. */
function distinct(ids: readonly string[]): string[] {
  for (let length = SHOWN;; length++) {
    const starts = ids.map((id) => id.slice(0, length));
    if (new Set(starts).size === ids.length) return starts;
  }
}
