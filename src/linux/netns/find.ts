// Finds network namespaces: /proc/PID/ns/net of every process, and the files of ip-netns(8) in /run/netns.

import type { NetnsInode } from "../../model/ids.ts";
import { readDirectory } from "../../../ffi/files.ts";
import { isSyscallError, withFallback } from "../../../ffi/errno.ts";
import { readlink, statx } from "../../../ffi/fs.ts";
import { UsageError } from "../../model/errors.ts";
import { currentNetns, type NetnsFile, OWN_NETNS } from "./enter.ts";

/** A network namespace that was found. */
export interface Netns extends NetnsFile {
  /** The name that ip-netns(8) shows; null when it has none. */
  readonly name: string | null;
  /** The process with the lowest number in it; null when none is known. */
  readonly pid: number | null;
}

/** The directories in which ip-netns(8) and container runtimes keep names. /var/run is a link to /run nowadays. */
const NAME_DIRECTORIES = ["/run/netns", "/var/run/netns"];

/** The processes of a namespace that are remembered, so that it can be entered after one has ended. */
const SPARE_PATHS = 3;

/** The result of a search, each namespace once. */
export interface FoundNetns {
  readonly namespaces: readonly Netns[];
  /** Namespaces that this user may not look at, each by the text that named it or by a process in it: `process 42`. */
  readonly forbidden: readonly string[];
}

/** Returns the namespace of this thread. */
export function ownNetns(): Netns {
  return { ino: currentNetns(), paths: [OWN_NETNS], name: null, pid: null };
}

/**
 * Finds the namespaces that texts name: `all`, a name of ip-netns(8), the number of a process, or a path.
 *
 * @param pids All processes.
 * @param missing Called with a message, and with the text that names no namespace.
 */
export function findNetns(
  texts: readonly string[],
  pids: readonly number[],
  missing: (problem: string, text: string) => void,
): FoundNetns {
  const search = new NetnsSearch();
  for (const text of texts) {
    if (text === "all") search.findAll(pids);
    else search.find(text, missing);
  }
  return search;
}

/** Finds those of the namespaces that still have a process or a name. */
export function findAgain(inos: ReadonlySet<NetnsInode>, pids: readonly number[]): Netns[] {
  return findNetns(["all"], pids, () => {}).namespaces.filter(({ ino }) => inos.has(ino));
}

/** Throws for a text that names no namespace. */
export function mustExist(problem: string, text: string): never {
  throw new UsageError(problem, { code: "not-found", option: "netns", value: text });
}

class NetnsSearch implements FoundNetns {
  readonly forbidden: string[] = [];
  readonly #found = new Map<NetnsInode, Netns>();

  get namespaces(): Netns[] {
    return [...this.#found.values()];
  }

  /** Finds every namespace that has a process or a name. This thread's own comes first. */
  findAll(pids: readonly number[]): void {
    this.#add(ownNetns());
    const unreadable: number[] = [];
    for (const pid of pids) {
      const ino = netnsOf(pid);
      if (ino === "unreadable") unreadable.push(pid);
      else if (ino !== null) this.#add({ ino, paths: [netnsPath(pid)], name: null, pid });
    }
    for (const netns of namedNamespaces()) this.#add(netns);
    if (unreadable.length > 0) this.#reportUnreadable(unreadable);
  }

  /**
   * Reports the namespaces of processes whose /proc/PID/ns may not be read. /proc/PID/net/tcp is open to every user, and
   * has an inode number of its own in each namespace.
   */
  #reportUnreadable(unreadable: readonly number[]): void {
    const known = new Set(this.namespaces.map(({ pid }) => pid === null ? null : tcpFileInode(pid)));
    for (const pid of unreadable) {
      const table = tcpFileInode(pid);
      if (table === null || known.has(table)) continue;
      known.add(table);
      this.forbidden.push(`process ${pid}`);
    }
  }

