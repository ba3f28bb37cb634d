// The network namespaces of a selection: the one that tcphup runs in, several by name, or all.

import type { NetnsInode } from "../model/ids.ts";
import { canTransfer } from "../../ffi/aio.ts";
import { getrlimit, RLIMIT_NOFILE } from "../../ffi/process.ts";
import type { Connection } from "../model/connection.ts";
import { currentNetns, inNetns, NetnsError } from "../linux/netns/enter.ts";
import { findAgain, findNetns, mustExist, type Netns, ownNetns } from "../linux/netns/find.ts";
import { mayHaveTcp } from "../linux/proc/sockstat.ts";
import { explainSetnsDenied } from "../linux/proc/permissions.ts";
import { cgroupsOf, containerOf } from "../linux/proc/cgroup.ts";
import { comm, listsAllProcesses } from "../linux/proc/process.ts";
import { type Dumper, ParallelDump } from "./parallel_dump.ts";
import { type DumpRequest, SockDiag } from "../linux/netlink/sock_diag.ts";
import { openSockDiag, openSockDiagNonblocking } from "../linux/netlink/socket.ts";
import { UnsupportedError } from "../model/errors.ts";
import { counted } from "../model/wording.ts";

/** The digits of a container's id that are shown, as docker(1) does. */
const SHOWN_ID = 12;

/** The most namespaces that are dumped at once. Each takes a descriptor, and memory for its answers. */
const AT_ONCE = 256;
/** The share of RLIMIT_NOFILE that dumps at once may use. */
const SHARE = 1 / 4;
/** With fewer namespaces than these, one dump after the other is as fast. */
const WORTH_IT = 3;

/** The network namespaces of a selection. A socket to sock_diag is open in one of them at a time. */
export class NamespaceSet {
  readonly #selected: readonly string[] | undefined;
  readonly #excluded: readonly string[];
  readonly #pids: () => readonly number[];
  readonly #diag = new SockDiag(() => this.#inside(this.#current, openSockDiag));
  /** Selected namespaces that may not be entered, each by its name or by a process in it. */
  readonly #forbidden = new Set<string>();
  /** Whether all namespaces are selected, and /proc hid processes at the last look. */
  #missesProcesses = false;
  readonly #names = new Map<NetnsInode, string>();
  #current = ownNetns();
  /** The namespaces of the last look. */
  #found: readonly Netns[] = [this.#current];
  /** All namespaces that were ever found, by inode number. */
  readonly #known = new Map<NetnsInode, Netns>([[this.#current.ino, this.#current]]);
  /** Namespaces that turned out to be gone since the last look. */
  readonly #gone = new Set<NetnsInode>();
  /** The namespaces that were excluded at the last look. */
  #leftOut: ReadonlySet<NetnsInode> = new Set();
  #hasLooked = false;

  /**
   * @param selected Names of namespaces, as `findNetns` reads them; undefined for the one that tcphup runs in.
   * @param excluded Names of the namespaces to leave out.
   * @param pids Lists all processes.
   */
  constructor(selected: readonly string[] | undefined, excluded: readonly string[], pids: () => readonly number[]) {
    this.#selected = selected;
    this.#excluded = excluded;
    this.#pids = pids;
  }

