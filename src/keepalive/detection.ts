// Calculates the time after which a dead peer is noticed: tcp_keepalive_timer and tcp_write_timeout of
// net/ipv4/tcp_timer.c. The kernel's timers are late by up to an eighth of each wait (kernel/time/timer.c), never early.

import { isSyscallError } from "../../ffi/errno.ts";
import { readTextFile } from "../../ffi/files.ts";
import type { Keepalive, KeepaliveValues } from "./values.ts";

/** The settings of a network namespace for sockets that have none of their own. The names are those under net.ipv4. */
export interface KeepaliveSysctls {
  /** Seconds. */
  tcp_keepalive_time: number;
  /** Seconds. */
  tcp_keepalive_intvl: number;
  /** The number of unanswered probes in a row that end the connection. */
  tcp_keepalive_probes: number;
  /** The number of times that unacknowledged data is sent again. */
  tcp_retries2: number;
  /** The longest wait between two retransmissions, in milliseconds. A setting since Linux 6.15. */
  tcp_rto_max_ms: number;
}

/** The settings of a namespace in which none was changed. */
export const KERNEL_DEFAULTS: Readonly<KeepaliveSysctls> = {
  tcp_keepalive_time: 7200,
  tcp_keepalive_intvl: 75,
  tcp_keepalive_probes: 9,
  tcp_retries2: 15,
  tcp_rto_max_ms: 120_000,
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
      sysctls[name] = Number(readTextFile(`/proc/sys/net/ipv4/${name}`));
    } catch (error) {
      // Kernels without the setting have its default as a constant.
      if (name !== "tcp_rto_max_ms" || !isSyscallError(error, "ENOENT")) throw error;
    }
  }
  return sysctls;
}

/** Returns the keepalive of a socket on which `values` are set, in a namespace with `sysctls`. */
export function effective(values: KeepaliveValues, sysctls: KeepaliveSysctls): Keepalive {
  return {
    enabled: true,
    idle_s: values.idle_s || sysctls.tcp_keepalive_time,
    interval_s: values.interval_s || sysctls.tcp_keepalive_intvl,
    count: values.count || sysctls.tcp_keepalive_probes,
    user_timeout_ms: values.user_timeout_ms,
  };
}

/** The times after which a silent peer is noticed. null is never. */
export interface Detection {
  /** From the last sign of the peer to the first probe. */
  first_probe_ms: number | null;
  /** From one probe to the next, as long as the peer answers. */
  probe_period_ms: number | null;
  /** From the last sign of the peer to the end of the connection, when nothing is being sent. */
  idle_ms: number | null;
  /** From the first retransmission to the end of the connection, when there is unacknowledged data. */
  in_flight_ms: number;
}

/** Returns the times after which a socket with `keepalive` notices a silent peer, in a namespace with `sysctls`. */
export function detection(keepalive: Keepalive, sysctls: KeepaliveSysctls): Detection {
  const in_flight_ms = keepalive.user_timeout_ms || retransmissionTimeout(sysctls);
  if (!keepalive.enabled) return { first_probe_ms: null, probe_period_ms: null, idle_ms: null, in_flight_ms };
  return {
    first_probe_ms: keepalive.idle_s * 1000,
    probe_period_ms: probePeriod(keepalive) * 1000,
    idle_ms: silence(keepalive) * 1000,
    in_flight_ms,
  };
}

/**
 * Returns the seconds between the probes to a peer that answers. After each probe the timer waits for the interval, and
 * then for the rest of the idle time.
 */
function probePeriod({ idle_s, interval_s }: Keepalive): number {
  return Math.max(idle_s, interval_s);
}

/**
 * Returns the seconds from the last sign of the peer to the end of an idle connection. A probe goes out after the idle time
 * and then at every interval. Without a user timeout, the connection ends an interval after the last probe; with one, the
 * count is ignored, and it ends at the first interval at which the timeout has passed and a probe was sent.
 */
function silence(keepalive: Keepalive): number {
  const { interval_s, count, user_timeout_ms } = keepalive;
  const first_probe_s = probePeriod(keepalive);
  if (!user_timeout_ms) return first_probe_s + interval_s * count;
  const intervals = Math.ceil((user_timeout_ms / 1000 - first_probe_s) / interval_s);
  return first_probe_s + interval_s * Math.max(1, intervals);
}

/** TCP_RTO_MIN, in milliseconds. */
const RTO_MIN_MS = 200;

/**
 * Calculates tcp_model_timeout: the milliseconds that tcp_retries2 retransmissions take if the first waits for TCP_RTO_MIN,
 * each further one for twice as long, and none for longer than tcp_rto_max_ms. 924.6 s by default; a connection ends at the
 * first retransmission after that.
 */
function retransmissionTimeout({ tcp_retries2, tcp_rto_max_ms }: KeepaliveSysctls): number {
  const doublings = Math.min(tcp_retries2, Math.floor(Math.log2(tcp_rto_max_ms / RTO_MIN_MS)));
  return (2 ** (doublings + 1) - 1) * RTO_MIN_MS + (tcp_retries2 - doublings) * tcp_rto_max_ms;
}