  find(text: string, missing: (problem: string, text: string) => void): void {
    const { candidates, problem } = candidatesFor(text);
    const found = candidates.map(findAt);
    const netns = found.find((one) => typeof one === "object");
    if (netns !== undefined) this.#add(/^\d+$/.test(text) ? { ...netns, pid: Number(text) } : netns);
    else if (found.includes("forbidden")) this.forbidden.push(text);
    else missing(found.includes("other") ? `Not a network namespace: "${text}"` : problem, text);
  }

  #add(netns: Netns): void {
    const known = this.#found.get(netns.ino);
    if (known === undefined) {
      this.#found.set(netns.ino, netns);
    } else if (known.paths.length < SPARE_PATHS || netns.name !== null) {
      // A name outlives a process, so it comes first.
      const [first, second] = netns.name === null ? [known, netns] : [netns, known];
      const paths = [...first.paths, ...second.paths] as const;
      this.#found.set(netns.ino, { ...known, paths, name: known.name ?? netns.name, pid: known.pid ?? netns.pid });
    }
  }
}

function netnsPath(pid: number | string): string {
  return `/proc/${pid}/ns/net`;
}

/** Returns the files that a text may name, and the message when none of them is a namespace. */
function candidatesFor(text: string): { candidates: string[]; problem: string } {
  if (/^\d+$/.test(text)) {
    return { candidates: [netnsPath(text)], problem: `No process ${text}, whose network namespace was asked for` };
  }
  if (text.includes("/")) {
    return { candidates: [text], problem: `No network namespace "${text}": there is no such file` };
  }
  return {
    candidates: NAME_DIRECTORIES.map((directory) => `${directory}/${text}`),
    problem:
      `No network namespace "${text}": expected a name that "ip netns" lists, the number of a process, the path ` +
      "of a namespace, or all",
  };
}

const link = new Uint8Array(64);
const decoder = new TextDecoder();

/** Returns the namespace of a process, from the link `net:[4026531840]`; null when the process has ended. */
function netnsOf(pid: number): NetnsInode | null | "unreadable" {
  const length = withFallback(null, () => readlink(netnsPath(pid), link), "EACCES", "EPERM");
  if (length === null) return "unreadable";
  const [, ino] = /^net:\[(\d+)\]$/.exec(decoder.decode(link.subarray(0, length))) ?? [];
  return ino === undefined ? null : Number(ino);
}

/** Returns the inode number of /proc/PID/net/tcp; null when the process has ended. */
function tcpFileInode(pid: number): number | null {
  return withFallback(null, () => statx(null, `/proc/${pid}/net/tcp`).ino);
}

/** Returns the namespaces that have names. A name whose mount has gone is an empty file, and no namespace. */
function namedNamespaces(): Netns[] {
  const paths = NAME_DIRECTORIES.flatMap((directory) => namesIn(directory).map((name) => `${directory}/${name}`));
  return paths.map(findAt).filter((netns) => typeof netns === "object");
}

/** Whether a path is a file of /proc/PID/ns other than `net`. A bind mount of one does not tell its kind. */
function isOfAnotherKind(path: string): boolean {
  const length = withFallback(0, () => readlink(path, link), "EINVAL");
  return /^(?!net:)\w+:\[\d+\]$/.test(decoder.decode(link.subarray(0, length)));
}

function namesIn(directory: string): string[] {
  return withFallback([], () => readDirectory(directory), "ENOENT", "EACCES", "ENOTDIR").map(({ name }) => name);
}

/** The namespace at a path; `"forbidden"` for one that may not be looked at, `"other"` for a file of another kind. */
function findAt(path: string): Netns | "missing" | "forbidden" | "other" {
  try {
    const { ino, dev } = statx(null, path);
    if (dev !== statx(null, OWN_NETNS).dev || isOfAnotherKind(path)) return "other";
    const [, name = null] = /^(?:\/var)?\/run\/netns\/([^/]+)$/.exec(path) ?? [];
    return { ino, paths: [path], name, pid: null };
  } catch (error) {
    if (isSyscallError(error, "EACCES", "EPERM")) return "forbidden";
    if (isSyscallError(error, "ENOENT", "ESRCH", "ENOTDIR")) return "missing";
    throw error;
  }
}
