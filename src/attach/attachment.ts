// Programs in the kernel that are attached to control groups.

import { cgroupLinkInfo, linkDetach, type ProgramOptions } from "../../ffi/bpf.ts";
import { prepared, withOpen, withTracked } from "../../ffi/closing.ts";
import { host } from "../../ffi/deno.ts";
import { attempt, withFallback } from "../../ffi/errno.ts";
import type { Descriptor } from "../../ffi/descriptor.ts";
import { pidfdGetfd, pidfdOpen } from "../../ffi/pidfd.ts";
import { AF_INET, getsockoptBytes, SO_NETNS_COOKIE, SOCK_STREAM, socket, SOL_SOCKET } from "../../ffi/socket.ts";
import { createTrie, isLinked, linkToCgroup, loadProgram } from "../bpf/cgroup_link.ts";
import type { Emit } from "../bpf/conditions.ts";
import { withBpf } from "../bpf/explain.ts";
import { askInConnect, type Question } from "../bpf/connect_probe.ts";
import { createSettings, pinLinks, requirePinName } from "../bpf/pins.ts";
import { linkedBefore, recordLinked } from "../front/journal.ts";
import { inNetns } from "../linux/netns/enter.ts";
import { findNetns, mustExist } from "../linux/netns/find.ts";
import { isHostRoot, ownCgroup, unifiedPoint } from "../linux/proc/cgroup.ts";
import { explainSetnsDenied } from "../linux/proc/permissions.ts";
import { processes } from "../linux/proc/process.ts";
import { UnsupportedError, UsageError } from "../model/errors.ts";
import { attachPoints } from "./attach_points.ts";
import type { CompiledSelection } from "../select/compile_selection.ts";
import { emitFilter, emitNamespaces, encodeTrieKey, type TrieEntry, type Vocabulary } from "./filter_program.ts";

/**
 * Returns the paths of the control groups that a program is attached to for a selection.
 *
 * @param pin The name under which it is to be pinned.
 * @throws {UsageError} When a process or a control group does not exist in cgroup v2. With a pin, for a name that it cannot
 * have, and for several control groups.
 * @throws {UnsupportedError} Where cgroup v2 is not mounted.
 */
export function cgroupsOf({ heldBy }: CompiledSelection, pin?: string): string[] {
  if (pin !== undefined) requirePinName(pin);
  const cgroups = attachPoints(cgroupRoot(), heldBy);
  if (pin === undefined || cgroups.length < 2) return cgroups;
  throw new UsageError(`Pinning takes one control group, and these are ${cgroups.join(", ")}: name one of them`);
}

