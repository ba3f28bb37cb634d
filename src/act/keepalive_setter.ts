// Sets keepalive on connections whose owners are known, and gives each its outcome.

import { recordChange } from "../front/journal.ts";
import type { SocketPhase } from "../keepalive/socket_options.ts";
import { type DesiredKeepalive, KEEPALIVE_FIELDS } from "../keepalive/values.ts";
import { isTransientErrno } from "../linux/transient.ts";
import type { Connection, KeepaliveSettings, RefusedOption } from "../model/connection.ts";
import {
  type KeepaliveChange,
  type KeepaliveOutcome,
  type KeepaliveResult,
  resultOf,
  type Target,
} from "../model/result.ts";
import type { TransientErrors } from "../report/transient_errors.ts";
import { changeInPass, type Passed, worthPass } from "../resolve/keepalive_pass.ts";
import type { Selector } from "../select/selector.ts";
import { PidfdCache } from "../socket/duplicate.ts";
import { type Change, change, plannedSettings, sameSettings } from "../socket/keepalive_change.ts";
import { refusalText, withDuplicate } from "../socket/with_duplicate.ts";
import { isOrphan } from "./exclusions.ts";
import { setOutcome, skipSubflow } from "./outcomes.ts";

/** A connection whose keepalive is to be set. */
export interface KeepaliveTarget extends Target<KeepaliveOutcome> {
  change: KeepaliveChange;
  /** Whether it was made after the first list of a watch. */
  isNew?: boolean;
}

export const NO_CHANGE: KeepaliveChange = { before: null, after: null, refused: [] };

/** What the setter works with. */
export interface KeepaliveSetterOptions {
  readonly dryRun?: boolean;
  /** `true` for a watch: what the kernel refuses for want of memory is left for another attempt. */
  readonly isWatching: boolean;
  readonly transientErrors: TransientErrors;
}

/** Sets keepalive on connections. */
export class KeepaliveSetter {
  readonly #desired: DesiredKeepalive;
  readonly #selector: Selector;
  readonly #options: KeepaliveSetterOptions;
  readonly #pidfds: PidfdCache;
  /** What the last pass has done. */
  #passed: ReadonlyMap<Connection, Passed> = new Map();

  constructor(desired: DesiredKeepalive, selector: Selector, options: KeepaliveSetterOptions) {
    this.#desired = desired;
    this.#selector = selector;
    this.#options = options;
    this.#pidfds = new PidfdCache((connection) => selector.stateOf(connection));
  }

  /** Sets keepalive on many connections at once, where that can be done and pays. Returns those that have their outcome. */
  pass(targets: readonly KeepaliveTarget[]): KeepaliveTarget[] {
    const open = targets.filter(({ result, connection }) => result === null && !isOrphan(connection));
    const { dryRun = false } = this.#options;
    this.#passed = changeInPass(worthPass(open), this.#desired, phaseOf, this.#selector, dryRun);
    // Most have the same change, which is recorded once.
    const groups = Map.groupBy(open, ({ connection }) => {
      const passed = this.#passed.get(connection);
      return passed !== undefined && "change" in passed ? passed.change : null;
    });
    for (const [change, group] of groups) {
      if (change === null) continue;
      const { before, after, refused } = change;
      const noted: KeepaliveChange = { before, after, refused };
      const fresh = group.filter((target) => target.change === NO_CHANGE);
      for (const target of fresh) target.change = noted;
      recordChange(fresh, { change: noted });
      for (const target of group) {
        if (target.change !== noted) noteChange(target, change);
        target.trouble = null;
        this.#setChangeOutcome(target, change);
      }
    }
    return open.filter(({ result }) => result !== null);
  }

