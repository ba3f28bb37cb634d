// A program in the kernel that sets keepalive on connections as they are made, attached to control groups.

import { isSyscallError } from "../../ffi/errno.ts";
import { readLargeFile, readTextFile } from "../../ffi/files.ts";
import type { Descriptor } from "../../ffi/descriptor.ts";
import { AF_INET, getsockoptBytes, SO_NETNS_COOKIE, SOCK_STREAM, socket, SOL_SOCKET } from "../../ffi/socket.ts";
import { memberOffset } from "../bpf/btf.ts";
import { createTrie, isLinked, linkToCgroup, loadSockOps } from "../bpf/cgroup_link.ts";
import { createCounters, type DestinationCount, readCounters } from "../bpf/counters.ts";
import { withBpf } from "../bpf/explain.ts";
import { createSettings, pinLink } from "../bpf/pins.ts";
import { compileSockOps } from "../bpf/sock_ops.ts";
import { KEEPALIVE_SWITCH, type Step, steps } from "../keepalive/socket_options.ts";
import type { KeepaliveValues } from "../keepalive/values.ts";
import { inNetns } from "../linux/netns/enter.ts";
import { findNetns, mustExist } from "../linux/netns/find.ts";
import { unifiedPoint } from "../linux/proc/cgroup.ts";
import { explainSetnsDenied } from "../linux/proc/permissions.ts";
import { processes } from "../linux/proc/process.ts";
import type { Direction } from "../model/connection.ts";
import { UnsupportedError, UsageError } from "../model/errors.ts";
import { attachPoints } from "../select/attach_points.ts";
import type { CompiledSelection } from "../select/criteria.ts";
import { emitFilter, emitNamespaces, encodeTrieKey, rankOf } from "../select/narrowing.ts";

/** What the program sets, and where. */
export interface AttachmentOptions {
  /** The values, or keepalive off. */
  readonly values: KeepaliveValues | "off";
  readonly onlyMissing: boolean;
  /** Leaves the connections of the other direction alone. */
  readonly direction?: Direction;
  /** What is kept beside the program, for those who read a pin. */
  readonly settings: object;
}

/**
 * Returns the paths of the control groups that a program is attached to for a selection.
 *
 * @throws {UsageError} When a process or a control group does not exist in cgroup v2.
 * @throws {UnsupportedError} Where cgroup v2 is not mounted.
 */
export function cgroupsOf({ heldBy }: CompiledSelection): string[] {
  return attachPoints(cgroupRoot(), heldBy);
}

/** The mount point of cgroup v2. @throws {UnsupportedError} Where it is not mounted. */
function cgroupRoot(): string {
  const point = unifiedPoint();
  if (point !== null) return point;
  throw new UnsupportedError(
    "cgroup v2 is not mounted here, to which the program is attached: mount -t cgroup2 cgroup2 /mnt, " +
      "or enter a network namespace with nsenter --net instead of ip netns exec, which hides the mount",
  );
}

/** A program that is attached until it is closed, or this process ends. */
export class Attachment {
  readonly #links: Descriptor[] = [];
  readonly #counters: Descriptor;

  private constructor(counters: Descriptor) {
    this.#counters = counters;
  }

  /**
   * Loads the program for a selection that `requireTellable` has passed, and attaches it.
   *
   * @param cgroups From `cgroupsOf`.
   * @param mayAttach False to have the kernel verify the program, and no more.
   * @throws {UsageError} When a network namespace does not exist, or a control group has gone.
   * @throws {UnsupportedError} When this host or user cannot do that. Nothing stays attached then.
   */
  static create(
    selection: CompiledSelection,
    cgroups: readonly string[],
    options: AttachmentOptions,
    mayAttach = true,
  ): Attachment {
    if (options.onlyMissing) requireReadableOptions();
    const namespaces = namespacesOf(selection);
    return withBpf(() => {
      const attachment = new Attachment(createCounters());
      try {
        attachment.#attach(selection, cgroups, { ...options, namespaces }, mayAttach);
        return attachment;
      } catch (error) {
        attachment.close();
        throw error;
      }
    });
  }

