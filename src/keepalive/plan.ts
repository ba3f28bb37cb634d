// Plans keepalive: the traffic and the detection times of given values, and the values for a wanted detection time.

import { type Detection, detection, effective, type KeepaliveSysctls, KERNEL_DEFAULTS } from "./detection.ts";
import {
  checkValues,
  deriveUserTimeout,
  type GivenValues,
  type Keepalive,
  type KeepaliveValues,
  resolveValues,
  SYSTEM_VALUES,
} from "./values.ts";
import { checkOptions, type Checks, count, inRange, nested } from "../model/options.ts";
import { usageError } from "../model/wording.ts";

/** Options of `planKeepalive`. */
export interface PlanKeepaliveOptions {
  /**
   * The values to plan, as `setKeepalive` takes them. A value of 0 is the system's; `SYSTEM_VALUES` leaves all of them to
   * the system.
   */
  values?: GivenValues;
  /**
   * The sysctls of the network namespace, which apply where a value is 0: `readSysctls()` for those of this host. Default
   * `KERNEL_DEFAULTS`.
   */
  sysctls?: KeepaliveSysctls;
  /** Number of connections that each host keeps open. Default 3. */
  services?: number;
  /** Number of hosts. Default 1. */
  hosts?: number;
  /** Size of a probe on the wire, in bytes. Default 64, the size of the smallest Ethernet frame. */
  probeBytes?: number;
}

/** The traffic and the detection times of one interval that is also the idle time. */
export interface PlanRow {
  /** Seconds between two probes. */
  intervalS: number;
  /** Bytes of all connections together. */
  bytesPerHour: number;
  /** Milliseconds from the first unanswered probe to the end of the connection. */
  hangUpMs: number;
  /** Milliseconds from the last sign of the peer to the end of the connection. */
  noticedMs: number;
}

/** The plan. Its traffic is that of probes to peers that answer. The answers are not counted. */
export interface Plan extends Detection {
  /** The version of this document's keys. */
  schema: 1;
  /** The command that made this document. */
  command: "plan";
  /** The effective settings of a socket, including those that come from sysctls. */
  keepalive: Keepalive;
  /** Number of connections of each host. */
  services: number;
  /** Number of hosts. */
  hosts: number;
  /** Size of a probe on the wire, in bytes. */
  probeBytes: number;
  /** Probes of all connections together. */
  probesPerHour: number;
  /** Bytes of all connections together. */
  bytesPerHour: number;
  /** The detection times of a connection without SO_KEEPALIVE and without a user timeout. */
  withoutKeepalive: Detection;
  /** Other intervals, for comparison. */
  table: PlanRow[];
}

/** The intervals of the table: the kernel's default, and shorter ones down to the smallest that it accepts. */
const INTERVALS_S = [75, 38, 19, 10, 5, 3, 1];

const SECONDS_PER_HOUR = 3600;

const CHECKS: Checks<PlanKeepaliveOptions> = {
  values: checkValues,
  sysctls: nested<KeepaliveSysctls>({
    tcpKeepaliveTime: count,
    tcpKeepaliveIntvl: count,
    tcpKeepaliveProbes: count,
    tcpRetries2: inRange({ minimum: 0, maximum: 255, whole: true, expected: "a whole number from 0 to 255" }),
    tcpRtoMaxMs: count,
  }),
  services: count,
  hosts: count,
  probeBytes: count,
};

/**
 * Computes the traffic of keepalive values, and the times after which they detect a dead peer.
 *
 * @throws {UsageError} When a value is not in the kernel's range. When `services`, `hosts` or `probeBytes` is not a whole
 * number above 0.
 */
export function planKeepalive(options: PlanKeepaliveOptions = {}): Plan {
  checkOptions(options, CHECKS);
  const { sysctls = KERNEL_DEFAULTS, services = 3, hosts = 1, probeBytes = 64 } = options;
  const keepalive = effective(resolveValues(options.values).values, sysctls);
  const found = detection(keepalive, sysctls);
  const perHour = (periodS: number) => services * hosts * SECONDS_PER_HOUR / periodS;
  const probesPerHour = perHour(found.probePeriodMs! / 1000);
  return {
    schema: 1,
    command: "plan",
    keepalive,
    services,
    hosts,
    probeBytes,
    ...found,
    probesPerHour: Math.round(probesPerHour),
    bytesPerHour: Math.round(probesPerHour * probeBytes),
    withoutKeepalive: detection({ ...keepalive, enabled: false, userTimeoutMs: 0 }, sysctls),
    table: INTERVALS_S.map((intervalS) => ({
      intervalS,
      bytesPerHour: Math.round(perHour(intervalS) * probeBytes),
      hangUpMs: intervalS * keepalive.count * 1000,
      noticedMs: intervalS * (keepalive.count + 1) * 1000,
    })),
  };
}

/** The fewest probes with which the loss of a single probe does not end the connection. */
const MIN_PROBES = 2;

/**
 * The largest idle time and interval that the kernel accepts. With both, a dead peer is detected after three times as
 * long.
 */
const MAX_S = 32767;
const MAX_WITHIN_S = MAX_S * (1 + MIN_PROBES);

/**
 * Computes the values with the least traffic that detect a dead peer within `withinS` seconds, on an idle connection
 * and on one with data in flight.
 *
 * A living peer is sent one probe each idle time (or interval, if that is longer), so the longest idle time causes the
 * least traffic. Its bound is that idle + interval × count must not exceed `withinS`.
 * - The count is 2: with 1, a single lost probe would end a connection to a living peer, and a third probe would
 *   have to be paid for with a shorter idle time.
 * - The interval is at least an eighth of `withinS`. A network that loses one packet often loses the next as well,
 *   so the second probe keeps its distance. The kernel's timers are late by up to an eighth of each wait, so the
 *   connection ends at most one interval after the planned time. Among values with the same traffic, those with the
 *   longest interval tolerate the longest loss.
 *
 * @throws {UsageError} When `withinS` is not a whole number, or is below 3: the kernel counts in seconds.
 */
export function valuesWithin(withinS: number): KeepaliveValues {
  const shortestS = 1 + MIN_PROBES;
  if (!Number.isSafeInteger(withinS) || withinS < shortestS) {
    throw usageError(
      ({ quote }) =>
        `${quote("withinS", withinS)} is not possible: expected a whole number of seconds from ${shortestS} on ` +
        `(idle 1 s, and ${MIN_PROBES} probes 1 s apart)`,
      { code: "out-of-range", option: "withinS", value: withinS },
    );
  }
  const budgetS = Math.min(withinS, MAX_WITHIN_S);
  const idleS = Math.min(budgetS - MIN_PROBES * Math.ceil(budgetS / 8), MAX_S);
  const intervalS = Math.floor((budgetS - idleS) / MIN_PROBES);
  const values = { ...SYSTEM_VALUES, idleS, intervalS, count: MIN_PROBES };
  return { ...values, userTimeoutMs: deriveUserTimeout(values) };
}
