// Lists the connections that a selection matches. Their holders are found by ../resolve/finder.ts.

import type { Cookie, NetnsInode } from "../model/ids.ts";
import { isSyscallError } from "../../ffi/errno.ts";
import { AF_UNSPEC, IPPROTO_TCP } from "../../ffi/socket.ts";
import { isUnresponsive } from "../../ffi/progress.ts";
import { byIdentity, type Connection, endsOf, identityOf } from "../model/connection.ts";
import { CLOSE_DUMPS } from "../front/journal.ts";
import { extension, INET_DIAG_INFO } from "../linux/netlink/inet_diag.ts";
import { CONNECTED, type State, stateMask, stateName } from "../model/tcp_states.ts";
import { localAddresses } from "../linux/netns/addresses.ts";
import { NetnsError } from "../linux/netns/enter.ts";
import { hasCapability } from "../linux/proc/permissions.ts";
import { processes } from "../linux/proc/process.ts";
import { pulse } from "../linux/proc/pulse.ts";
import { NamespaceSet } from "./namespace_set.ts";
import { compileBytecode } from "./bytecode.ts";
import { EVERYTHING } from "./filter.ts";
import { asksForInfo, type DumpPlan, mentions, planDumps, stableConditions } from "./dump_plan.ts";
import type { CompiledSelection } from "./compile_selection.ts";
import type { Matcher } from "./matcher.ts";
import type { Dumper } from "./parallel_dump.ts";
import { listConnections, requestsOf, sockIdOf } from "./sockets.ts";
import type { SockDiag } from "../linux/netlink/sock_diag.ts";
import { UnsupportedError } from "../model/errors.ts";

const WITHOUT_INFO = "how connections have been, which the selection asks for, could not be listed";

/**
 * Number of dumps in a row that must lack a connection before it counts as gone. A single dump may miss a socket while
 * others come and go.
 */
export const DUMPS_BEFORE_GONE = 2;

/** Lists the connections of a selection, as often as the caller likes. */
export class Selector {
  readonly #selection: CompiledSelection;
  readonly #extensions: number;
  /** Whether INET_DIAG_INFO is not asked for, because an earlier dump with it has not come back from the kernel. */
  readonly hidesInfo: boolean;
  readonly #namespaces: NamespaceSet;
  /** The plans by the mask of states that they are for. */
  readonly #plans = new Map<number, readonly DumpPlan[]>();
  readonly #asksForMark: boolean;

  /**
   * @param extensions Bits of the reply attributes that connections are to be filled from.
   */
  constructor(selection: CompiledSelection, extensions = 0) {
    this.#selection = selection;
    const wanted = extensions | (asksForInfo(selection.filter) ? extension(INET_DIAG_INFO) : 0);
    // For INET_DIAG_INFO the kernel takes the lock of each socket, which a stuck process may hold.
    this.hidesInfo = isUnresponsive(CLOSE_DUMPS) && (wanted & extension(INET_DIAG_INFO)) !== 0;
    this.#extensions = this.hidesInfo ? wanted & ~extension(INET_DIAG_INFO) : wanted;
    this.#namespaces = new NamespaceSet(selection.netns, selection.notNetns ?? [], processes);
    this.#asksForMark = mentions(selection.filter, "mark");
  }

  /**
   * Returns the connections that match now.
   *
   * @throws {UsageError} When a namespace does not exist, at the first call.
   * @throws {UnsupportedError} Where the kernel has no sock_diag, no namespace may be entered, or the kernel hides from this
   * user a property that the selection names.
   */
  select(): Connection[] {
    return [...this.selectInParts()].flat();
  }