  /** Sets keepalive on a connection. Leaves it without an outcome when its owners have to be looked up again. */
  set(target: KeepaliveTarget): void {
    if (target.result !== null) return;
    target.trouble = null;
    const { connection } = target;
    if (connection.subflowOf !== undefined) return skipSubflow(target, connection.subflowOf);
    if (isOrphan(connection)) {
      return setOutcome(target, "already-gone", "closing", `closed by its application: in ${connection.state}`);
    }
    const passed = this.#passed.get(connection);
    if (passed !== undefined && "change" in passed) return this.#setChangeOutcome(target, passed.change);
    if (passed !== undefined) target.change = { before: passed.before, after: null, refused: [] };
    const used = withDuplicate(this.#pidfds, target, ({ descriptor }) => {
      return change(descriptor, this.#desired, phaseOf(connection), this.#options.dryRun);
    });
    if (used === null) return;
    if ("value" in used) {
      noteChange(target, used.value);
      return this.#setChangeOutcome(target, used.value);
    }
    if (used.transient) return this.#putOff(target, refusalText(used));
    setOutcome(target, used.outcome, used.reason, refusalText(used));
  }

  /** Leaves the connection for another attempt. */
  #putOff(target: KeepaliveTarget, trouble: string): void {
    target.trouble = trouble;
    this.#options.transientErrors.note(trouble);
  }

  #setChangeOutcome(target: KeepaliveTarget, { after, refused, unmet, keptByApplication }: Change): void {
    const refusal = refused.length > 0 ? refusedText(refused) : null;
    const reason = refusal === null ? null : "refused";
    if (keptByApplication) setOutcome(target, "unchanged", "kept", "its application has keepalive on");
    else if (unmet.length > 0 && this.#options.isWatching && refused.some(({ error }) => isTransientErrno(error))) {
      this.#putOff(target, refusal!);
    } else if (unmet.length > 0) {
      setOutcome(target, "failed", reason ?? "no-effect", `${refusal ?? NO_EFFECT}: ${stateText(after, unmet)}`);
    } else if (sameSettings(target.change.before!, after)) setOutcome(target, "unchanged", reason, refusal);
    else if (this.#options.dryRun) setOutcome(target, "would-set-keepalive", null);
    else setOutcome(target, "keepalive-set", reason, refusal);
  }

  /** Tells whether a connection has the values, and an attached program was there to set them as it was made. */
  wasSetAsMade({ connection, result, isNew = false, change: { after } }: KeepaliveTarget): boolean {
    if (!isNew || result?.outcome !== "unchanged" || after === null) return false;
    if (connection.protocol !== "tcp" || connection.state === "LISTEN") return false;
    return sameSettings(after, plannedSettings(after, this.#desired, phaseOf(connection)));
  }

  /** Closes what is open. It may set more afterwards. */
  close(): void {
    this.#pidfds.close();
  }
}

/** Notes a change, in the journal too. */
function noteChange(target: KeepaliveTarget, { before, after, refused }: Change): void {
  // An earlier attempt may have set some of the values.
  target.change = { before: target.change.before ?? before, after, refused };
  recordChange([target], { change: target.change });
}

/** Returns what became of a connection. */
export function keepaliveResultOf(target: KeepaliveTarget): KeepaliveResult {
  return { ...resultOf(target), ...target.change };
}

function phaseOf({ state }: Connection): SocketPhase {
  return state === "LISTEN" ? "listen" : state === "SYN-SENT" ? "connect" : "established";
}

function refusedText(refused: readonly RefusedOption[]): string {
  return `the kernel refused ${refused.map(({ option, error }) => `${option} (${error})`).join(", ")}`;
}

const NO_EFFECT = "the kernel took what it did not set";

/** Words the settings of a socket that are not as wanted: `keepalive is on, idle 7200 seconds`. */
function stateText(after: KeepaliveSettings, unmet: Change["unmet"]): string {
  const values = unmet.filter((name) => name !== "enabled").map((name) => {
    const { label, unit } = KEEPALIVE_FIELDS[name];
    return `${label} ${after[name]} ${unit}`;
  });
  return [`keepalive is ${after.enabled ? "on" : "off"}`, ...values].join(", ");
}
