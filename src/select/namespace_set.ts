// Where connections are looked for: one network namespace, several by name, or all that there are.

import { canTransfer } from "../../ffi/aio.ts";
import { IPPROTO_TCP } from "../../ffi/socket.ts";
import type { Descriptor } from "../../ffi/descriptor.ts";
import type { Connection } from "../model/connection.ts";
import { currentNetns, inNetns, NetnsError } from "../linux/netns/enter.ts";
import { findAgain, findNetns, mustExist, type Netns, ownNetns } from "../linux/netns/find.ts";
import { mayHaveTcp } from "../linux/proc/sockstat.ts";
import { explainSetnsDenied } from "../linux/proc/permissions.ts";
import { cgroupsOf, containerOf } from "../linux/proc/cgroup.ts";
import { comm, descriptorLimit, listsAllProcesses } from "../linux/proc/process.ts";
import { type Dumper, ParallelDump, WithoutTcp } from "./parallel_dump.ts";
import { type DumpRequest, SockDiag } from "../linux/netlink/sock_diag.ts";
import { openSockDiag, openSockDiagNonblocking } from "../linux/netlink/socket.ts";
import { Unsupported, UsageError } from "../model/errors.ts";

/** How much of a container's id is shown, as docker(1) does. */
const SHOWN_ID = 12;

/** How many namespaces are asked at once, at the most: each takes a descriptor, and memory for what it answers. */
const AT_ONCE = 256;
/** The part of all descriptors that may go into that. */
const SHARE = 1 / 4;
/** How many it takes for that to be faster than asking one after the other. */
const WORTH_IT = 3;

/** The network namespaces of a selection. sock_diag is spoken to in one of them at a time. */
export class NamespaceSet {
  readonly #selected: readonly string[] | undefined;
  readonly #excluded: readonly string[];
  readonly #pids: () => readonly number[];
  readonly #diag = new SockDiag(() => this.#inside(this.#current, openSockDiag));
  /** Those that were asked for and may not be entered, each by a name or by a process in it. */
  readonly #forbidden = new Set<string>();
  /** Whether all were asked for at the last look, and not all processes were there to be seen. */
  #missesProcesses = false;
  readonly #names = new Map<number, string>();
  #current = ownNetns();
  /** Those that were found at the last look. */
  #found: readonly Netns[] = [this.#current];
  /** Those that were ever found, by inode number. */
  readonly #known = new Map<number, Netns>([[this.#current.ino, this.#current]]);
  /** Those in which nobody lived any more when one of them was to be entered, since the last look. */
  readonly #gone = new Set<number>();
  /** Those that were left out at the last look. */
  #leftOut: ReadonlySet<number> = new Set();
  #hasLooked = false;

  /**
   * @param selected What names the namespaces; undefined for the one that tcphup runs in.
   * @param excluded What names those to be left out.
   * @param pids The processes that there are.
   * @throws {UsageError} When one of them is not there.
   */
  constructor(selected: readonly string[] | undefined, excluded: readonly string[], pids: () => readonly number[]) {
    this.#selected = selected;
    this.#excluded = excluded;
    this.#pids = pids;
  }

