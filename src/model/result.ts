// What became of a connection: an outcome, the code of a reason, and a sentence.

import type { Connection, HeldConnection, KeepaliveSettings, Owner, RefusedOption } from "./connection.ts";

/**
 * The outcomes for a connection, each with the codes of its reasons. The reason is null where all was done as asked for. A
 * code keeps its meaning; later versions may add codes.
 */
export interface Reasons {
  /** shutdown(2) was called on it: its peer is sent a FIN or, in SYN-SENT, connect(2) fails. */
  "hung-up":
    | null
    /** A system call after the shutdown failed. */
    | "error";
  /** It was aborted: its peer is sent a RST. */
  "destroyed": null;
  /** Without `dryRun` it would have been hung up on. */
  "would-hang-up": null;
  /** Without `dryRun` it would have been destroyed. */
  "would-destroy": null;
  /** At least one option of its keepalive was changed, and what was wanted reads back. */
  "keepalive-set":
    | null
    /** An attached program set it as the connection was made. */
    | "attached"
    /** The kernel refused another option. */
    | "refused";
  /** Without `dryRun` its keepalive would have been set. */
  "would-set-keepalive": null;
  /** The connection already had the settings, or the application's settings were kept. */
  "unchanged":
    | null
    /** The application's settings were kept. */
    | "kept"
    /** The kernel refused an option without which everything is as wanted. */
    | "refused";
  /** The connection ended, or this end had already hung up, before anything was done. */
  "already-gone":
    /** It ended. */
    | "gone"
    /** This end had hung up. */
    | "closing";
  /** No process holds it, so there is no descriptor to act on. */
  "no-owner":
    /** Its application has not accepted it yet. */
    | "not-accepted"
    /** No process in this /proc holds it. */
    | "no-owner";
  /** The user may not open the descriptor. */
  "denied": "not-permitted";
  /** The kernel cannot do it. */
  "unsupported":
    /** The kernel lacks a call, or forbids it. */
    | "not-supported"
    /** Nothing destroys an MPTCP connection that no application holds. */
    | "mptcp"
    /** Its application has closed it, and this kernel could keep it for ever if it were destroyed. */
    | "orphan";
  /** Protected, or left alone on request. */
  "skipped":
    /** The operator works over it. */
    | "session"
    /** It is a subflow of an MPTCP connection that was not selected. */
    | "subflow"
    /** There are more connections than `max`. */
    | "max"
    /** `confirm` did not consent. */
    | "not-confirmed"
    /** It no longer matched the selection when its owner was known. */
    | "not-selected"
    /** It was being opened when it was found, and was established before it was touched. */
    | "recovered"
    /** It is being opened, and sends its next SYN so soon that its application waits less than it would lose. */
    | "connecting"
    /** It was busy until the deadline of `whenIdle`. */
    | "busy"
    /** The run was interrupted before. */
    | "interrupted";
  /** The connection was hung up on, and still existed when the wait was over. */
  "lingering": "timeout";
  /** Something else went wrong. */
  "failed":
    /** An error ended the run before. */
    | "not-reached"
    /** Its owners opened and closed it too fast to follow. */
    | "owner-changes"
    /** A process that may hold it is blocked in the kernel. */
    | "unresponsive"
    /** Memory or descriptors were short. */
    | "resources"
    /** The kernel refused an option. */
    | "refused"
    /** The kernel took an option and did not set it. */
    | "no-effect"
    /** A system call failed. */
    | "error";
}

/** The outcome for a connection. */
export type Outcome = keyof Reasons;

/** The code of a reason. */
export type Reason = NonNullable<Reasons[Outcome]>;

/** What became of a connection. The possible reasons depend on the outcome. */
export type Result<O extends Outcome = Outcome> = {
  [Each in O]: {
    readonly outcome: Each;
    /** The code of the reason. */
    readonly reason: Reasons[Each];
    /** The reason in one line for people; null without a reason. */
    readonly message: string | null;
  };
}[O];

/** The outcomes that `hangUp` and `setKeepalive` have in common. */
export type CommonOutcome = "already-gone" | "no-owner" | "denied" | "unsupported" | "skipped" | "failed";

/** An outcome of `hangUp`. */
export type HangUpOutcome = CommonOutcome | "hung-up" | "destroyed" | "would-hang-up" | "would-destroy" | "lingering";

/** An outcome of `setKeepalive`. */
export type KeepaliveOutcome = CommonOutcome | "keepalive-set" | "would-set-keepalive" | "unchanged";

/** A connection, and what `hangUp` made of it. */
export type HangUpResult = HeldConnection & Result<HangUpOutcome>;

/** A connection, and what `setKeepalive` made of it. */
export type KeepaliveResult = HeldConnection & KeepaliveChange & Result<KeepaliveOutcome>;

/** The settings of a socket before and after they were to be changed. */
export interface KeepaliveChange {
  /** The settings before; null where they could not be read. */
  readonly before: KeepaliveSettings | null;
  /** The settings as read back; in a dry run, as planned. */
  readonly after: KeepaliveSettings | null;
  /** The options that the kernel did not take. */
  readonly refused: readonly RefusedOption[];
}

/** A connection that a run works on, with what is known of it so far. */
export interface Target<O extends Outcome = Outcome> {
  /** The connection as it was listed last. */
  connection: Connection;
  /** The owners as they were found last. */
  owners: readonly Owner[];
  /** As in `HeldConnection`. */
  ownersLeftOut?: number;
  /** null until something became of it. */
  result: Result<O> | null;
  /** The reason why the last attempt failed and another one may not; null without such an attempt. */
  trouble: string | null;
  /** The number of vain attempts to find an owner. */
  ownerAttempts: number;
  /** The index in the journal, where this process has recorded it; else null. */
  place: number | null;
}

/** Returns the target that a connection is at first. */
export function targetOf<O extends Outcome>(connection: Connection): Target<O> {
  return { connection, owners: [], result: null, trouble: null, ownerAttempts: 0, place: null };
}

/** Updates a target from a newer listing. All but its state, inode and shutdown stays as it was when it was selected. */
export function update(target: Target, { state, inode, shutdown }: Connection): void {
  target.connection = { ...target.connection, state, inode, shutdown };
}

/** Returns what became of a target that has a result. */
export function resultOf<O extends Outcome>(target: Target<O>): HeldConnection & Result<O> {
  const { connection, owners, ownersLeftOut } = target;
  const { outcome, reason, message } = target.result!;
  const result = { connection, owners, outcome, reason, message } as HeldConnection & Result<O>;
  return ownersLeftOut === undefined ? result : { ...result, ownersLeftOut };
}
