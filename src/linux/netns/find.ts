// Which network namespaces there are: /proc/PID/ns/net of every process, and the files of ip-netns(8) in /run/netns.

import { readDirectory } from "../../../ffi/files.ts";
import { isSyscallError } from "../../../ffi/errno.ts";
import { readlink, statx } from "../../../ffi/fs.ts";
import { UsageError } from "../../model/errors.ts";
import { currentNetns, type NetnsFile } from "./enter.ts";

/** A network namespace that was found. */
export interface Netns extends NetnsFile {
  /** What ip-netns(8) calls it; null when it has no name. */
  readonly name: string | null;
  /** The process with the lowest number that lives in it; null when none is known. */
  readonly pid: number | null;
}

/** Where ip-netns(8) and container runtimes keep the names: /var/run is a link to /run nowadays. */
const NAME_DIRECTORIES = ["/run/netns", "/var/run/netns"];

const OWN = "/proc/thread-self/ns/net";

/** How many processes of a namespace are remembered, so that the end of one does not hide it. */
const SPARE_PATHS = 3;

/** What was found, each namespace once. */
export interface FoundNetns {
  readonly namespaces: readonly Netns[];
  /** Those that this user may not look at, each by the text that asked for it or by a process in it: `process 42`. */
  readonly forbidden: readonly string[];
}

/** The namespace that this thread is in. */
export function ownNetns(): Netns {
  return { ino: currentNetns(), paths: [OWN], name: null, pid: null };
}

/**
 * The namespaces that are meant by texts such as `all`, a name of ip-netns(8), the number of a process, or a path.
 *
 * @param pids The processes that there are.
 * @param missing Called with what is wrong with a text that means none.
 */
export function findNetns(
  texts: readonly string[],
  pids: readonly number[],
  missing: (problem: string) => void,
): FoundNetns {
  const search = new NetnsSearch();
  for (const text of texts) {
    if (text === "all") search.findAll(pids);
    else search.find(text, missing);
  }
  return search;
}

/** Those of the namespaces that still are there: somebody lives in them, or they have a name. */
export function findAgain(inos: ReadonlySet<number>, pids: readonly number[]): Netns[] {
  return findNetns(["all"], pids, () => {}).namespaces.filter(({ ino }) => inos.has(ino));
}

/** Fails for a namespace that is not there. */
export function mustExist(problem: string): never {
  throw new UsageError(problem);
}

class NetnsSearch implements FoundNetns {
  readonly forbidden: string[] = [];
  readonly #found = new Map<number, Netns>();

  get namespaces(): Netns[] {
    return [...this.#found.values()];
  }

  /** Every namespace that has a process in it or a name; this thread's own comes first. */
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
   * Finds out in which other namespaces the processes live of which it may not be seen. The files of /proc/PID/net, which
   * everyone may look at, have inode numbers of their own in each.
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

  find(text: string, missing: (problem: string) => void): void {
    const { candidates, problem } = candidatesFor(text);
    const found = candidates.map(findAt);
    const netns = found.find((one) => typeof one === "object");
    if (netns !== undefined) this.#add(/^\d+$/.test(text) ? { ...netns, pid: Number(text) } : netns);
    else if (found.includes("forbidden")) this.forbidden.push(text);
    else missing(found.includes("other") ? `Not a network namespace: "${text}"` : problem);
  }

  #add(netns: Netns): void {
    const known = this.#found.get(netns.ino);
    if (known === undefined) {
      this.#found.set(netns.ino, netns);
    } else if (known.paths.length < SPARE_PATHS || netns.name !== null) {
      // A name outlives a process, so it is the better place to enter by.
      const paths = netns.name === null ? [...known.paths, ...netns.paths] : [...netns.paths, ...known.paths];
      this.#found.set(netns.ino, { ...known, paths, name: known.name ?? netns.name, pid: known.pid ?? netns.pid });
    }
  }
}

function netnsPath(pid: number | string): string {
  return `/proc/${pid}/ns/net`;
}

/** Where the namespace could be that a text means, and what is wrong when it is nowhere. */
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

/** The namespace of a process: what is between the brackets of `net:[4026531840]`. null when the process is gone. */
function netnsOf(pid: number): number | null | "unreadable" {
  try {
    const length = readlink(netnsPath(pid), link);
    const [, ino] = /^net:\[(\d+)\]$/.exec(decoder.decode(link.subarray(0, length))) ?? [];
    return ino === undefined ? null : Number(ino);
  } catch (error) {
    if (isSyscallError(error, "EACCES", "EPERM")) return "unreadable";
    throw error;
  }
}

/** The inode number of /proc/PID/net/tcp; null when the process is gone. */
function tcpFileInode(pid: number): number | null {
  try {
    return statx(null, `/proc/${pid}/net/tcp`).ino;
  } catch (error) {
    if (isSyscallError(error)) return null;
    throw error;
  }
}

/** The namespaces that have names. A name whose mount has gone is an empty file, and no namespace. */
function namedNamespaces(): Netns[] {
  const paths = NAME_DIRECTORIES.flatMap((directory) => namesIn(directory).map((name) => `${directory}/${name}`));
  return paths.map(findAt).filter((netns) => typeof netns === "object");
}

/** Whether a file of /proc/PID/ns is not `net`. A file that one is mounted on does not tell what it is. */
function isOfAnotherKind(path: string): boolean {
  try {
    return /^(?!net:)\w+:\[\d+\]$/.test(decoder.decode(link.subarray(0, readlink(path, link))));
  } catch (error) {
    if (isSyscallError(error, "EINVAL")) return false;
    throw error;
  }
}

function namesIn(directory: string): string[] {
  try {
    return readDirectory(directory).map(({ name }) => name);
  } catch (error) {
    if (isSyscallError(error, "ENOENT", "EACCES", "ENOTDIR")) return [];
    throw error;
  }
}

/** The namespace at a path; `"forbidden"` for one that may not be looked at, `"other"` for a file of another kind. */
function findAt(path: string): Netns | "missing" | "forbidden" | "other" {
  try {
    const { ino, dev } = statx(null, path);
    if (dev !== statx(null, OWN).dev || isOfAnotherKind(path)) return "other";
    const [, name = null] = /^(?:\/var)?\/run\/netns\/([^/]+)$/.exec(path) ?? [];
    return { ino, paths: [path], name, pid: null };
  } catch (error) {
    if (isSyscallError(error, "EACCES", "EPERM")) return "forbidden";
    if (isSyscallError(error, "ENOENT", "ESRCH", "ENOTDIR")) return "missing";
    throw error;
  }
}
