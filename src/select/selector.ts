// The first room of the pipeline: which connections there are. Who holds them is not asked here: see ../resolve/finder.ts.

import { AF_UNSPEC, IPPROTO_TCP, isSyscallError } from "../../ffi/libc.ts";
import { isUnresponsive } from "../../ffi/progress.ts";
import { type Connection, endsOf, identityOf } from "../model/connection.ts";
import { CLOSE_LISTS } from "../front/journal.ts";
import { extension, INET_DIAG_INFO, type InetDiagMsg } from "../linux/netlink/inet_diag.ts";
import { CONNECTED, type State, stateMask, stateName } from "../model/tcp_states.ts";
import { localAddresses } from "../linux/netns/addresses.ts";
import { NotEntered } from "../linux/netns/enter.ts";
import { hasCapability } from "../linux/proc/permissions.ts";
import { processes } from "../linux/proc/process.ts";
import { pulse } from "../linux/proc/pulse.ts";
import { Places } from "./namespaces.ts";
import { compileBytecode } from "./bytecode.ts";
import { EVERYTHING } from "./filter.ts";
import { asksForInfo, mentions, queries, type Query } from "./dump_plan.ts";
import { lasting, type Target } from "./criteria.ts";
import type { Dumper } from "./parallel_dump.ts";
import { listConnections, requestsOf, sockIdOf } from "./sockets.ts";
import type { DumpRequest, SockDiag } from "../linux/netlink/sock_diag.ts";
import { Unsupported } from "../model/errors.ts";

/** Whether a row that matches is wanted. */
export type RowPredicate = (row: InetDiagMsg) => boolean;

const WITHOUT_INFO = "how connections have been, which the selection asks for, could not be listed";

/** Looks for the connections of a target, as often as it is asked to. */
export class Selector {
  readonly #target: Target;
  readonly #extensions: number;
  /** Whether what INET_DIAG_INFO tells is left out, since the kernel does not come to an end with it. */
  readonly hidesInfo: boolean;
  readonly #places: Places;
  readonly #queries = new Map<number, readonly Query[]>();
  readonly #asksForMark: boolean;

  /**
   * @param extensions Bits of the reply attributes that connections are to be filled from.
   */
  constructor(target: Target, extensions = 0) {
    this.#target = target;
    const wanted = extensions | (asksForInfo(target.filter) ? extension(INET_DIAG_INFO) : 0);
    // The kernel takes each socket's lock for it.
    this.hidesInfo = isUnresponsive(CLOSE_LISTS) && (wanted & extension(INET_DIAG_INFO)) !== 0;
    this.#extensions = this.hidesInfo ? wanted & ~extension(INET_DIAG_INFO) : wanted;
    this.#places = new Places(target.netns, target.notNetns ?? [], processes);
    this.#asksForMark = mentions(target.filter, "mark");
  }

  /**
   * The connections that match now.
   *
   * @param states Mask of the states to look in, of those that the target has.
   * @throws {UsageError} When a namespace is not there, the first time.
   * @throws {Unsupported} Where the kernel has no sock_diag, no namespace may be entered, or what the selection rests on is
   * hidden from this user.
   */
  select(states?: number): Connection[] {
    return [...this.selectInParts(states)].flat();
  }

