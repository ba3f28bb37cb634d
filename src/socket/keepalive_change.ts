// Changes the keepalive of one socket to the desired one: reads its settings, plans, and sets the difference.

import type { Descriptor } from "../../ffi/descriptor.ts";
import type { KeepaliveSettings, RefusedOption } from "../model/connection.ts";
import { apply, read, readOptional } from "./keepalive_options.ts";
import { optionOf, type SocketPhase, withoutEffect } from "../keepalive/socket_options.ts";
import type { DesiredKeepalive, KeepaliveName, KeepaliveValues } from "../keepalive/values.ts";

/** The result of a change. */
export interface Change {
  readonly before: KeepaliveSettings;
  /** The settings as read back; in a dry run, as planned. */
  readonly after: KeepaliveSettings;
  /** The options that the kernel did not take. */
  readonly refused: readonly RefusedOption[];
  /** The settings that do not read back as planned, though the socket has the option. */
  readonly unmet: readonly SettingName[];
  /** Whether the application's own choice was kept. */
  readonly keptByApplication: boolean;
}

type SettingName = keyof KeepaliveSettings;

/** Settings that are being put together. */
type Draft = { -readonly [Name in keyof KeepaliveSettings]: KeepaliveSettings[Name] };

/** The values that `read` does not report. They are read only when they were asked for. */
const EXTRAS = ["syncnt", "maxseg", "windowClamp", "deferAcceptS"] as const satisfies readonly KeepaliveName[];

/**
 * Changes the keepalive of a socket. A socket that has the desired settings is not touched: setting TCP_KEEPIDLE again
 * restarts the timer, so that a peer that is just being probed would get another probe at once.
 *
 * @throws {SyscallError} When it is not a TCP or MPTCP socket.
 */
export function change(socket: Descriptor, desired: DesiredKeepalive, phase: SocketPhase, dryRun = false): Change {
  const before = readSettings(socket, desired, phase);
  const planned = unchanged(before, desired, phase);
  if (dryRun || sameSettings(before, planned.after)) return planned;
  const results = apply(socket, missing(before, desired), phase);
  const refused = results.flatMap(({ option, value, error }) => error === null ? [] : [{ option, value, error }]);
  return changed(before, readSettings(socket, desired, phase), desired, phase, refused);
}

/** Returns the change of a socket that is not touched: in a dry run, or when it has the desired settings. */
export function unchanged(before: KeepaliveSettings, desired: DesiredKeepalive, phase: SocketPhase): Change {
  const keptByApplication = desired.onlyMissing === true && before.enabled;
  const planned = keptByApplication ? before : plannedSettings(before, desired, phase);
  return { before, after: planned, refused: [], unmet: [], keptByApplication };
}

/** Returns the change of a socket whose options were set. */
export function changed(
  before: KeepaliveSettings,
  after: KeepaliveSettings,
  desired: DesiredKeepalive,
  phase: SocketPhase,
  refused: readonly RefusedOption[] = [],
): Change {
  const { after: planned, keptByApplication } = unchanged(before, desired, phase);
  return { before, after, refused, unmet: unmetSettings(planned, after, refused), keptByApplication };
}

/**
 * Returns the settings that do not read back as planned. The kernel rounds some extras, so that an extra counts only when
 * its option was refused.
 */
export function unmetSettings(
  planned: KeepaliveSettings,
  after: KeepaliveSettings,
  refused: readonly RefusedOption[],
): SettingName[] {
  const isRounded = (name: SettingName) =>
    isExtra(name) && !refused.some(({ option }) => option === optionOf(name).option);
  return settingNames(planned).filter((name) => after[name] !== planned[name] && !isRounded(name));
}

function isExtra(name: SettingName): name is (typeof EXTRAS)[number] {
  return (EXTRAS as readonly string[]).includes(name);
}

/** Returns the values to set, without those that the application has chosen. */
function missing(before: KeepaliveSettings, { values, onlyMissing }: DesiredKeepalive): KeepaliveValues | "off" {
  return values !== "off" && onlyMissing && before.userTimeoutMs ? { ...values, userTimeoutMs: 0 } : values;
}

/** Returns the extras that were asked for and have an effect in that phase. */
export function extrasOf(values: KeepaliveValues, phase: SocketPhase): (typeof EXTRAS)[number][] {
  const idle = withoutEffect(values, phase);
  return EXTRAS.filter((name) => values[name] !== 0 && !idle.includes(name));
}

function readSettings(socket: Descriptor, { values }: DesiredKeepalive, phase: SocketPhase): KeepaliveSettings {
  const settings: Draft = read(socket);
  if (values === "off") return settings;
  for (const extra of extrasOf(values, phase)) {
    const { level, name } = optionOf(extra);
    settings[extra] = readOptional(socket, level, name);
  }
  return settings;
}

/** Returns the settings that `desired` makes of `before`. An option that the socket lacks stays null. */
export function plannedSettings(
  before: KeepaliveSettings,
  desired: DesiredKeepalive,
  phase: SocketPhase,
): KeepaliveSettings {
  const values = missing(before, desired);
  if (values === "off") return { ...before, enabled: false };
  const { idleS, intervalS, count, userTimeoutMs } = before;
  const planned: Draft = {
    ...before,
    enabled: true,
    idleS: values.idleS || idleS,
    intervalS: values.intervalS || intervalS,
    count: values.count || count,
    userTimeoutMs: userTimeoutMs === null ? null : values.userTimeoutMs || userTimeoutMs,
  };
  for (const name of extrasOf(values, phase)) {
    if (before[name] === null) continue;
    planned[name] = name === "deferAcceptS" ? deferral(values.deferAcceptS) : values[name];
  }
  return planned;
}

/** TCP_RTO_MAX, in seconds. */
const RTO_MAX_S = 120;

/**
 * Returns the value that the kernel makes of TCP_DEFER_ACCEPT (secs_to_retrans and retrans_to_secs of net/ipv4/tcp.c): the
 * seconds that some number of retransmissions take, the first after 1 s and each further one after twice the time; 255 at
 * most.
 */
export function deferral(wantedS: number): number {
  let [seconds, timeoutS] = [1, 1];
  for (let retransmissions = 1; seconds < wantedS && retransmissions < 255; retransmissions++) {
    timeoutS = Math.min(2 * timeoutS, RTO_MAX_S);
    seconds += timeoutS;
  }
  return seconds;
}

/** Whether two readings of one socket are the same. */
export function sameSettings(a: KeepaliveSettings, b: KeepaliveSettings): boolean {
  return settingNames(a).every((name) => a[name] === b[name]);
}

function settingNames(settings: KeepaliveSettings): SettingName[] {
  return Object.keys(settings) as SettingName[];
}
