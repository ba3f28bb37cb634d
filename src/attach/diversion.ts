// Refuses connect(2) to what a selection chooses, or has it go elsewhere, by programs in the kernel that are attached to
// control groups.

import { host } from "../../ffi/deno.ts";
import type { Descriptor } from "../../ffi/descriptor.ts";
import { ECONNREFUSED } from "../../ffi/errno.ts";
import { mapInfo } from "../../ffi/bpf.ts";
import { sleep } from "../../ffi/sleep.ts";
import { AF_INET, AF_INET6 } from "../../ffi/socket.ts";
import { ARMED_NAME, createArmed, isLoadable, setArmed } from "../bpf/cgroup_link.ts";
import { createConnectCounters, readConnectCounters } from "../bpf/counters.ts";
import { withBpf } from "../bpf/explain.ts";
import { findSamePin, removePin, SETTINGS_SCHEMA } from "../bpf/pins.ts";
import {
  compileSetRetval,
  compileSockAddr,
  emitCalledPort,
  emitCaller,
  type Fate,
  sockAddrProgram,
} from "../bpf/sock_addr.ts";
import { armedBefore, recordArmed } from "../front/journal.ts";
import type { ConnectCount, DiversionReport, DiversionRule } from "../model/diversion.ts";
import type { CompiledSelection } from "../select/compile_selection.ts";
import { givenCriteria, listOf, type OneOrMore, type Selection } from "../select/selection.ts";
import { mayChooseFamily } from "../select/may_choose.ts";
import { Attachment, cgroupsOf, chooserOf, explainPartialRoot, withLeftBehind } from "./attachment.ts";
import type { Vocabulary } from "./filter_program.ts";
import { redirection } from "./redirection.ts";
import { requireTellable } from "./tellable.ts";

/** What becomes of connect(2), and for how long. At most one of `refuse` and `redirect` is given. */
export interface DiversionOptions {
  readonly dryRun?: boolean;
  readonly refuse?: { readonly forMs?: number };
  readonly redirect?: { readonly to: OneOrMore<string>; readonly forMs?: number };
  readonly pin?: string;
}

/** What is in force, as it is kept beside the programs. */
export interface DiversionSettings extends DiversionRule {
  /** The version of these keys. */
  readonly schema: 1;
  /** The selection that narrows it. */
  readonly selection: Selection;
}

/** The time between two looks whether the control group is still there. */
const LOOK_MS = 1000;

const VOCABULARY: Vocabulary = {
  // `requireTellable` lets no condition on this host's end pass.
  port: (_, from, to) => emitCalledPort(from, to),
  user: emitCaller,
};

/** Programs that refuse or redirect connect(2) until this is closed, or this process ends. */
export class Diversion {
  /** The reasons why programs may have been left out. */
  readonly incomplete: readonly string[];
  readonly #settings: DiversionSettings;
  readonly #pin: string | null;
  readonly #dryRun: boolean;
  readonly #forMs: number;
  /** Null when the same is pinned already, so that there is nothing to do. */
  readonly #attached:
    | { readonly attachment: Attachment; readonly counters: Descriptor; readonly armed: Descriptor }
    | null;
  #isArmed = false;
  /** The time of its end, on the clock of performance.now(). */
  #end = Infinity;

  /**
   * Attaches the programs, which do nothing yet.
   *
   * @throws {UsageError} When the selection asks for what connect(2) does not tell, when the families do not agree, when the
   * selection holds where connects are to go, when the name is taken.
   * @throws {UnsupportedError} When this host or user cannot do that. Nothing is attached then.
   */
  constructor(selection: Selection, compiled: CompiledSelection, options: DiversionOptions) {
    const { pin, dryRun = false, redirect } = options;
    const op = redirect === undefined ? "refuse" : "redirect";
    requireTellable(selection, compiled, op);
    const targets = listOf(redirect?.to);
    const redirected = redirect === undefined ? null : redirection(targets, compiled);
    const cgroups = cgroupsOf(compiled, pin);
    const partial = explainPartialRoot(cgroups);
    this.incomplete = partial === null ? [] : [partial];
    const tellsErrno = op === "refuse" && withBpf(() => isLoadable(sockAddrProgram(AF_INET, compileSetRetval())));
    const errno = op === "redirect" ? null : tellsErrno ? "ECONNREFUSED" : "EPERM";
    const since = new Date().toISOString();
    const settings = {
      schema: SETTINGS_SCHEMA,
      op,
      to: targets,
      errno,
      cgroups,
      selection: givenCriteria(selection),
      since,
    } as const;
    const same = pin === undefined || dryRun ? null : findSamePin(pin, settings);
    this.#pin = pin ?? null;
    this.#dryRun = dryRun;
    this.#forMs = (redirect ?? options.refuse)?.forMs ?? Infinity;
    this.#settings = same ?? settings;
    if (same !== null) {
      this.#attached = null;
      return;
    }
    const fate = redirected ?? { op: "refuse", errno: tellsErrno ? ECONNREFUSED : null } as const;
    this.#attached = attach(compiled, { cgroups, fate, settings, mayAttach: !dryRun });
  }

