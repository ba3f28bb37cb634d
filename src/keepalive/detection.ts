// Calculates the time after which a dead peer is noticed: tcp_keepalive_timer and tcp_write_timeout of
// net/ipv4/tcp_timer.c. The kernel's timers are late by up to an eighth of each wait (kernel/time/timer.c), never early.

import { isSyscallError } from "../../ffi/errno.ts";
import { readTextFile } from "../../ffi/files.ts";
import type { Keepalive, KeepaliveValues } from "./values.ts";

/** The settings of a network namespace for sockets that have none of their own. */
export interface KeepaliveSysctls {
  /** Seconds. */
  tcpKeepaliveTime: number;
  /** Seconds. */
  tcpKeepaliveIntvl: number;
  /** The number of unanswered probes in a row that end the connection. */
  tcpKeepaliveProbes: number;
  /** The number of times that unacknowledged data is sent again. */
  tcpRetries2: number;
  /** The longest wait between two retransmissions, in milliseconds. A setting since Linux 6.15. */
  tcpRtoMaxMs: number;
}

/** The settings of a namespace in which none was changed. */
export const KERNEL_DEFAULTS: Readonly<KeepaliveSysctls> = {
  tcpKeepaliveTime: 7200,
  tcpKeepaliveIntvl: 75,
  tcpKeepaliveProbes: 9,
  tcpRetries2: 15,
  tcpRtoMaxMs: 120_000,
};

/** The names under net.ipv4. */
const NAMES: Readonly<Record<keyof KeepaliveSysctls, string>> = {
  tcpKeepaliveTime: "tcp_keepalive_time",
  tcpKeepaliveIntvl: "tcp_keepalive_intvl",
  tcpKeepaliveProbes: "tcp_keepalive_probes",
  tcpRetries2: "tcp_retries2",
  tcpRtoMaxMs: "tcp_rto_max_ms",
};

/**
 * Reads the settings of the calling thread's network namespace.
 *
 * @throws {SyscallError} When /proc/sys/net cannot be read.
 */
export function readSysctls(): KeepaliveSysctls {
  const sysctls = { ...KERNEL_DEFAULTS };
  for (const name of Object.keys(sysctls) as (keyof KeepaliveSysctls)[]) {
    try {
      sysctls[name] = Number(readTextFile(`/proc/sys/net/ipv4/${NAMES[name]}`));
    } catch (error) {
      // Kernels without the setting have its default as a constant.
      if (name !== "tcpRtoMaxMs" || !isSyscallError(error, "ENOENT")) throw error;
    }
  }
  return sysctls;
}

/** Returns the keepalive of a socket on which `values` are set, in a namespace with `sysctls`. */
export function effective(values: KeepaliveValues, sysctls: KeepaliveSysctls): Keepalive {
  return {
    enabled: true,
    idleS: values.idleS || sysctls.tcpKeepaliveTime,
    intervalS: values.intervalS || sysctls.tcpKeepaliveIntvl,
    count: values.count || sysctls.tcpKeepaliveProbes,
    userTimeoutMs: values.userTimeoutMs,
  };
}

/** The times after which a silent peer is noticed. null is never. */
export interface Detection {
  /** From the last sign of the peer to the first probe. */
  firstProbeMs: number | null;
  /** From one probe to the next, as long as the peer answers. */
  probePeriodMs: number | null;
  /** From the last sign of the peer to the end of the connection, when nothing is being sent. */
  idleMs: number | null;
  /** From the first retransmission to the end of the connection, when there is unacknowledged data. */
  inFlightMs: number;
}

/** Returns the times after which a socket with `keepalive` notices a silent peer, in a namespace with `sysctls`. */
export function detection(keepalive: Keepalive, sysctls: KeepaliveSysctls): Detection {
  const inFlightMs = keepalive.userTimeoutMs || retransmissionTimeout(sysctls);
  if (!keepalive.enabled) return { firstProbeMs: null, probePeriodMs: null, idleMs: null, inFlightMs };
  return {
    firstProbeMs: keepalive.idleS * 1000,
    probePeriodMs: probePeriod(keepalive) * 1000,
    idleMs: silence(keepalive) * 1000,
    inFlightMs,
  };
}

/**
 * Returns the seconds between the probes to a peer that answers. After each probe the timer waits for the interval, and
 * then for the rest of the idle time.
 */
function probePeriod({ idleS, intervalS }: Keepalive): number {
  return Math.max(idleS, intervalS);
}

/**
 * Returns the seconds from the last sign of the peer to the end of an idle connection. A probe goes out after the idle time
 * and then at every interval. Without a user timeout, the connection ends an interval after the last probe; with one, the
 * count is ignored, and it ends at the first interval at which the timeout has passed and a probe was sent.
 */
function silence(keepalive: Keepalive): number {
  const { intervalS, count, userTimeoutMs } = keepalive;
  const firstProbeS = probePeriod(keepalive);
  if (!userTimeoutMs) return firstProbeS + intervalS * count;
  const intervals = Math.ceil((userTimeoutMs / 1000 - firstProbeS) / intervalS);
  return firstProbeS + intervalS * Math.max(1, intervals);
}

/** TCP_RTO_MIN, in milliseconds. */
const RTO_MIN_MS = 200;

/**
 * Calculates tcp_model_timeout: the milliseconds that tcp_retries2 retransmissions take if the first waits for TCP_RTO_MIN,
 * each further one for twice as long, and none for longer than tcp_rto_max_ms. 924.6 s by default; a connection ends at the
 * first retransmission after that.
 */
function retransmissionTimeout({ tcpRetries2, tcpRtoMaxMs }: KeepaliveSysctls): number {
  const doublings = Math.min(tcpRetries2, Math.floor(Math.log2(tcpRtoMaxMs / RTO_MIN_MS)));
  return (2 ** (doublings + 1) - 1) * RTO_MIN_MS + (tcpRetries2 - doublings) * tcpRtoMaxMs;
}