/** Returns why programs outside these control groups may be meant, and are left out; null when there is no reason. */
export function explainPartialRoot(cgroups: readonly string[]): string | null {
  if (!cgroups.includes("/") || isHostRoot(cgroupRoot())) return null;
  return "left out what is outside of this container, or of its cgroup namespace: " +
    "the host's /sys/fs/cgroup is not mounted in it";
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

/** What is attached. */
export interface AttachmentOptions {
  /** The paths of the control groups, from `cgroupsOf`. */
  readonly cgroups: readonly string[];
  /** Returns the programs for a control group. */
  readonly programs: (cgroup: string, tries: Tries) => ProgramOptions[];
  /** Maps that the programs use. The attachment closes them. */
  readonly maps: readonly Descriptor[];
  /** What is kept beside the programs, for those who read a pin. */
  readonly settings: object;
  /** False to have the kernel verify the programs, and no more. */
  readonly mayAttach: boolean;
}

/** Makes an LPM trie that lasts as long as the program that uses it, and returns its descriptor. */
export type Tries = (entries: readonly TrieEntry[]) => number;

/** Programs that are attached until this is closed, or this process ends. */
export class Attachment {
  readonly #links: Descriptor[] = [];
  readonly #maps: readonly Descriptor[];

  /**
   * Loads programs, and attaches them.
   *
   * @throws {UsageError} When a control group has gone.
   * @throws {UnsupportedError} When this host or user cannot do that. Nothing stays attached then.
   */
  constructor(options: AttachmentOptions) {
    this.#maps = options.maps;
    prepared<Attachment>(this, () => withBpf(() => this.#attach(options)));
  }

  #attach({ cgroups, programs, settings, mayAttach }: AttachmentOptions): void {
    const root = cgroupRoot();
    withTracked((track) => {
      const tries: Tries = (entries) =>
        track(createTrie(entries.map((entry) => [encodeTrieKey(entry), entry.isChosen]))).number;
      const kept = track(createSettings(settings));
      for (const path of cgroups) {
        for (const options of programs(path, tries)) {
          const program = track(loadProgram(options, kept));
          if (!mayAttach) continue;
          const link = linkToCgroup(program, root + path, options.attachType);
          if (link === null) throw new UsageError(`The control group ${path} has gone`);
          this.#links.push(link);
        }
      }
    });
  }

  /** Keeps the programs beyond the end of this process. @throws {UsageError} When the name is taken. */
  pin(name: string): void {
    withBpf(() => pinLinks(this.#links, name));
  }

  /** Takes the place of what processes before this one have attached, so that it ends with the one that lives. */
  succeed(): void {
    for (const { pid, fd, id } of linkedBefore()) {
      withLeftBehind(pid, fd, (link) => cgroupLinkInfo(link)?.id === id && linkDetach(link));
    }
    for (const link of this.#links) {
      const info = cgroupLinkInfo(link);
      if (info !== null) recordLinked({ pid: host.pid, fd: link.number, id: info.id });
    }
  }

  /** Whether one of its control groups still exists. */
  get isAttached(): boolean {
    return this.#links.some(isLinked);
  }

  /** Detaches the programs, unless they are pinned. */
  close(): void {
    for (const link of this.#links.splice(0)) link.close();
    for (const map of this.#maps) map.close();
  }
}

/**
 * Calls `end` with what a process holds that was left behind in a system call: its descriptors, and so its links, last as
 * long as the call.
 */
export function withLeftBehind(pid: number, fd: number, end: (held: Descriptor) => void): void {
  // Where the call fails, the process has ended, and its links with it.
  attempt(() => withOpen(withOpen(pidfdOpen(pid), (pidfd) => pidfdGetfd(pidfd, fd)), end));
}

/**
 * Compiles what a selection chooses sockets by.
 *
 * @param ownByDefault Chooses this network namespace alone where the selection names none, and otherwise all.
 * @throws {UsageError} When a network namespace does not exist.
 * @throws {UnsupportedError} When the kernel cannot tell network namespaces apart.
 */
export function chooserOf(
  { filter, netns, notNetns = [] }: CompiledSelection,
  vocabulary: Vocabulary,
  ownByDefault: boolean,
): (tries: Tries) => Emit {
  const isOwn = netns === undefined && ownByDefault && notNetns.length === 0;
  const isAny = netns === undefined || netns.includes("all");
  const chosen = isOwn ? [ownNetnsCookie()] : isAny ? null : cookiesOf(netns);
  const excluded = cookiesOf(notNetns);
  return (trie) => {
    const chooses = emitFilter(filter, { trie, ...vocabulary });
    return (program, yes, no) => {
      const next = program.newLabel();
      emitNamespaces(chosen, excluded)(program, next, no);
      program.label(next);
      chooses(program, yes, no);
    };
  };
}

/** Returns the cookies of network namespaces. */
function cookiesOf(texts: readonly string[]): bigint[] {
  if (texts.length === 0) return [];
  const { namespaces, forbidden } = findNetns(texts, processes(), mustExist);
  if (forbidden.length > 0) {
    throw new UnsupportedError(`The network namespace of ${forbidden[0]} may not be entered: ${explainSetnsDenied()}`);
  }
  return namespaces.map((netns) => inNetns(netns, ownNetnsCookie));
}

function ownNetnsCookie(): bigint {
  const cookie = readNetnsCookie() ?? ask([{ ask: "netns" }])?.[0];
  if (cookie !== undefined) return cookie;
  throw new UnsupportedError(
    "Network namespaces cannot be told apart: before Linux 5.14 that takes a mount of cgroup v2 that shows tcphup's own " +
      "control group",
  );
}

/** Returns the cookie of the network namespace that this thread is in; null before Linux 5.14. */
function readNetnsCookie(): bigint | null {
  const cookie = new Uint8Array(8);
  return withFallback(null, () => {
    withOpen(socket(AF_INET, SOCK_STREAM, 0), (any) => getsockoptBytes(any, SOL_SOCKET, SO_NETNS_COOKIE, cookie));
    return new DataView(cookie.buffer).getBigUint64(0, true);
  }, "ENOPROTOOPT");
}

/** Asks the kernel what only programs are told; null where this process's control group is out of sight, or no socket to be had. */
export function ask(questions: readonly Question[]): bigint[] | null {
  const directory = ownCgroup()?.directory ?? unifiedPoint();
  if (directory === null) return null;
  return withFallback(null, () => withBpf(() => askInConnect(questions, directory)), "EAFNOSUPPORT");
}
