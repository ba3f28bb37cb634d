// <netdb.h> and <net/if.h>: names of hosts, services and network interfaces.

import { cString, lazily } from "./call.ts";
import { SOCK_STREAM } from "./socket.ts";

const netdbSymbols = lazily({
  getaddrinfo: { parameters: ["buffer", "buffer", "buffer", "buffer"], result: "i32" },
  freeaddrinfo: { parameters: ["usize"], result: "void" },
  memcpy: { parameters: ["buffer", "usize", "usize"], result: "usize" },
});

const interfaceSymbols = lazily({ if_nametoindex: { parameters: ["buffer"], result: "u32" } });

/** if_nametoindex(3): the index of a network interface, 0 when there is none of that name. */
export function ifNameToIndex(name: string): number {
  return interfaceSymbols().if_nametoindex(cString(name));
}

/** The errors of getaddrinfo(3), from −1 downwards: <netdb.h>. */
const EAI = "BADFLAGS NONAME AGAIN FAIL NODATA FAMILY SOCKTYPE SERVICE ADDRFAMILY MEMORY SYSTEM OVERFLOW".split(" ");

/** Thrown when getaddrinfo(3) fails. */
export class LookupError extends Error {
  override readonly name = "LookupError";
  /** The error's symbolic name: `EAI_AGAIN`. */
  readonly code: string;

  constructor(number: number) {
    const code = `EAI_${EAI[-number - 1] ?? number}`;
    super(`getaddrinfo: ${code}`);
    this.code = code;
  }
}

const ADDRINFO_SIZE = 48;

/**
 * getaddrinfo(3) for stream sockets: returns every `struct sockaddr` that the host's resolver (nsswitch.conf: /etc/hosts,
 * DNS) gives for a node, a service, or both.
 *
 * @throws {LookupError} When there is no such name, or the lookup fails.
 */
export function getaddrinfo(node: string | null, service: string | null): Uint8Array[] {
  const { getaddrinfo, freeaddrinfo, memcpy } = netdbSymbols();
  // struct addrinfo {int flags, family, socktype, protocol; u32 addrlen; void *addr; char *name; addrinfo *next}
  const hints = new Uint8Array(ADDRINFO_SIZE);
  new DataView(hints.buffer).setInt32(8, SOCK_STREAM, true);
  const result = new BigUint64Array(1);
  const code = getaddrinfo(
    node === null ? null : cString(node),
    service === null ? null : cString(service),
    hints,
    result,
  );
  if (code !== 0) throw new LookupError(code);
  const list = result[0]!;
  const addresses: Uint8Array[] = [];
  const entry = new Uint8Array(ADDRINFO_SIZE);
  const view = new DataView(entry.buffer);
  try {
    for (let next = list; next !== 0n; next = view.getBigUint64(40, true)) {
      memcpy(entry, next, BigInt(ADDRINFO_SIZE));
      const address = new Uint8Array(view.getUint32(16, true));
      memcpy(address, view.getBigUint64(24, true), BigInt(address.length));
      addresses.push(address);
    }
  } finally {
    freeaddrinfo(list);
  }
  return addresses;
}
