// Names that only this host can resolve: getaddrinfo(3) for hosts and services, if_nametoindex(3) for interfaces,
// getpwnam(3) for users, the mount of cgroup v2 for cgroups.

import { isSyscallError } from "../../ffi/errno.ts";
import { readTextFile } from "../../ffi/files.ts";
import { statx } from "../../ffi/fs.ts";
import { getaddrinfo, ifNameToIndex, LookupError, userId } from "../../ffi/netdb.ts";
import { sockaddrAddress, sockaddrPort } from "../linux/netlink/sockaddr.ts";
import { cgroupMounts } from "../linux/proc/mountinfo.ts";
import type { Address } from "../model/address.ts";
import { UnsupportedError, UsageError } from "../model/errors.ts";

/** Resolves names. Parsers get it as an argument, so that tests need no resolver. */
export interface Names {
  /** Returns all addresses of a host. @throws {UsageError} When the host has none. */
  addresses(host: string): Address[];
  /** Returns the port of a TCP service. @throws {UsageError} When there is no such service. */
  port(service: string): number;
  /** Returns the index of a network interface. @throws {UsageError} When there is no such interface. */
  interfaceIndex(name: string): number;
}

/** Resolves the names that a filter of ss(8) may contain. */
export interface FilterNames extends Names {
  /** Returns the inode number of a cgroup v2 directory. @throws {UsageError} When there is no such cgroup. */
  cgroupId(path: string): bigint;
  /**
   * Returns the range of ports that the kernel binds sockets to by itself: net.ipv4.ip_local_port_range.
   *
   * @throws {UnsupportedError} Where /proc/sys does not show them.
   */
  localPorts(): { readonly from: number; readonly to: number };
}

/** The codes for a name that does not exist. Other failures may be transient. */
const UNKNOWN = ["EAI_NONAME", "EAI_NODATA"];

/** Resolves all names that a selection may contain. */
export interface SystemNames extends FilterNames {
  /** Returns the number of a user. @throws {UsageError} When there is no such user. */
  uid(user: string): number;
}

/** Returns the port of a service; null when there is no such service. */
function servicePort(name: string): number | null {
  // getaddrinfo(3) takes numbers too, with blanks or a sign before them, and keeps the lower 16 bits of a greater one.
  if (/^\s*[+-]?\d*$/.test(name)) return null;
  try {
    const [address] = getaddrinfo(null, name);
    return address === undefined ? null : sockaddrPort(address);
  } catch (error) {
    if (error instanceof LookupError) return null;
    throw error;
  }
}

/** Resolves names on this host. Interfaces are looked up in the network namespace that the thread is in. */
export const systemNames: SystemNames = {
  addresses(host) {
    try {
      const addresses = getaddrinfo(host, null).map(sockaddrAddress);
      return addresses.filter((address) => address !== null);
    } catch (error) {
      if (!(error instanceof LookupError)) throw error;
      throw new UsageError(
        UNKNOWN.includes(error.code)
          ? `Unknown host "${host}": neither an IP address nor a name that this host resolves`
          : `Cannot look up host "${host}" now (${error.code}): give its addresses instead`,
        { code: UNKNOWN.includes(error.code) ? "not-found" : "unavailable", cause: error },
      );
    }
  },

  port(service) {
    const port = servicePort(service);
    if (port !== null) return port;
    const small = service.toLowerCase();
    const suggestion = small !== service && servicePort(small) !== null ? `did you mean "${small}"?` : null;
    throw new UsageError(
      `Unknown port "${service}": ${suggestion ?? "expected a number from 0 to 65535 or a service name"}`,
      { code: "not-found" },
    );
  },

  interfaceIndex(name) {
    const index = ifNameToIndex(name);
    if (index === 0) throw new UsageError(`No network interface "${name}" here: see "ip link"`, { code: "not-found" });
    return index;
  },

  uid(user) {
    const uid = userId(user);
    if (uid !== null) return uid;
    throw new UsageError(`Unknown user "${user}": expected a name that this host knows, or a number`, {
      code: "not-found",
    });
  },

  cgroupId(path) {
    const [mount] = cgroupMounts(readTextFile("/proc/self/mountinfo")).filter(({ unified }) => unified);
    if (mount === undefined) {
      throw new UsageError(`No cgroup "${path}": cgroup v2 is not mounted here`, { code: "not-found" });
    }
    const below = path.startsWith(`${mount.point}/`) || path === mount.point ? path.slice(mount.point.length) : path;
    try {
      return BigInt(statx(null, `${mount.point}/${below}`).ino);
    } catch (error) {
      if (!isSyscallError(error)) throw error;
      throw new UsageError(`No cgroup "${path}": expected a directory below ${mount.point}`, {
        code: "not-found",
        cause: error,
      });
    }
  },

  localPorts() {
    const path = "/proc/sys/net/ipv4/ip_local_port_range";
    try {
      const [from = NaN, to = NaN] = readTextFile(path).trim().split(/\s+/).map(Number);
      return { from, to };
    } catch (error) {
      if (!isSyscallError(error)) throw error;
      throw new UnsupportedError(
        `autobound depends on ${path}, which cannot be read here (${error.code}): name the ports instead`,
        { cause: error },
      );
    }
  },
};

/** An index that no interface has: the kernel's are positive ints. */
const NO_INTERFACE = 0xffffffff;

/** Resolves names in several network namespaces. Names that do not depend on the namespace are resolved once. */
export class NamesByNetns implements SystemNames {
  /** Whether a name was resolved that may mean something else in another namespace. */
  local = false;
  readonly #names: SystemNames;
  readonly #lenient: boolean;
  readonly #answers = new Map<string, unknown>();
  /** Interfaces that no namespace has had so far, each with its error. */
  readonly #missing = new Map<string, UsageError>();
  readonly #present = new Set<string>();

  /** @param lenient Whether an interface may be missing in one namespace, as long as another one has it. */
  constructor(names: SystemNames, lenient: boolean) {
    this.#names = names;
    this.#lenient = lenient;
  }

  addresses(host: string): ReturnType<SystemNames["addresses"]> {
    return this.#once(`host ${host}`, () => this.#names.addresses(host));
  }

  port(service: string): number {
    return this.#once(`port ${service}`, () => this.#names.port(service));
  }

  uid(user: string): number {
    return this.#once(`user ${user}`, () => this.#names.uid(user));
  }

  cgroupId(path: string): bigint {
    return this.#once(`cgroup ${path}`, () => this.#names.cgroupId(path));
  }

  localPorts(): ReturnType<SystemNames["localPorts"]> {
    this.local = true;
    return this.#names.localPorts();
  }

  interfaceIndex(name: string): number {
    this.local = true;
    try {
      const index = this.#names.interfaceIndex(name);
      this.#present.add(name);
      return index;
    } catch (error) {
      // A number may be an index, which readDevice() decides.
      if (!this.#lenient || !(error instanceof UsageError) || /^\d+$/.test(name)) throw error;
      this.#missing.set(name, error);
      return NO_INTERFACE;
    }
  }

  /**
   * Checks, after all namespaces, that each interface was in one of them. @throws {UsageError} For an interface in none.
   */
  verify(): void {
    for (const [name, error] of this.#missing) {
      if (!this.#present.has(name)) throw error;
    }
  }

  #once<T>(question: string, answer: () => T): T {
    if (!this.#answers.has(question)) this.#answers.set(question, answer());
    return this.#answers.get(question) as T;
  }
}
