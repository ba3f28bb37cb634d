// Programs in the kernel that set keepalive on connections as they are made.

import type { Descriptor } from "../../ffi/descriptor.ts";
import { isSyscallError } from "../../ffi/errno.ts";
import { readLargeFile } from "../../ffi/files.ts";
import { BTF_FILE, memberOffset } from "../bpf/btf.ts";
import { createCounters, readCounters } from "../bpf/counters.ts";
import type { Question } from "../bpf/connect_probe.ts";
import { withBpf } from "../bpf/explain.ts";
import { compileSockOps, emitSocketPort, emitSocketUser, sockOpsProgram } from "../bpf/sock_ops.ts";
import { KEEPALIVE_SWITCH, steps } from "../keepalive/socket_options.ts";
import type { KeepaliveValues } from "../keepalive/values.ts";
import { isLinux } from "../linux/proc/release.ts";
import type { Direction } from "../model/connection.ts";
import type { DestinationCount } from "../model/destination_count.ts";
import { UnsupportedError } from "../model/errors.ts";
import type { CompiledSelection } from "../select/compile_selection.ts";
import { mentions } from "../select/dump_plan.ts";
import type { Selection } from "../select/selection.ts";
import { ask, Attachment, chooserOf, type Tries } from "./attachment.ts";
import type { Vocabulary } from "./filter_program.ts";
import { rankOf } from "./rank.ts";

/** What an attached program does, as it is kept beside the program. */
export interface AttachedSettings {
  /** The version of these keys. */
  readonly schema: 1;
  /** When it was attached, as ISO 8601 has it. */
  readonly since: string;
  /** The paths of the control groups whose connections it sets, from the root of cgroup v2. */
  readonly cgroups: readonly string[];
  /** The selection that narrows it. */
  readonly selection: Selection;
  /** The values that it sets, where 0 leaves the socket's own; null when it turns keepalive off. */
  readonly values: KeepaliveValues | null;
  /** Whether connections keep what their applications have chosen. */
  readonly onlyMissing: boolean;
  /** The direction of the connections that it sets; null for both. */
  readonly direction: "outgoing" | "accepted" | null;
}

/** What the program sets, and where. */
export interface KeepaliveAttachmentOptions {
  /** The values, or keepalive off. */
  readonly values: KeepaliveValues | "off";
  readonly onlyMissing: boolean;
  /** Leaves the connections of the other direction alone. */
  readonly direction?: Direction;
  /** Goes by this network namespace alone where the selection names none, and otherwise by all. */
  readonly ownByDefault?: boolean;
  /** Counts connections by destination. */
  readonly counts?: boolean;
  /** What is kept beside the program, for those who read a pin. */
  readonly settings: object;
}

/** A program that is attached until it is closed, or this process ends. */
export class KeepaliveAttachment extends Attachment {
  readonly #counters: Descriptor | null;

  /**
   * Loads the program for a selection that `requireTellable` has passed, and attaches it.
   *
   * @param cgroups From `cgroupsOf`.
   * @param mayAttach False to have the kernel verify the program, and no more.
   * @throws {UsageError} When a network namespace does not exist, or a control group has gone.
   * @throws {UnsupportedError} When this host or user cannot do that. Nothing stays attached then.
   */
  constructor(
    selection: CompiledSelection,
    cgroups: readonly string[],
    { values, onlyMissing, direction, ownByDefault = false, counts = false, settings }: KeepaliveAttachmentOptions,
    mayAttach = true,
  ) {
    requireOptions(values, onlyMissing);
    const { filter, netns, notNetns = [] } = selection;
    const chooses = chooserOf(selection, VOCABULARY, ownByDefault);
    const goesByNetns = notNetns.length > 0 || (netns === undefined ? ownByDefault : !netns.includes("all"));
    const narrows = direction !== undefined || goesByNetns;
    const counters = counts ? withBpf(createCounters) : null;
    const programs = (cgroup: string, tries: Tries) => [
      sockOpsProgram(compileSockOps({
        connecting: direction === "accepted" ? null : steps(values, "connect"),
        accepted: direction === "outgoing" ? null : steps(values, "established"),
        onlyMissing,
        rank: rankOf(filter, cgroup === "/" ? 0 : cgroup.split("/").length - 1, narrows),
        chooses: chooses(tries),
        goesByAddress: mentions(filter, "address"),
        counters: counters?.number ?? null,
      })),
    ];
    super({ cgroups, programs, maps: counters === null ? [] : [counters], settings, mayAttach });
    this.#counters = counters;
  }

  /** Returns the numbers of connections so far, by destination; none when they are not counted. */
  counters(): DestinationCount[] {
    return this.#counters === null ? [] : readCounters(this.#counters);
  }
}

const VOCABULARY: Vocabulary = { port: emitSocketPort, user: (uid) => emitSocketUser(uid, userOffset()) };

let knownOffset: number | null = null;

/** Returns the place of `sk_uid` in `struct sock`. @throws {UnsupportedError} When the kernel does not say. */
function userOffset(): number {
  if (knownOffset !== null) return knownOffset;
  try {
    knownOffset = memberOffset(readLargeFile(BTF_FILE), "sock", "sk_uid");
  } catch (error) {
    if (!isSyscallError(error)) throw error;
    throw new UnsupportedError(
      `The user as a connection is made is found by ${BTF_FILE}, which cannot be read (${error.code})`,
    );
  }
  if (knownOffset !== null) return knownOffset;
  throw new UnsupportedError(`The user as a connection is made cannot be found: ${BTF_FILE} does not have it`);
}

/** The options that programs may set since Linux 6.1. The others they may set since 5.9. */
const LATE = ["TCP_MAXSEG", "TCP_WINDOW_CLAMP"];

/**
 * Checks that a program may read the options that it goes by, and set those that it sets.
 *
 * @throws {UnsupportedError}
 */
function requireOptions(values: KeepaliveValues | "off", onlyMissing: boolean): void {
  const late = steps(values, "connect").filter(({ option }) => LATE.includes(option));
  const questions: Question[] = late.map((option) => ({ ask: "set", option }));
  if (onlyMissing) questions.push({ ask: "read", option: KEEPALIVE_SWITCH });
  // Asking takes a socket, which a unit of systemd may forbid.
  if (questions.length === 0 || isLinux(6, 1)) return;
  const answers = ask(questions) ?? questions.map(() => -1n);
  // An errno is a number of 32 bits.
  const denied = questions.find((_, i) => BigInt.asIntN(32, answers[i]!) !== 0n);
  if (denied === undefined) return;
  const what = denied.ask === "set" ? `set ${denied.option.option}` : "tell whether an application has keepalive on";
  throw new UnsupportedError(`This kernel cannot ${what} as a connection is made: Linux 6.1 can`);
}