  /**
   * The same, part by part: those of the first namespace, and then of some at a time. What it throws may come late.
   *
   * @param chooses Asked about each row that matches.
   */
  *selectInParts(states: number = this.#target.states, chooses?: RowPredicate): Generator<Connection[], void> {
    const mask = states & this.#target.states;
    yield* this.#listInParts((netns) => {
      const wanted = this.#queriesIn(netns, mask);
      return chooses === undefined ? wanted : wanted.map((query) => narrowed(query, chooses));
    });
    this.#target.local?.verify();
  }

  /** Whether each part of a selection stands by itself: nothing that comes later takes something from it. */
  get isInParts(): boolean {
    return this.#target.local === undefined;
  }

  /**
   * Those of the connections that match now that are news to the caller: it is asked about the cookie of each TCP socket. Of
   * MPTCP connections it is not asked, so that they are all news.
   *
   * @throws As `select`, which is to be called first.
   */
  selectNew(isKnown: (cookie: string) => boolean): Connection[] {
    return this.#list((netns) => {
      return this.#queriesIn(netns, this.#target.states).map((query) => ({
        ...query,
        matches: (row) => query.matches(row) && !isKnown(row.cookie),
      }));
    });
  }

  /**
   * Those of `known` that are still there, in whatever state, whether they still match or not, as they are now. One that
   * has gone into TIME-WAIT is gone: all that is left is a note of it.
   */
  remaining(known: Iterable<Connection>): Connection[] {
    const byIdentity = new Map([...known].map((connection) => [identityOf(connection), connection]));
    const spaces = new Set([...byIdentity.values()].map(({ netns }) => netns));
    const wanted = queries(lasting(this.#target.filter), CONNECTED | this.#target.states);
    return this.#list((netns) => spaces.has(netns) ? wanted : []).filter((now) => {
      const then = byIdentity.get(identityOf(now));
      return then !== undefined && endsOf(now) === endsOf(then) &&
        (now.state !== "TIME-WAIT" || then.state === "TIME-WAIT");
    });
  }

  /** Which ports are listened on, in the namespaces that connections are looked for in: `(netns, port) => boolean`. */
  listening(): (netns: number, port: number) => boolean {
    const ports = new Set(this.#list(() => LISTENERS).map(({ netns, src }) => `${netns}/${src.port}`));
    return (netns, port) => ports.has(`${netns}/${port}`);
  }

  #list(queriesIn: (netns: number) => readonly Query[]): Connection[] {
    return [...this.#listInParts(queriesIn)].flat();
  }

  *#listInParts(queriesIn: (netns: number) => readonly Query[]): Generator<Connection[], void> {
    let found: Connection[][] = [];
    const known = new Map<number, readonly Query[]>();
    const wantedIn = (netns: number): readonly Query[] => {
      const wanted = known.get(netns) ?? queriesIn(netns);
      known.set(netns, wanted);
      return wanted;
    };
    // Most namespaces are asked the same.
    const requests = new Map<readonly Query[], DumpRequest[]>();
    const requestsIn = (netns: number): DumpRequest[] => {
      const wanted = wantedIn(netns);
      const made = requests.get(wanted) ?? requestsOf(wanted, this.#extensions);
      requests.set(wanted, made);
      return made;
    };
    const list = (netns: number, diag: Dumper) => {
      pulse();
      const wanted = wantedIn(netns);
      if (this.#asksForMark && wanted.length > 0) verifyMarks(diag);
      if (wanted.length > 0) found.push(listConnections(diag, wanted, this.#extensions, netns));
    };
    try {
      for (const _ of this.#places.forEach(list, requestsIn)) {
        yield this.#named(found.flat());
        found = [];
      }
    } catch (error) {
      if (!isSyscallError(error, "ENOENT", "EPROTONOSUPPORT", "EAFNOSUPPORT")) throw error;
      throw new Unsupported("This kernel cannot list TCP sockets: it needs CONFIG_INET_DIAG and CONFIG_INET_TCP_DIAG");
    }
    yield this.#named(found.flat());
  }

  /** With the names of their namespaces, where there are several. */
  #named(connections: Connection[]): Connection[] {
    if (this.#places.areSeveral) {
      for (const connection of connections) connection.netns_name = this.#places.nameOf(connection.netns);
    }
    return connections;
  }

  #queriesIn(netns: number, states: number): readonly Query[] {
    const { filter, local } = this.#target;
    if (local) return queries(this.#places.within(netns, () => local.compile(localAddresses)), states);
    let wanted = this.#queries.get(states);
    if (wanted === undefined) this.#queries.set(states, wanted = queries(filter, states));
    return wanted;
  }

  /** Why connections may have been missed: what was not listed, and namespaces that may not be entered, each named. */
  get unseen(): string[] {
    const withoutInfo = this.hidesInfo && asksForInfo(this.#target.filter);
    return [...(withoutInfo ? [WITHOUT_INFO] : []), ...this.#places.unseen];
  }

  /** sock_diag of the namespace that a connection is in. */
  diagOf(connection: Pick<Connection, "netns">): SockDiag {
    return this.#places.diagOf(connection);
  }

  /** The state that a TCP socket is in now, as `LookUp` has it. */
  stateOf(connection: Connection): State | null {
    try {
      const state = this.diagOf(connection).stateOf(IPPROTO_TCP, sockIdOf(connection));
      return state === null ? null : stateName(state);
    } catch (error) {
      // Nobody lives in its namespace any more.
      if (error instanceof NotEntered && error.reason === "gone") return null;
      throw error;
    }
  }

  /** Does something inside each namespace in which connections are looked for. Returns what came of it, by inode number. */
  inEachNetns<T>(work: () => T): Map<number, T> {
    return this.#places.inEach(work);
  }

  close(): void {
    this.#places.close();
  }
}

const LISTENERS = queries(EVERYTHING, stateMask("LISTEN"));

const ANY_MARK = compileBytecode({ op: "mark", value: 0, mask: 0 });

/**
 * Asks for no socket at all, but by its mark: the kernel refuses that where it leaves the mark out of what it lists.
 *
 * @throws {Unsupported} Then.
 */
function verifyMarks(diag: Dumper): void {
  try {
    diag.dump({ family: AF_UNSPEC, protocol: IPPROTO_TCP, states: 0, extensions: 0, bytecode: ANY_MARK }, () => {});
  } catch (error) {
    if (!isSyscallError(error, "EPERM")) throw error;
    const missing = hasCapability("CAP_NET_ADMIN") ? "in the user namespace of the network namespace" : "only";
    throw new Unsupported(`Marks of sockets are shown to CAP_NET_ADMIN ${missing}: run it as root of the host`);
  }
}

/** A query for those of its rows that are chosen besides. */
function narrowed(query: Query, chooses: RowPredicate): Query {
  return {
    ...query,
    matches: (row) => query.matches(row) && chooses(row),
    matchesMptcp: (row) => query.matchesMptcp(row) && chooses(row),
  };
}
