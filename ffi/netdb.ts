// <netdb.h>, <net/if.h> and <pwd.h>: names of hosts, services, network interfaces and users.

import { cString, lazily } from "./call.ts";
import { load } from "./deno.ts";
import { addressOf, allocate } from "./memory.ts";
import { LibcUnavailableError, type NativeFunctions } from "./native.ts";
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

const passwdSymbols = lazily({
  getpwnam_r: { parameters: ["buffer", "buffer", "buffer", "usize", "buffer"], result: "i32" },
});

/** sizeof(struct passwd): {char *name, *passwd; u32 uid, gid; char *gecos, *dir, *shell} */
const PASSWD_SIZE = 48;
/** Space for the strings of an entry: a home directory is up to PATH_MAX long. */
const STRINGS_SIZE = 16 * 1024;

/** getpwnam_r(3): the user id of a name; null when there is no such user, or the lookup fails. */
export function userId(name: string): number | null {
  const entry = new Uint8Array(PASSWD_SIZE);
  const strings = new Uint8Array(STRINGS_SIZE);
  const found = new BigUint64Array(1);
  passwdSymbols().getpwnam_r(cString(name), entry, strings, BigInt(strings.length), found);
  return found[0] === 0n ? null : new DataView(entry.buffer).getUint32(16, true);
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
  const { getaddrinfo } = netdbSymbols();
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
  return takeAddresses(result[0]!);
}

/** Copies the addresses out of a list of `struct addrinfo`, and frees the list. */
function takeAddresses(list: bigint): Uint8Array[] {
  const { freeaddrinfo, memcpy } = netdbSymbols();
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

const LOOKUP_SYMBOLS = {
  getaddrinfo_a: { parameters: ["i32", "buffer", "i32", "usize"], result: "i32" },
  gai_error: { parameters: ["buffer"], result: "i32" },
} as const;

let lookupSymbols: NativeFunctions<typeof LOOKUP_SYMBOLS> | undefined;

/** Before glibc 2.34, these functions have a file of their own. */
function loadLookupSymbols(): NativeFunctions<typeof LOOKUP_SYMBOLS> {
  try {
    return load(LOOKUP_SYMBOLS);
  } catch (error) {
    if (!(error instanceof LibcUnavailableError)) throw error;
    return load(LOOKUP_SYMBOLS, "libanl.so.1");
  }
}

const GAI_NOWAIT = 1;
const EAI_INPROGRESS = -100;
/** sizeof(struct gaicb). */
const GAICB_SIZE = 56;
/** The offsets of the parts of a lookup's memory. */
const HINTS = GAICB_SIZE;
const LIST = HINTS + ADDRINFO_SIZE;
const NAME = LIST + 8;

/** The memory of all lookups under way: glibc's threads write to it, whether somebody waits for the result or not. */
const underWay = new Set<Uint8Array>();
/** The lookups under way whose results nobody waits for. */
const abandoned = new Set<Lookup>();

/** Returns how many lookups were abandoned and have not ended, each of which keeps a thread. */
export function countAbandonedLookups(): number {
  for (const lookup of abandoned) {
    try {
      if (lookup.take() !== null) abandoned.delete(lookup);
    } catch (error) {
      if (!(error instanceof LookupError)) throw error;
      abandoned.delete(lookup);
    }
  }
  return abandoned.size;
}

/**
 * getaddrinfo_a(3) of a host's addresses of one family: the lookup runs in a thread of glibc's, for as long as it takes.
 * The thread belongs to no thread pool of the runtime and does not delay the end of the process.
 */
export class Lookup {
  readonly #memory: Uint8Array;

  /** @throws {LookupError} When it cannot be started. */
  constructor(node: string, family: number) {
    lookupSymbols ??= loadLookupSymbols();
    const name = cString(node);
    const memory = this.#memory = allocate(NAME + name.length);
    const view = new DataView(memory.buffer);
    const base = addressOf(memory);
    memory.set(name, NAME);
    view.setInt32(HINTS + 4, family, true);
    view.setInt32(HINTS + 8, SOCK_STREAM, true);
    // struct gaicb {char *name, *service; struct addrinfo *request, *result; int return; int reserved[5]}
    view.setBigUint64(0, base + BigInt(NAME), true);
    view.setBigUint64(16, base + BigInt(HINTS), true);
    view.setBigUint64(LIST, base, true);
    underWay.add(memory);
    const code = lookupSymbols.getaddrinfo_a(GAI_NOWAIT, memory.subarray(LIST), 1, 0n);
    if (code === 0) return;
    underWay.delete(memory);
    throw new LookupError(code);
  }

  /**
   * Takes the result: every `struct sockaddr`; null while the lookup is under way. To be called until it has a result,
   * and not after that.
   *
   * @throws {LookupError} When the lookup has failed.
   */
  take(): Uint8Array[] | null {
    const memory = this.#memory;
    const code = lookupSymbols!.gai_error(memory);
    if (code === EAI_INPROGRESS) return null;
    underWay.delete(memory);
    if (code !== 0) throw new LookupError(code);
    return takeAddresses(new DataView(memory.buffer).getBigUint64(24, true));
  }

  /** To be called in place of `take`, when the result is no longer wanted. A lookup cannot be stopped. */
  abandon(): void {
    abandoned.add(this);
  }
}