  /** Puts it in force. @throws {UsageError} When the name of the pin is taken. */
  arm(): void {
    if (this.#attached === null || this.#dryRun || this.#isArmed) return;
    const { attachment, armed } = this.#attached;
    // A process that takes the place of another one ends when that one would have ended.
    const began = Math.min(Date.now(), ...armedBefore().map(({ at }) => at));
    this.#end = performance.now() + this.#forMs - (Date.now() - began);
    if (this.#pin === null) recordArmed({ pid: host.pid, fd: armed.number, at: began });
    else attachment.pin(this.#pin);
    this.#isArmed = true;
    withBpf(() => setArmed(armed, true));
    endLeftBehind();
  }

  /** Waits for its end: until its time is over, the signal is aborted or its control group has gone. */
  async last(signal: AbortSignal | undefined): Promise<void> {
    if (this.#dryRun || this.#pin !== null) return;
    while (this.isInForce && !signal?.aborted) {
      const remainingMs = this.#end - performance.now();
      if (remainingMs <= 0) return;
      await sleep(Math.min(remainingMs, LOOK_MS), signal);
    }
  }

  /** Whether it is in force, and its control group still exists. */
  get isInForce(): boolean {
    if (this.#attached === null) return true;
    return this.#isArmed && this.#attached.attachment.isAttached;
  }

  /** Reports what is in force, and what came of it. */
  report(): DiversionReport {
    const connects = this.#attached === null ? [] : withBpf(() => readConnectCounters(this.#attached!.counters));
    const { schema: _schema, selection: _selection, ...settings } = this.#settings;
    return {
      ...settings,
      pin: this.#pin,
      inForce: this.isInForce,
      ...totalOf(connects),
      connects,
    };
  }

  /** Ends it, unless it is pinned. */
  close(): void {
    endLeftBehind();
    if (this.#attached === null) return;
    const { attachment, armed } = this.#attached;
    // Of programs on several hooks none ends before the others.
    if (this.#isArmed && this.#pin === null) withBpf(() => setArmed(armed, false));
    attachment.close();
  }

  /** Ends it, and removes the pin that this has made. */
  undo(): void {
    if (this.#isArmed && this.#pin !== null) removePin(this.#pin);
    this.close();
  }
}

/** Returns the number of calls, and the time of the last one. */
function totalOf(connects: readonly ConnectCount[]): Pick<DiversionReport, "count" | "lastAt"> {
  const lastAt = connects.map((connect) => connect.lastAt).sort().at(-1) ?? null;
  return { count: connects.reduce((sum, { count }) => sum + count, 0), lastAt };
}

function attach(
  selection: CompiledSelection,
  options: { cgroups: readonly string[]; fate: Fate; settings: DiversionSettings; mayAttach: boolean },
): { attachment: Attachment; counters: Descriptor; armed: Descriptor } {
  // Sockets of IPv6 connect to IPv4 too.
  const families = mayChooseFamily(selection.filter, 4) ? [AF_INET, AF_INET6] : [AF_INET6];
  const chooses = chooserOf(selection, VOCABULARY, true);
  const { fate, ...rest } = options;
  const maps = withBpf(() => [createConnectCounters(), createArmed()] as const);
  const [counters, armed] = maps;
  const attachment = new Attachment({
    ...rest,
    maps,
    programs: (_, tries) =>
      families.map((family) => {
        const numbers = { counters: counters.number, armed: armed.number };
        return sockAddrProgram(family, compileSockAddr({ family, fate, chooses: chooses(tries), ...numbers }));
      }),
  });
  return { attachment, counters, armed };
}

/** Ends what is in force by processes before this one that were left behind. */
function endLeftBehind(): void {
  for (const { pid, fd } of armedBefore()) {
    withLeftBehind(pid, fd, (map) => mapInfo(map).name === ARMED_NAME && setArmed(map, false));
  }
}
