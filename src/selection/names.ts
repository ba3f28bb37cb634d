// What this host makes of a name: getaddrinfo(3) for hosts and services, if_nametoindex(3) for interfaces.

import { getaddrinfo, ifNameToIndex, LookupError } from "../../ffi/libc.ts";
import type { Address } from "../address.ts";
import { sockaddrAddress, sockaddrPort } from "../netlink/sockaddr.ts";
import { UsageError } from "../usage_error.ts";

/** Looks names up. Parsers are given one, so that tests need no resolver. */
export interface Names {
  /** All addresses of a host. @throws {UsageError} When it has none. */
  addresses(host: string): Address[];
  /** The port of a TCP service. @throws {UsageError} When there is no such service. */
  port(service: string): number;
  /** The index of a network interface. @throws {UsageError} When there is no such interface. */
  interfaceIndex(name: string): number;
}

/** EAI_NONAME, EAI_NODATA: there is no such name. Any other failure may be a passing one. */
const UNKNOWN = [-2, -5];

/** The names that this host knows. */
export const systemNames: Names = {
  addresses(host) {
    try {
      const addresses = getaddrinfo(host, null).map(sockaddrAddress);
      return addresses.filter((address) => address !== null);
    } catch (error) {
      if (!(error instanceof LookupError)) throw error;
      throw new UsageError(
        UNKNOWN.includes(error.code)
          ? `Unknown host "${host}": neither an IP address nor a name that this host resolves`
          : `Cannot look up host "${host}" now (getaddrinfo error ${error.code}): give its addresses instead`,
      );
    }
  },

  port(service) {
    try {
      return sockaddrPort(getaddrinfo(null, service)[0]);
    } catch (error) {
      if (!(error instanceof LookupError)) throw error;
      throw new UsageError(
        `Unknown port "${service}": expected a number from 0 to 65535, a range such as 8000-8100, or a service name`,
      );
    }
  },

  interfaceIndex(name) {
    const index = ifNameToIndex(name);
    if (index === 0) throw new UsageError(`No network interface "${name}" here: see "ip link"`);
    return index;
  },
};
