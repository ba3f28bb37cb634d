// /proc/net/sockstat and sockstat6: how many TCP sockets a network namespace has.

import { isSyscallError } from "../../../ffi/errno.ts";
import { readTextFile } from "../../../ffi/files.ts";

/**
 * Whether the namespace that the thread is in may have TCP sockets: listeners, connections, or what is left of them in
 * FIN-WAIT-2 and TIME-WAIT, which the kernel counts apart. One in SYN-RECV has a listener.
 */
export function mayHaveTcp(): boolean {
  const ipv4 = textOf("/proc/thread-self/net/sockstat");
  if (ipv4 === null || /^TCP: inuse (?!0 )\d+|^TCP: .* tw (?!0 )\d+/m.test(ipv4)) return true;
  const ipv6 = textOf("/proc/thread-self/net/sockstat6");
  return ipv6 !== null && /^TCP6: inuse (?!0$)\d+/m.test(ipv6);
}

/** null where there is no such file: without IPv6, say. */
function textOf(path: string): string | null {
  try {
    return readTextFile(path);
  } catch (error) {
    if (isSyscallError(error)) return null;
    throw error;
  }
}