  #attach(
    selection: CompiledSelection,
    cgroups: readonly string[],
    { settings, ...options }: AttachmentOptions & { namespaces: Namespaces },
    mayAttach: boolean,
  ): void {
    const root = cgroupRoot();
    const maps: Descriptor[] = [];
    const trie = (...args: Parameters<typeof createTrie>) => {
      const map = createTrie(...args);
      maps.push(map);
      return map.number;
    };
    try {
      const kept = createSettings(settings);
      maps.push(kept);
      for (const path of cgroups) {
        const program = loadSockOps(this.#compile(selection, path, options, trie), kept);
        maps.push(program);
        if (!mayAttach) continue;
        const link = linkToCgroup(program, root + path);
        if (link === null) throw new UsageError(`The control group ${path} has gone`);
        this.#links.push(link);
      }
    } finally {
      for (const map of maps) map.close();
    }
  }

  #compile(
    { filter }: CompiledSelection,
    path: string,
    { values, onlyMissing, direction, namespaces }: Omit<AttachmentOptions, "settings"> & { namespaces: Namespaces },
    trie: (...args: Parameters<typeof createTrie>) => number,
  ): Uint8Array {
    const { chosen, excluded } = namespaces;
    const chooses = emitFilter(filter, {
      trie: (entries) => trie(entries.map((entry) => [encodeTrieKey(entry), entry.isChosen])),
      userOffset,
    });
    const depth = path === "/" ? 0 : path.split("/").length - 1;
    return compileSockOps({
      connecting: direction === "accepted" ? null : stepsFor(values, "connect"),
      accepted: direction === "outgoing" ? null : stepsFor(values, "established"),
      onlyMissing,
      rank: rankOf(filter, depth, chosen !== null || excluded.length > 0 || direction !== undefined),
      chooses(program, yes, no) {
        const next = program.newLabel();
        emitNamespaces(chosen, excluded)(program, next, no);
        program.label(next);
        chooses(program, yes, no);
      },
      counters: this.#counters.number,
    });
  }

  /** Keeps the program beyond the end of this process. @throws {UsageError} When the name is taken. */
  pin(name: string): void {
    withBpf(() => this.#links.forEach((link) => pinLink(link, name)));
  }

  /** Whether one of its control groups still exists. */
  get isAttached(): boolean {
    return this.#links.some(isLinked);
  }

  /** Returns the numbers of connections so far, by destination. */
  counters(): DestinationCount[] {
    return readCounters(this.#counters);
  }

  /** Detaches the program, unless it is pinned. */
  close(): void {
    for (const link of this.#links.splice(0)) link.close();
    this.#counters.close();
  }
}

function stepsFor(values: KeepaliveValues | "off", phase: "connect" | "established"): Step[] {
  return values === "off" ? [{ ...KEEPALIVE_SWITCH, value: 0 }] : steps(values, phase);
}

/** The cookies of the network namespaces that are chosen, null for all, and of those that are excluded. */
interface Namespaces {
  readonly chosen: readonly bigint[] | null;
  readonly excluded: readonly bigint[];
}

function namespacesOf({ netns, notNetns = [] }: CompiledSelection): Namespaces {
  return {
    chosen: netns === undefined || netns.includes("all") ? null : cookiesOf(netns),
    excluded: cookiesOf(notNetns),
  };
}

function cookiesOf(texts: readonly string[]): bigint[] {
  if (texts.length === 0) return [];
  const { namespaces, forbidden } = findNetns(texts, processes(), mustExist);
  if (forbidden.length > 0) {
    throw new UnsupportedError(`The network namespace of ${forbidden[0]} may not be entered: ${explainSetnsDenied()}`);
  }
  return namespaces.map((netns) => inNetns(netns, ownNetnsCookie));
}

function ownNetnsCookie(): bigint {
  const any = socket(AF_INET, SOCK_STREAM, 0);
  const cookie = new Uint8Array(8);
  try {
    getsockoptBytes(any, SOL_SOCKET, SO_NETNS_COOKIE, cookie);
    return new DataView(cookie.buffer).getBigUint64(0, true);
  } catch (error) {
    if (!isSyscallError(error, "ENOPROTOOPT")) throw error;
    throw new UnsupportedError(
      "This kernel cannot tell network namespaces apart as a connection is made: Linux 5.15 can",
    );
  } finally {
    any.close();
  }
}

/** The running kernel's types. */
const BTF = "/sys/kernel/btf/vmlinux";

let knownOffset: number | null = null;

/** Returns the place of `sk_uid` in `struct sock`. @throws {UnsupportedError} When the kernel does not say. */
function userOffset(): number {
  if (knownOffset !== null) return knownOffset;
  try {
    knownOffset = memberOffset(readLargeFile(BTF), "sock", "sk_uid");
  } catch (error) {
    if (!isSyscallError(error)) throw error;
    throw new UnsupportedError(
      `The user as a connection is made is found by ${BTF}, which cannot be read (${error.code})`,
    );
  }
  if (knownOffset !== null) return knownOffset;
  throw new UnsupportedError(`The user as a connection is made cannot be found: ${BTF} does not have it`);
}

/** Before Linux 6.1 a program can set SO_KEEPALIVE, but not read it. */
function requireReadableOptions(): void {
  const [major = 0, minor = 0] = readTextFile("/proc/sys/kernel/osrelease").split(".").map(Number);
  if (major > 6 || (major === 6 && minor >= 1)) return;
  throw new UnsupportedError(
    "This kernel cannot tell whether an application has keepalive on as a connection is made: Linux 6.1 can",
  );
}
