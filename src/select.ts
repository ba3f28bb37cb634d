// The first room of the pipeline: which connections there are.

import { isSyscallError, statx } from "../ffi/libc.ts";
import type { Connection } from "./connection.ts";
import { queries } from "./selection/queries.ts";
import type { Target } from "./selection/selection.ts";
import { listConnections } from "./sockdiag/list.ts";
import { SockDiag } from "./sockdiag/sock_diag.ts";
import { Unsupported } from "./unsupported.ts";

/** Inode number of the network namespace that this thread is in. */
export function currentNetns(): number {
  return statx(null, "/proc/thread-self/ns/net").ino;
}

/** Looks for the connections of a target, as often as it is asked to. */
export class Selector {
  readonly #diag = new SockDiag();
  readonly #netns = currentNetns();
  readonly #target: Target;
  readonly #extensions: number;

  /** @param extensions Bits of the reply attributes that connections are to be filled from. */
  constructor(target: Target, extensions = 0) {
    this.#target = target;
    this.#extensions = extensions;
  }

  /**
   * The connections that match now.
   *
   * @param states Mask of the states to look in, of those that the target has.
   * @throws {Unsupported} Where the kernel has no sock_diag.
   */
  select(states: number = this.#target.states): Connection[] {
    try {
      const wanted = queries(this.#target.filter, states & this.#target.states);
      return listConnections(this.#diag, wanted, this.#extensions, this.#netns);
    } catch (error) {
      if (!isSyscallError(error, "ENOENT", "EPROTONOSUPPORT", "EAFNOSUPPORT")) throw error;
      throw new Unsupported("This kernel cannot list TCP sockets: it needs CONFIG_INET_DIAG and CONFIG_INET_TCP_DIAG");
    }
  }

  /** Does something inside each namespace in which connections are looked for. Returns what came of it, by inode number. */
  inEachNetns<T>(work: () => T): Map<number, T> {
    return new Map([[this.#netns, work()]]);
  }

  /** sock_diag of the namespace in which connections are looked for. */
  get diag(): SockDiag {
    return this.#diag;
  }

  close(): void {
    this.#diag.close();
  }
}