  /** The reasons why connections may have been missed: namespaces that may not be entered, and hidden processes. */
  get incomplete(): string[] {
    const hidden = "/proc hides processes, and with them the network namespaces that they live in (hidepid): ";
    return [
      ...(this.#forbidden.size > 0 ? [forbiddenText([...this.#forbidden])] : []),
      ...(this.#missesProcesses ? [hidden + explainSetnsDenied()] : []),
    ];
  }

  /**
   * Looks which namespaces there are now, and calls `work` with the inode number and the sock_diag of each. Yields after
   * the first namespace, which is this thread's own when that is selected, and then after several at a time.
   *
   * @param requests The dumps that `work` will ask for. Those of several namespaces are started at once.
   * @throws {UsageError} For a namespace that does not exist, at the first call.
   * @throws {UnsupportedError} When none of them may be entered.
   */
  *forEach(
    work: (netns: NetnsInode, diag: Dumper) => void,
    requests: (netns: NetnsInode) => readonly DumpRequest[],
  ): Generator<void, void> {
    const namespaces = this.#find();
    const share = () => Math.floor(SHARE * Number(getrlimit(RLIMIT_NOFILE).soft));
    const atOnce = namespaces.length > 1 ? Math.max(1, Math.min(AT_ONCE, share())) : 1;
    let entered = 0;
    for (let i = 0, end = 1; i < namespaces.length; i = end, end += atOnce) {
      if (i > 0) yield;
      const some = namespaces.slice(i, end);
      const pending = this.#startDumps(some, requests);
      try {
        for (const netns of some) if (this.#work(netns, work, pending.get(netns))) entered++;
      } finally {
        for (const dumps of pending.values()) dumps.close();
      }
    }
    if (entered === 0 && this.#forbidden.size > 0) throw new UnsupportedError(forbiddenText([...this.#forbidden]));
  }

  /** Calls `work` in a namespace. Returns false when the namespace cannot be entered. */
  #work(netns: Netns, work: (netns: NetnsInode, diag: Dumper) => void, pending: ParallelDump | undefined): boolean {
    try {
      const diag = this.#diagIn(netns);
      work(netns.ino, pending?.collect(diag) ?? diag);
      return true;
    } catch (error) {
      if (!(error instanceof NetnsError)) throw error;
      if (error.reason === "forbidden") this.#forbidden.add(this.nameOf(netns.ino));
      if (error.reason === "of another kind") mustExist(`Not a network namespace: "${netns.paths[0]}"`, netns.paths[0]);
      return false;
    }
  }

  /** Starts the dumps of several namespaces, so that the kernel works on them in parallel. */
  #startDumps(
    namespaces: readonly Netns[],
    requests: (netns: NetnsInode) => readonly DumpRequest[],
  ): Map<Netns, ParallelDump> {
    const pending = new Map<Netns, ParallelDump>();
    if (namespaces.length < WORTH_IT || !canTransfer()) return pending;
    for (const netns of namespaces) {
      try {
        const wanted = requests(netns.ino);
        if (wanted.length === 0) continue;
        const [netlink, hasTcp] = inNetns(netns, () => [openSockDiagNonblocking(), mayHaveTcp()]);
        pending.set(netns, new ParallelDump(netlink, wanted, hasTcp));
      } catch (error) {
        // #work() enters the namespace again and records the failure.
        if (!(error instanceof NetnsError)) throw error;
      }
    }
    return pending;
  }

  #find(): readonly Netns[] {
    if (this.#selected === undefined && this.#excluded.length === 0) return this.#found;
    const pids = this.#pids();
    // A namespace that existed at the first look may end later without an error.
    const missing = this.#hasLooked ? () => {} : mustExist;
    const found = this.#selected
      ? findNetns(this.#selected, pids, missing)
      : { namespaces: [ownNetns()], forbidden: [] };
    const left = findNetns(this.#excluded, pids, missing).namespaces;
    const there = this.#hasLooked ? [...found.namespaces, ...this.#findLost(found.namespaces, pids)] : found.namespaces;
    this.#hasLooked = true;
    this.#gone.clear();
    for (const name of found.forbidden) this.#forbidden.add(name);
    this.#missesProcesses = this.#selected !== undefined && this.#selected.includes("all") && !listsAllProcesses(pids);
    // A namespace stays excluded when the process that named it has ended.
    const stillLeft = there.filter(({ ino }) => this.#leftOut.has(ino));
    const leftOut = this.#leftOut = new Set([...left, ...stillLeft].map(({ ino }) => ino));
    const namespaces = there.filter(({ ino }) => !leftOut.has(ino));
    for (const netns of namespaces) this.#known.set(netns.ino, netns);
    // The inode number of a namespace that has gone may be reused.
    const inos = new Set(namespaces.map(({ ino }) => ino));
    for (const ino of this.#names.keys()) if (!inos.has(ino)) this.#names.delete(ino);
    return this.#found = namespaces;
  }

  /** Returns the namespaces of the last look that their names no longer lead to, and in which other processes live on. */
  #findLost(found: readonly Netns[], pids: readonly number[]): Netns[] {
    const inos = new Set(found.map(({ ino }) => ino));
    const lost = this.#found.filter(({ ino }) => !inos.has(ino));
    if (lost.length === 0 || this.#selected?.includes("all")) return [];
    return findAgain(new Set(lost.map(({ ino }) => ino)), pids);
  }

  /**
   * Calls `work` inside a namespace. When the processes that the namespace was found by have ended, it is entered through
   * another process.
   *
   * @throws {NetnsError} When the namespace cannot be entered.
   */
  #inside<T>(netns: Netns, work: () => T): T {
    try {
      return inNetns(netns, work);
    } catch (error) {
      const isGone = error instanceof NetnsError && error.reason === "gone";
      if (!isGone || this.#gone.has(netns.ino)) throw error;
      const [again] = findAgain(new Set([netns.ino]), this.#pids());
      if (again === undefined) {
        this.#gone.add(netns.ino);
        throw error;
      }
      this.#known.set(again.ino, again);
      return inNetns(again, work);
    }
  }

  #diagIn(netns: Netns): SockDiag {
    if (this.#current.ino !== netns.ino) this.#diag.close();
    this.#current = netns;
    return this.#diag;
  }

  /** Returns sock_diag of the namespace that a connection is in. */
  diagOf({ netns }: Pick<Connection, "netns">): SockDiag {
    return this.#diagIn(this.#known.get(netns)!);
  }

  /** Calls `work` inside each namespace of the last look. Returns the results by inode number. */
  inEach<T>(work: () => T): Map<NetnsInode, T> {
    const results = new Map<NetnsInode, T>();
    for (const netns of this.#found) {
      try {
        results.set(netns.ino, this.#inside(netns, work));
      } catch (error) {
        if (!(error instanceof NetnsError)) throw error;
      }
    }
    return results;
  }

  /** Calls `work` inside a namespace that was found. @throws {NetnsError} When it cannot be entered. */
  within<T>(netns: NetnsInode, work: () => T): T {
    return this.#inside(this.#known.get(netns)!, work);
  }

  /** Whether the last look had several namespaces, so that a connection has to name its own. */
  get areSeveral(): boolean {
    return this.#found.length > 1;
  }

  /**
   * Returns the name of a namespace: the one that ip-netns(8) shows, else the container of a process in it, else that
   * process as `PID/NAME`.
   */
  nameOf(netns: NetnsInode): string {
    let name = this.#names.get(netns);
    if (name === undefined) this.#names.set(netns, name = nameFor(this.#known.get(netns)!));
    return name;
  }

  close(): void {
    this.#diag.close();
  }
}

function nameFor({ ino, name, pid, paths }: Netns): string {
  if (name !== null) return name;
  if (pid === null) return ino === currentNetns() ? "this one" : paths[0];
  return containerOf(cgroupsOf(pid))?.slice(0, SHOWN_ID) ?? `${pid}/${comm(pid)}`;
}

const SHOWN = 5;

/** Returns a sentence that names the namespaces that may not be entered. */
function forbiddenText(forbidden: readonly string[]): string {
  const more = forbidden.length > SHOWN ? ` and ${forbidden.length - SHOWN} more` : "";
  const some = forbidden.slice(0, SHOWN).join(", ") + more;
  return `${counted(forbidden.length, "network namespace")} may not be entered: ${some}: ${explainSetnsDenied()}`;
}
