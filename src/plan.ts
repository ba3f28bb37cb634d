// `tcphup plan`: what keepalive values cost on the network, how soon they notice a dead peer, and the other way round.

import { type Detection, detection, effective, type KeepaliveSysctls } from "./keepalive/detection.ts";
import { deriveUserTimeout, type Keepalive, type KeepaliveValues, SYSTEM_VALUES } from "./keepalive/values.ts";
import { UsageError } from "./model/errors.ts";

export { emit, EMIT_FORMATS, type EmitFormat, parseEmitFormat } from "./keepalive/emit.ts";

/** What is planned, and for how many connections. */
export interface PlanOptions {
  /** `SYSTEM_VALUES` plans what the host has today. */
  values: KeepaliveValues;
  /** Of the network namespace in question: what a value of 0 stands for. */
  sysctls: KeepaliveSysctls;
  /** Connections that each host keeps open. 3 unless given. */
  services?: number;
  /** 1 unless given. */
  hosts?: number;
  /** The size of a probe on the wire. 64 unless given, the least that an Ethernet frame has. */
  probe_bytes?: number;
}

/** What one interval would cost and give, if a quiet connection were probed that often. */
export interface PlanRow {
  /** Seconds between two probes. */
  interval_s: number;
  /** Of all connections together. */
  bytes_per_hour: number;
  /** From the first unanswered probe to the end of the connection. */
  hang_up_ms: number;
  /** From the last sign of the peer to the end of the connection. */
  noticed_ms: number;
}

/** The result, as --json prints it. Traffic is that of probes to peers that answer; the answers are not counted. */
export interface Plan extends Detection {
  /** The version of this document's keys. */
  schema: 1;
  /** Tells the documents of the commands apart. */
  command: "plan";
  /** What a socket would have, the system's part included. */
  keepalive: Keepalive;
  /** Connections of each host. */
  services: number;
  /** How many hosts there are. */
  hosts: number;
  /** The size of a probe on the wire. */
  probe_bytes: number;
  /** Of all connections together. */
  probes_per_hour: number;
  /** Of all connections together. */
  bytes_per_hour: number;
  /** What becomes of a connection without SO_KEEPALIVE and without a user timeout. */
  without_keepalive: Detection;
  /** Other intervals, for comparison. */
  table: PlanRow[];
}

/** The intervals of the table: the kernel's own, and shorter ones down to the least that it takes. */
const INTERVALS_S = [75, 38, 19, 10, 5, 3, 1];

const SECONDS_PER_HOUR = 3600;

function requirePositive(name: string, value: number): void {
  if (Number.isSafeInteger(value) && value > 0) return;
  throw new UsageError(`${name} ${value} is not a whole number above 0`);
}

/**
 * What `values` cost, and when they notice a peer that has gone silent.
 *
 * @throws {UsageError} When a number of services, hosts or bytes is not a whole one above 0.
 */
export function plan({ values, sysctls, services = 3, hosts = 1, probe_bytes = 64 }: PlanOptions): Plan {
  requirePositive("services", services);
  requirePositive("hosts", hosts);
  requirePositive("probe bytes", probe_bytes);
  const keepalive = effective(values, sysctls);
  const found = detection(keepalive, sysctls);
  const perHour = (period_s: number) => services * hosts * SECONDS_PER_HOUR / period_s;
  const probes_per_hour = perHour(found.probe_period_ms! / 1000);
  return {
    schema: 1,
    command: "plan",
    keepalive,
    services,
    hosts,
    probe_bytes,
    ...found,
    probes_per_hour: Math.round(probes_per_hour),
    bytes_per_hour: Math.round(probes_per_hour * probe_bytes),
    without_keepalive: detection({ ...keepalive, enabled: false, user_timeout_ms: 0 }, sysctls),
    table: INTERVALS_S.map((interval_s) => ({
      interval_s,
      bytes_per_hour: Math.round(perHour(interval_s) * probe_bytes),
      hang_up_ms: interval_s * keepalive.count * 1000,
      noticed_ms: interval_s * (keepalive.count + 1) * 1000,
    })),
  };
}

/** One probe and another: the least at which one that is lost is not the end of the connection. */
const FEWEST_PROBES = 2;

/** The largest values of the kernel's, 32767 s each, notice a dead peer after three times as long. */
const LONGEST_S = 32767;
const LONGEST_WITHIN_S = LONGEST_S * (1 + FEWEST_PROBES);

/**
 * The cheapest values that notice a dead peer within `within_s` seconds, on an idle connection and on one with data
 * in flight.
 *
 * The cost is what a living peer is sent, one probe each idle time (or interval, if that is longer), so the best idle
 * time is the longest. It is bounded by what comes after it: idle + interval × count must not exceed `within_s`.
 * - The count is 2: with 1, a single lost probe would end a connection to a living peer, and a third probe would
 *   have to be paid for with a shorter idle time.
 * - The interval is at least an eighth of `within_s`. What loses one packet often loses the next as well, so the
 *   second probe keeps its distance. And as the kernel's timers are late by up to an eighth of each wait, the
 *   connection ends at most one interval after the planned time.
 * Of values that cost the same, those with the longest interval are the most patient.
 *
 * @throws {UsageError} When `within_s` is not a whole number, or below 3: the kernel counts in seconds.
 */
export function valuesWithin(within_s: number): KeepaliveValues {
  const shortest_s = 1 + FEWEST_PROBES;
  if (!Number.isSafeInteger(within_s) || within_s < shortest_s) {
    throw new UsageError(
      `within ${within_s} s is not possible: it takes a whole number of seconds from ${shortest_s} on ` +
        `(idle 1 s, and ${FEWEST_PROBES} probes 1 s apart)`,
    );
  }
  const budget_s = Math.min(within_s, LONGEST_WITHIN_S);
  const idle_s = Math.min(budget_s - FEWEST_PROBES * Math.ceil(budget_s / 8), LONGEST_S);
  const interval_s = Math.floor((budget_s - idle_s) / FEWEST_PROBES);
  const values = { ...SYSTEM_VALUES, idle_s, interval_s, count: FEWEST_PROBES };
  return { ...values, user_timeout_ms: deriveUserTimeout(values) };
}
