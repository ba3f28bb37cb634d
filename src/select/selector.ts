// The first room of the pipeline: which connections there are. Who holds them is not asked here: see ../resolve/finder.ts.

import { isSyscallError } from "../../ffi/errno.ts";
import { AF_UNSPEC, IPPROTO_TCP } from "../../ffi/socket.ts";
import { isUnresponsive } from "../../ffi/progress.ts";
import { type Connection, endsOf, identityOf } from "../model/connection.ts";
import { CLOSE_DUMPS } from "../front/journal.ts";
import { extension, INET_DIAG_INFO, type InetDiagMsg } from "../linux/netlink/inet_diag.ts";
import { CONNECTED, type State, stateMask, stateName } from "../model/tcp_states.ts";
import { localAddresses } from "../linux/netns/addresses.ts";
import { NetnsError } from "../linux/netns/enter.ts";
import { hasCapability } from "../linux/proc/permissions.ts";
import { processes } from "../linux/proc/process.ts";
import { pulse } from "../linux/proc/pulse.ts";
import { NamespaceSet } from "./namespace_set.ts";
import { compileBytecode } from "./bytecode.ts";
import { EVERYTHING } from "./filter.ts";
import { asksForInfo, type DumpPlan, mentions, planDumps } from "./dump_plan.ts";
import { type CompiledSelection, stableConditions } from "./criteria.ts";
import type { Dumper } from "./parallel_dump.ts";
import { listConnections, requestsOf, sockIdOf } from "./sockets.ts";
import type { DumpRequest, SockDiag } from "../linux/netlink/sock_diag.ts";
import { Unsupported } from "../model/errors.ts";

/** Whether a row that matches is wanted. */
export type RowPredicate = (row: InetDiagMsg) => boolean;

const WITHOUT_INFO = "how connections have been, which the selection asks for, could not be listed";

/**
 * Number of dumps in a row that must lack a connection before it counts as gone. A single dump may miss a socket while
 * others come and go.
 */
export const DUMPS_BEFORE_GONE = 2;

/** Looks for the connections of a target, as often as it is asked to. */
export class Selector {
  readonly #selection: CompiledSelection;
  readonly #extensions: number;
  /** Whether what INET_DIAG_INFO tells is left out, since the kernel does not come to an end with it. */
  readonly hidesInfo: boolean;
  readonly #namespaces: NamespaceSet;
  readonly #plans = new Map<number, readonly DumpPlan[]>();
  readonly #asksForMark: boolean;

