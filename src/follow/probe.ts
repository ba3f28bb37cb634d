// Tries whether an address accepts TCP connections, as a client would.

import { isSyscallError } from "../../ffi/errno.ts";
import { poll, POLLOUT } from "../../ffi/poll.ts";
import { sleep } from "../../ffi/sleep.ts";
import {
  AF_INET,
  AF_INET6,
  connect,
  getsockopt,
  IPPROTO_TCP,
  SO_ERROR,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  socket,
  SOL_SOCKET,
} from "../../ffi/socket.ts";
import { encodeSockaddr } from "../linux/netlink/sockaddr.ts";
import { isIPv4, parseAddress } from "../model/address.ts";

/** The time that a connection may take. */
const PATIENCE_MS = 1000;
const POLL_MS = 10;
/** The number of addresses that are tried at once. */
const AT_ONCE = 16;

/** Returns an address that accepts a connection at `port`; null when none of the first ones does within a second. */
export async function findAccepting(
  addresses: readonly string[],
  port: number,
  signal: AbortSignal,
): Promise<string | null> {
  const tried = addresses.slice(0, AT_ONCE).map(async (address) => {
    if (await accepts(address, port, signal)) return address;
    throw new Error("not accepted");
  });
  return await Promise.any(tried).catch(() => null);
}

async function accepts(text: string, port: number, signal: AbortSignal): Promise<boolean> {
  const address = parseAddress(text)!;
  const end = performance.now() + PATIENCE_MS;
  const client = socket(isIPv4(address) ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, IPPROTO_TCP);
  try {
    connect(client, encodeSockaddr(address, port));
    return true;
  } catch (error) {
    if (!isSyscallError(error)) throw error;
    if (error.code !== "EINPROGRESS") return false;
    while (!signal.aborted && performance.now() < end) {
      if (poll(client.number, POLLOUT, 0) !== 0) return getsockopt(client, SOL_SOCKET, SO_ERROR) === 0;
      await sleep(POLL_MS, signal);
    }
    return false;
  } finally {
    client.close();
  }
}