  /**
   * Yields the connections that match, in parts: first those of the first namespace, then those of several namespaces at a
   * time. Errors may come after some parts.
   *
   * @param states Restricts the states of the selection further: a mask of 1 << state.
   * @param chooses Decides about each row that matches.
   * @param withInfo Has connections get their `tcpInfo`, where that can be listed.
   */
  *selectInParts(
    states: number = this.#selection.states,
    chooses?: Matcher,
    withInfo = false,
  ): Generator<Connection[], void> {
    const mask = states & this.#selection.states;
    yield* this.#listInParts((netns) => {
      const plans = this.#plansIn(netns, mask);
      return chooses === undefined ? plans : plans.map((plan) => narrowed(plan, chooses));
    }, withInfo);
    this.#selection.local?.verify();
  }

  /** Whether a part of `selectInParts` is final: no later part can make the whole selection an error. */
  get isInParts(): boolean {
    return this.#selection.local === undefined;
  }

  /**
   * Returns the connections that match now and that the caller does not know. `isKnown` gets the cookie of each TCP socket.
   * MPTCP connections are always returned.
   *
   * @throws As `select`, which has to be called first.
   */
  selectNew(isKnown: (cookie: Cookie) => boolean): Connection[] {
    return this.#list((netns) => {
      return this.#plansIn(netns, this.#selection.states).map((plan) => ({
        ...plan,
        matches: (row) => plan.matches(row) && !isKnown(row.cookie),
      }));
    });
  }

  /**
   * Returns those of `known` that still exist, as they are now, whether they still match or not. A connection that has gone
   * into TIME-WAIT counts as ended: the kernel has freed its socket.
   */
  remaining(known: Iterable<Connection>): Connection[] {
    const before = byIdentity(known);
    const spaces = new Set([...before.values()].map(({ netns }) => netns));
    const plans = planDumps(stableConditions(this.#selection.filter), CONNECTED | this.#selection.states);
    return this.#list((netns) => spaces.has(netns) ? plans : []).filter((now) => {
      const then = before.get(identityOf(now));
      return then !== undefined && endsOf(now) === endsOf(then) &&
        (now.state !== "TIME-WAIT" || then.state === "TIME-WAIT");
    });
  }

  /** Returns a function that tells whether a port is listened on in a namespace of the selection. */
  listening(): (netns: NetnsInode, port: number) => boolean {
    const ports = new Set(this.#list(() => LISTENERS).map(({ netns, src }) => `${netns}/${src.port}`));
    return (netns, port) => ports.has(`${netns}/${port}`);
  }

  #list(plansIn: (netns: NetnsInode) => readonly DumpPlan[]): Connection[] {
    return [...this.#listInParts(plansIn)].flat();
  }

  *#listInParts(
    plansIn: (netns: NetnsInode) => readonly DumpPlan[],
    withInfo = false,
  ): Generator<Connection[], void> {
    let found: Connection[][] = [];
    const asksInfo = withInfo && !isUnresponsive(CLOSE_DUMPS);
    const extensions = this.#extensions | (asksInfo ? extension(INET_DIAG_INFO) : 0);
    const known = new Map<NetnsInode, readonly DumpPlan[]>();
    const plansOnceIn = (netns: NetnsInode): readonly DumpPlan[] => {
      const plans = known.get(netns) ?? plansIn(netns);
      known.set(netns, plans);
      return plans;
    };
    const list = (netns: NetnsInode, diag: Dumper) => {
      pulse();
      const plans = plansOnceIn(netns);
      if (this.#asksForMark && plans.length > 0) verifyMarks(diag);
      if (plans.length > 0) found.push(listConnections(diag, plans, extensions, netns));
    };
    try {
      for (const _ of this.#namespaces.forEach(list, (netns) => requestsOf(plansOnceIn(netns), extensions))) {
        yield this.#named(found.flat());
        found = [];
      }
    } catch (error) {
      if (!isSyscallError(error, "ENOENT", "EPROTONOSUPPORT", "EAFNOSUPPORT")) throw error;
      throw new UnsupportedError(
        "This kernel cannot list TCP sockets: it needs CONFIG_INET_DIAG and CONFIG_INET_TCP_DIAG",
        { cause: error },
      );
    }
    yield this.#named(found.flat());
  }

  /** Adds the names of the namespaces when the selection has several. */
  #named(connections: Connection[]): Connection[] {
    const names = this.#namespaces;
    if (!names.areSeveral) return connections;
    return connections.map((connection) => ({ ...connection, netnsName: names.nameOf(connection.netns) }));
  }

  #plansIn(netns: NetnsInode, states: number): readonly DumpPlan[] {
    const { filter, local } = this.#selection;
    if (local) return planDumps(this.#namespaces.within(netns, () => local.compile(localAddresses)), states);
    let plans = this.#plans.get(states);
    if (plans === undefined) this.#plans.set(states, plans = planDumps(filter, states));
    return plans;
  }

  /**
   * The reasons why connections may have been missed: properties that were not listed, namespaces that may not be entered.
   */
  get incomplete(): string[] {
    const withoutInfo = this.hidesInfo && asksForInfo(this.#selection.filter);
    return [...(withoutInfo ? [WITHOUT_INFO] : []), ...this.#namespaces.incomplete];
  }

  /** Returns sock_diag of the namespace that a connection is in. */
  diagOf(connection: Pick<Connection, "netns">): SockDiag {
    return this.#namespaces.diagOf(connection);
  }

  /** Returns the state that a TCP socket is in now, as `StateLookup` describes. */
  stateOf(connection: Connection): State | null {
    try {
      const state = this.diagOf(connection).stateOf(IPPROTO_TCP, sockIdOf(connection));
      return state === null ? null : stateName(state);
    } catch (error) {
      // The namespace has no process left, and its sockets have gone with it.
      if (error instanceof NetnsError && error.reason === "gone") return null;
      throw error;
    }
  }

  /** Calls `work` inside each namespace of the selection. Returns the results by the namespace's inode number. */
  forEachNetns<T>(work: () => T): Map<NetnsInode, T> {
    return this.#namespaces.inEach(work);
  }

  /** Calls `work` in the network namespace of a connection. @throws {NetnsError} When it cannot be entered. */
  within<T>({ netns }: Connection, work: () => T): T {
    return this.#namespaces.within(netns, work);
  }

  close(): void {
    this.#namespaces.close();
  }
}

const LISTENERS = planDumps(EVERYTHING, stateMask("LISTEN"));

const ANY_MARK = compileBytecode({ op: "mark", value: 0, mask: 0 });

/**
 * Checks that the kernel shows marks to this user. It sends a dump that has a condition on marks and matches no socket: the
 * kernel refuses that with EPERM where it leaves marks out of its rows.
 *
 * @throws {UnsupportedError} When marks are hidden.
 */
function verifyMarks(diag: Dumper): void {
  try {
    diag.dump({ family: AF_UNSPEC, protocol: IPPROTO_TCP, states: 0, extensions: 0, bytecode: ANY_MARK }, () => {});
  } catch (error) {
    if (!isSyscallError(error, "EPERM")) throw error;
    const missing = hasCapability("CAP_NET_ADMIN") ? "in the user namespace of the network namespace" : "only";
    throw new UnsupportedError(`Marks of sockets are shown to CAP_NET_ADMIN ${missing}: run it as root of the host`, {
      cause: error,
    });
  }
}

/** Returns a plan whose matchers also ask `chooses`. */
function narrowed(plan: DumpPlan, chooses: Matcher): DumpPlan {
  return {
    ...plan,
    matches: (row) => plan.matches(row) && chooses(row),
    matchesMptcp: (row) => plan.matchesMptcp(row) && chooses(row),
  };
}