  /** Why connections may have been missed: namespaces that may not be entered, and those of hidden processes. */
  get incomplete(): string[] {
    const hidden = "/proc hides processes, and with them the network namespaces that they live in (hidepid): ";
    return [
      ...(this.#forbidden.size > 0 ? [forbiddenText([...this.#forbidden])] : []),
      ...(this.#missesProcesses ? [hidden + explainSetnsDenied()] : []),
    ];
  }

  /**
   * Does work in one namespace after the other, as they are now: it is given the inode number, and the sock_diag of it. Comes
   * back after the first namespace, this thread's own where that is one of them, and then after some at a time.
   *
   * @param requests The dumps that it will ask for. Those of many namespaces are asked for at once.
   * @throws {UsageError} For a namespace that is not there, the first time.
   * @throws {Unsupported} When none of them may be entered.
   */
  *forEach(
    work: (netns: number, diag: Dumper) => void,
    requests: (netns: number) => readonly DumpRequest[],
  ): Generator<void, void> {
    const namespaces = this.#find();
    const atOnce = namespaces.length > 1 ? Math.max(1, Math.min(AT_ONCE, Math.floor(SHARE * descriptorLimit()))) : 1;
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
    if (entered === 0 && this.#forbidden.size > 0) throw new Unsupported(forbiddenText([...this.#forbidden]));
  }

  /** Returns whether it could be done. */
  #work(netns: Netns, work: (netns: number, diag: Dumper) => void, pending: PendingDumps | undefined): boolean {
    try {
      const diag = this.#diagIn(netns);
      work(netns.ino, pending?.collect(diag) ?? diag);
      return true;
    } catch (error) {
      if (!(error instanceof NetnsError)) throw error;
      this.#excludeProcess(netns, error);
      return false;
    }
  }

  /** Asks namespaces, where there are several, for the dumps that their work will ask for. */
  #startDumps(
    namespaces: readonly Netns[],
    requests: (netns: number) => readonly DumpRequest[],
  ): Map<Netns, PendingDumps> {
    const pending = new Map<Netns, PendingDumps>();
    if (namespaces.length < WORTH_IT || !canTransfer()) return pending;
    for (const netns of namespaces) {
      try {
        const wanted = requests(netns.ino);
        if (wanted.length === 0) continue;
        const [netlink, hasTcp] = inNetns(netns, () => [openSockDiagNonblocking(), mayHaveTcp()]);
        pending.set(netns, new PendingDumps(netlink, wanted, hasTcp));
      } catch (error) {
        // Its turn comes again, and then it is noted.
        if (!(error instanceof NetnsError)) throw error;
      }
    }
    return pending;
  }

  #find(): readonly Netns[] {
    if (this.#selected === undefined && this.#excluded.length === 0) return this.#found;
    const pids = this.#pids();
    // What was there at first may go later.
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
    // The process by which one was named may have ended.
    const stillLeft = there.filter(({ ino }) => this.#leftOut.has(ino));
    const leftOut = this.#leftOut = new Set([...left, ...stillLeft].map(({ ino }) => ino));
    const namespaces = there.filter(({ ino }) => !leftOut.has(ino));
    for (const netns of namespaces) this.#known.set(netns.ino, netns);
    // The number of one that has gone may be another's by now.
    const inos = new Set(namespaces.map(({ ino }) => ino));
    for (const ino of this.#names.keys()) if (!inos.has(ino)) this.#names.delete(ino);
    return this.#found = namespaces;
  }

  /** Those of the last look to which nothing leads any more by which they were asked for, and in which others live on. */
  #findLost(found: readonly Netns[], pids: readonly number[]): Netns[] {
    const inos = new Set(found.map(({ ino }) => ino));
    const lost = this.#found.filter(({ ino }) => !inos.has(ino));
    if (lost.length === 0 || this.#selected?.includes("all")) return [];
    return findAgain(new Set(lost.map(({ ino }) => ino)), pids);
  }

  /**
   * Does work inside a namespace, which is entered by way of another process where those by which it was found have ended.
   *
   * @throws {NotEntered}
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

  #excludeProcess(netns: Netns, { reason }: NetnsError): void {
    if (reason === "forbidden") this.#forbidden.add(this.nameOf(netns.ino));
    if (reason === "of another kind") throw new UsageError(`Not a network namespace: "${netns.paths[0]}"`);
  }

  #diagIn(netns: Netns): SockDiag {
    if (this.#current.ino !== netns.ino) this.#diag.close();
    this.#current = netns;
    return this.#diag;
  }

  /** sock_diag of the namespace that a connection is in. */
  diagOf({ netns }: Pick<Connection, "netns">): SockDiag {
    return this.#diagIn(this.#known.get(netns)!);
  }

  /** Does work inside each namespace that was looked into last. Returns what came of it, by inode number. */
  inEach<T>(work: () => T): Map<number, T> {
    const results = new Map<number, T>();
    for (const netns of this.#found) {
      try {
        results.set(netns.ino, this.#inside(netns, work));
      } catch (error) {
        if (!(error instanceof NetnsError)) throw error;
      }
    }
    return results;
  }

  /** Does work inside a namespace that was found. @throws {NotEntered} */
  within<T>(netns: number, work: () => T): T {
    return this.#inside(this.#known.get(netns)!, work);
  }

  /** Whether several were looked into last, so that it has to be said which one a connection is in. */
  get areSeveral(): boolean {
    return this.#found.length > 1;
  }

  /**
   * What to call a namespace: the name that ip-netns(8) has for it; else the container that a process in it belongs to;
   * else that process, as `PID/NAME`.
   */
  nameOf(netns: number): string {
    let name = this.#names.get(netns);
    if (name === undefined) this.#names.set(netns, name = nameFor(this.#known.get(netns)!));
    return name;
  }

  close(): void {
    this.#diag.close();
  }
}

/** Dumps of a namespace that were asked for, without those that are known to find nothing. */
class PendingDumps {
  readonly #dumps: ParallelDump;
  readonly #hasTcp: boolean;

  constructor(netlink: Descriptor, requests: readonly DumpRequest[], hasTcp: boolean) {
    this.#hasTcp = hasTcp;
    // Without TCP sockets, what comes behind them in a list is not asked for.
    const end = hasTcp ? requests.length : requests.findIndex(({ protocol }) => protocol === IPPROTO_TCP);
    this.#dumps = new ParallelDump(netlink, requests.slice(0, end));
  }

  /** Waits for them. What needs to be asked anew, `diag` is asked. */
  collect(diag: Dumper): Dumper {
    return this.#dumps.collect(this.#hasTcp ? diag : new WithoutTcp(diag));
  }

  close(): void {
    this.#dumps.close();
  }
}

function nameFor({ ino, name, pid, paths }: Netns): string {
  if (name !== null) return name;
  if (pid === null) return ino === currentNetns() ? "this one" : paths[0];
  return containerOf(cgroupsOf(pid))?.slice(0, SHOWN_ID) ?? `${pid}/${comm(pid)}`;
}

const SHOWN = 5;

/** Says which namespaces may not be entered. */
function forbiddenText(forbidden: readonly string[]): string {
  const more = forbidden.length > SHOWN ? ` and ${forbidden.length - SHOWN} more` : "";
  const some = forbidden.slice(0, SHOWN).join(", ") + more;
  const are = forbidden.length === 1 ? "1 network namespace" : `${forbidden.length} network namespaces`;
  return `${are} may not be entered: ${some}: ${explainSetnsDenied()}`;
}
