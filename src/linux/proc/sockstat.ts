// /proc/net/sockstat and sockstat6: how many TCP sockets a network namespace has.

import { withFallback } from "../../../ffi/errno.ts";
import { readTextFile } from "../../../ffi/files.ts";

/**
 * Whether the thread's network namespace may have TCP sockets: listeners and connections. The kernel counts TIME-WAIT and
 * its short form of FIN-WAIT-2 apart. A connection in SYN-RECV has a listener, which counts.
 */
export function mayHaveTcp(): boolean {
  const ipv4 = withFallback(null, () => readTextFile("/proc/thread-self/net/sockstat"));
  if (ipv4 === null || /^TCP: inuse (?!0 )\d+|^TCP: .* tw (?!0 )\d+/m.test(ipv4)) return true;
  // Without IPv6 there is no such file.
  const ipv6 = withFallback("", () => readTextFile("/proc/thread-self/net/sockstat6"));
  return /^TCP6: inuse (?!0$)\d+/m.test(ipv6);
}