  /**
   * @param extensions Bits of the reply attributes that connections are to be filled from.
   */
  constructor(selection: CompiledSelection, extensions = 0) {
    this.#selection = selection;
    const wanted = extensions | (asksForInfo(selection.filter) ? extension(INET_DIAG_INFO) : 0);
    // The kernel takes each socket's lock for it.
    this.hidesInfo = isUnresponsive(CLOSE_DUMPS) && (wanted & extension(INET_DIAG_INFO)) !== 0;
    this.#extensions = this.hidesInfo ? wanted & ~extension(INET_DIAG_INFO) : wanted;
    this.#namespaces = new NamespaceSet(selection.netns, selection.notNetns ?? [], processes);
    this.#asksForMark = mentions(selection.filter, "mark");
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
  *selectInParts(states: number = this.#selection.states, chooses?: RowPredicate): Generator<Connection[], void> {
    const mask = states & this.#selection.states;
    yield* this.#listInParts((netns) => {
      const plans = this.#plansIn(netns, mask);
      return chooses === undefined ? plans : plans.map((plan) => narrowed(plan, chooses));
    });
    this.#selection.local?.verify();
  }

  /** Whether each part of a selection stands by itself: nothing that comes later takes something from it. */
  get isInParts(): boolean {
    return this.#selection.local === undefined;
  }

  /**
   * Those of the connections that match now that are news to the caller: it is asked about the cookie of each TCP socket. Of
   * MPTCP connections it is not asked, so that they are all news.
   *
   * @throws As `select`, which is to be called first.
   */
  selectNew(isKnown: (cookie: string) => boolean): Connection[] {
    return this.#list((netns) => {
      return this.#plansIn(netns, this.#selection.states).map((plan) => ({
        ...plan,
        matches: (row) => plan.matches(row) && !isKnown(row.cookie),
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
    const plans = planDumps(stableConditions(this.#selection.filter), CONNECTED | this.#selection.states);
    return this.#list((netns) => spaces.has(netns) ? plans : []).filter((now) => {
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

  #list(plansIn: (netns: number) => readonly DumpPlan[]): Connection[] {
    return [...this.#listInParts(plansIn)].flat();
  }

  *#listInParts(plansIn: (netns: number) => readonly DumpPlan[]): Generator<Connection[], void> {
    let found: Connection[][] = [];
    const known = new Map<number, readonly DumpPlan[]>();
    const plansOnceIn = (netns: number): readonly DumpPlan[] => {
      const plans = known.get(netns) ?? plansIn(netns);
      known.set(netns, plans);
      return plans;
    };
    // Most namespaces are asked the same.
    const requests = new Map<readonly DumpPlan[], DumpRequest[]>();
    const requestsIn = (netns: number): DumpRequest[] => {
      const plans = plansOnceIn(netns);
      const made = requests.get(plans) ?? requestsOf(plans, this.#extensions);
      requests.set(plans, made);
      return made;
    };
    const list = (netns: number, diag: Dumper) => {
      pulse();
      const plans = plansOnceIn(netns);
      if (this.#asksForMark && plans.length > 0) verifyMarks(diag);
      if (plans.length > 0) found.push(listConnections(diag, plans, this.#extensions, netns));
    };
    try {
      for (const _ of this.#namespaces.forEach(list, requestsIn)) {
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
    if (this.#namespaces.areSeveral) {
      for (const connection of connections) connection.netns_name = this.#namespaces.nameOf(connection.netns);
    }
    return connections;
  }

  #plansIn(netns: number, states: number): readonly DumpPlan[] {
    const { filter, local } = this.#selection;
    if (local) return planDumps(this.#namespaces.within(netns, () => local.compile(localAddresses)), states);
    let plans = this.#plans.get(states);
    if (plans === undefined) this.#plans.set(states, plans = planDumps(filter, states));
    return plans;
  }

  /** Why connections may have been missed: what was not listed, and namespaces that may not be entered, each named. */
  get incomplete(): string[] {
    const withoutInfo = this.hidesInfo && asksForInfo(this.#selection.filter);
    return [...(withoutInfo ? [WITHOUT_INFO] : []), ...this.#namespaces.incomplete];
  }

  /** sock_diag of the namespace that a connection is in. */
  diagOf(connection: Pick<Connection, "netns">): SockDiag {
    return this.#namespaces.diagOf(connection);
  }

  /** The state that a TCP socket is in now, as `LookUp` has it. */
  stateOf(connection: Connection): State | null {
    try {
      const state = this.diagOf(connection).stateOf(IPPROTO_TCP, sockIdOf(connection));
      return state === null ? null : stateName(state);
    } catch (error) {
      // Nobody lives in its namespace any more.
      if (error instanceof NetnsError && error.reason === "gone") return null;
      throw error;
    }
  }

  /** Does something inside each namespace in which connections are looked for. Returns what came of it, by inode number. */
  forEachNetns<T>(work: () => T): Map<number, T> {
    return this.#namespaces.inEach(work);
  }

  close(): void {
    this.#namespaces.close();
  }
}

const LISTENERS = planDumps(EVERYTHING, stateMask("LISTEN"));

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
function narrowed(plan: DumpPlan, chooses: RowPredicate): DumpPlan {
  return {
    ...plan,
    matches: (row) => plan.matches(row) && chooses(row),
    matchesMptcp: (row) => plan.matchesMptcp(row) && chooses(row),
  };
}
