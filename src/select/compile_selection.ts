// Works out what a selection means: a filter over rows, and what no row can say.

import type { Prefix } from "../model/address.ts";
import { expectedWord } from "../model/closest.ts";
import { ALL_STATES, CONNECTED, STATE_NAMES, stateMask, statesNamed } from "../model/tcp_states.ts";
import { UsageError } from "../model/errors.ts";
import { requireOptions } from "../model/options.ts";
import { about, type Message, usageError } from "../model/wording.ts";
import { readAddressList } from "./address_file.ts";
import { parseDestination, parsePort, versionFilter } from "./destination.ts";
import { mentions, statesOf } from "./dump_plan.ts";
import { all, any, EVERYTHING, type Filter, not } from "./filter.ts";
import { NamesByNetns, type SystemNames, systemNames } from "./names.ts";
import { type Criteria, listOf, type Selection, validateSelection } from "./selection.ts";
import { readDevice, readMark } from "./ss/operands.ts";
import { parseFilter } from "./ss/parser.ts";

const NEEDS = [
  ["children", ["pid", "not.pid"]],
  ["missingOk", ["cgroup", "not.cgroup"]],
] as const;

/** Properties of processes. One value of each list must fit; an empty list asks for nothing. */
export interface ProcessCriteria {
  readonly pid: readonly number[];
  /** Patterns of /proc/PID/comm. */
  readonly comm: readonly string[];
  /** Patterns of /proc/PID/exe. */
  readonly exe: readonly string[];
  /** Control groups, as `cgroupMatcher` reads them. */
  readonly cgroup: readonly string[];
  /** Containers, each by the start of its id. */
  readonly container: readonly string[];
}

/** A selection, ready to be looked for. */
export interface CompiledSelection {
  readonly filter: Filter;
  /** Mask of 1 << state. */
  readonly states: number;
  /** True when it names states, or asks for what is stalled, and so means attempts to connect of any age. */
  readonly namesAttempts: boolean;
  /** The filter for each network namespace, when it is not the same in all of them. */
  readonly local?: LocalFilter;
  /** Processes of which one must hold the connection. */
  readonly heldBy?: ProcessCriteria;
  /** Processes none of which may hold it. */
  readonly notHeldBy?: ProcessCriteria;
  /** Whether each process stands for its descendants too. */
  readonly children?: boolean;
  /** Whether control groups may be missing. */
  readonly missingOk?: boolean;
  /** Texts that name network namespaces, and those that are to be left out. */
  readonly netns?: readonly string[];
  readonly notNetns?: readonly string[];
  /** The value that SO_KEEPALIVE must have. */
  readonly keepalive?: boolean;
}

/** A filter that depends on the network namespace. */
export interface LocalFilter {
  /** The filter in the namespace that the thread is in, whose addresses are asked for where they matter. */
  compile(localAddresses: () => readonly Prefix[]): Filter;
  /** To be called when it was compiled in every namespace. @throws {UsageError} For a name that none of them has. */
  verify(): void;
}

/**
 * Works out what a selection means.
 *
 * @param about Mask of the states that it is about when it names none.
 * @throws {UsageError} When it selects nothing, or names something that is not there.
 */
export function compileSelection(
  selection: Selection,
  names: SystemNames = systemNames,
  about: number = CONNECTED,
): CompiledSelection {
  validateSelection(selection);
  const { not: excluded = {}, netns, children, missingOk } = selection;
  const compiler = new Compiler(selection, new NamesByNetns(names, listOf(netns).length > 0), about);
  const filter = compiler.compile(() => []);
  const [heldBy, notHeldBy] = [processCriteriaOf(selection, ""), processCriteriaOf(excluded, "not.")];
  const keepalive = keepaliveOf(selection, excluded);
  if (!compiler.selects && heldBy === undefined && keepalive === undefined) {
    throw new UsageError(
      'The selection is empty: give a condition, such as dst or pid, or dst "any" for all connections',
      { code: "empty-selection" },
    );
  }
  requireOptions(selection, NEEDS);
  return {
    filter,
    states: compiler.states,
    namesAttempts: compiler.namesStates || mentions(filter, "stalled"),
    local: compiler.isLocal ? compiler : undefined,
    heldBy,
    notHeldBy,
    children,
    missingOk,
    netns: listOf(netns).length > 0 ? listOf(netns) : undefined,
    notNetns: listOf(excluded.netns),
    keepalive,
  };
}

/** The criteria whose values are read as text. */
type TextOption = "dst" | "dstFile" | "src" | "dport" | "sport" | "filter" | "state" | "interface" | "mark" | "user";

/** For each kind of criterion, what its values select. */
type Kinds = readonly (readonly Filter[])[];

class Compiler implements LocalFilter {
  readonly #selection: Selection;
  readonly #names: NamesByNetns;
  readonly #about: number;
  readonly #files = new Map<string, Filter>();
  /** Whether there is something that connections are chosen by, and not only left out. */
  selects = false;
  /** The states to look in. */
  states: number;
  namesStates = false;

  constructor(selection: Selection, names: NamesByNetns, about: number) {
    this.#selection = selection;
    this.#names = names;
    this.#about = this.states = about;
  }

  get isLocal(): boolean {
    const { srcGone, not: excluded } = this.#selection;
    return this.#names.local || srcGone === true || excluded?.srcGone === true;
  }

  compile(localAddresses: () => readonly Prefix[]): Filter {
    const { version, not: excluded = {} } = this.#selection;
    const states = this.#statesOf(this.#selection);
    const chosen = this.#kinds(this.#selection, "", states, localAddresses);
    const kept = this.#kinds(excluded, "not.", ALL_STATES, localAddresses);
    this.selects = chosen.length > 0;
    return all([
      ...chosen.map(any),
      ...kept.map((choices) => not(any(choices))),
      ...(version === undefined ? [] : [versionFilter(version)]),
    ]);
  }

  verify(): void {
    this.#names.verify();
  }

  /** The mask that a filter without states is about. */
  #statesOf({ state, filter }: Criteria): number {
    const named = listOf(state).reduce((mask, name) => mask | about("state", name, () => stateNamed(name)), 0);
    const statesIn = (text: string) => about("filter", text, () => parseFilter(text, this.#names).states);
    const filtered = listOf(filter).some((text) => statesIn(text) !== null);
    this.namesStates = named !== 0 || filtered;
    this.states = named !== 0 ? named : filtered ? ALL_STATES : this.#about;
    return named !== 0 ? named : this.#about;
  }

  /** The kinds that a row decides, as far as they are given. @param path The prefix of their names in messages. */
  #kinds(criteria: Criteria, path: string, states: number, localAddresses: () => readonly Prefix[]): Kinds {
    const names = this.#names;
    const { version } = this.#selection;
    const { idleForMs, silentForMs } = criteria;
    const each = (option: TextOption, read: (text: string) => Filter) =>
      listOf<string | number>(criteria[option]).map((value) => about(path + option, value, () => read(String(value))));
    const kinds: Kinds = [
      [
        ...each("dst", (text) => parseDestination(text, "dst", names, version)),
        ...each("dstFile", (file) => this.#file(file)),
      ],
      each("src", (text) => parseDestination(text, "src", names, version)),
      each("dport", (text) => parsePort(text, "dst", names)),
      each("sport", (text) => parsePort(text, "src", names)),
      each("filter", (text) => this.#filter(text, states)),
      each("state", (name) => inStates(stateNamed(name))),
      each("interface", (text) => readDevice(text, names)),
      each("mark", readMark),
      each("user", (text) => ({ op: "uid", uid: /^\d+$/.test(text) ? Number(text) : names.uid(text) })),
      idleForMs === undefined ? [] : [{ op: "idle", ms: idleForMs }],
      silentForMs === undefined ? [] : [{ op: "silent", ms: silentForMs }],
      criteria.stalled ? [{ op: "stalled" }] : [],
      criteria.closeWait ? [inStates(stateMask("CLOSE-WAIT"))] : [],
      criteria.srcGone ? [foreign(localAddresses())] : [],
    ];
    return kinds.filter((choices) => choices.length > 0);
  }

  /** Read once: standard input cannot be read again. */
  #file(path: string): Filter {
    const known = this.#files.get(path) ?? readAddressList(path, "dst", this.#names);
    this.#files.set(path, known);
    return known;
  }

  #filter(text: string, states: number): Filter {
    const parsed = parseFilter(text, this.#names);
    if (parsed.states === null && parsed.filter === EVERYTHING) {
      throw new UsageError(`Empty filter "${text}": expected an expression, or any as the destination`);
    }
    return all([inStates(parsed.states ?? states), parsed.filter]);
  }
}

function stateNamed(name: string): number {
  const mask = statesNamed(name);
  if (mask === null) throw new UsageError(`Unknown state "${name}": ${expectedWord(name, STATE_NAMES)}`);
  return mask;
}

function inStates(mask: number): Filter {
  return mask === ALL_STATES ? EVERYTHING : { op: "state", mask };
}

/** Connections from none of these addresses, and not from another host's on purpose either (a transparent proxy's). */
function foreign(local: readonly Prefix[]): Filter {
  return all([not({ op: "address", side: "src", prefixes: local }), not({ op: "transparent" })]);
}

function processCriteriaOf(given: Criteria, path: string): ProcessCriteria | undefined {
  const { pid, comm, exe, cgroup, container } = given;
  const criteria: ProcessCriteria = {
    pid: listOf(pid).map((one) => about(`${path}pid`, one, () => processNumber(one))),
    comm: listOf(comm),
    exe: listOf(exe),
    cgroup: listOf(cgroup),
    container: listOf(container),
  };
  return Object.values(criteria).some((values) => values.length > 0) ? criteria : undefined;
}

function processNumber(text: string | number): number {
  const number = Number(text);
  if (/^[1-9]\d*$/.test(String(text)) && number < 2 ** 31) return number;
  throw new UsageError(`Not a process: "${text}": expected its number`);
}

function keepaliveOf(chosen: Criteria, excluded: Criteria): boolean | undefined {
  if (chosen.noKeepalive && excluded.noKeepalive) {
    throw usageError(({ name }) => `Nothing is both with keepalive and without: give ${name("noKeepalive")} once`, {
      code: "conflict",
      option: "noKeepalive",
    });
  }
  return chosen.noKeepalive ? false : excluded.noKeepalive ? true : undefined;
}

/**
 * A target without what is not a connection: listeners and sockets that were never connected; and TIME-WAIT, unless it
 * is to be aborted.
 *
 * @throws {UsageError} When nothing else was selected.
 */
export function connectionsOnly(selection: CompiledSelection, destroy: boolean): CompiledSelection {
  return restrictStates(
    selection,
    destroy ? CONNECTED | stateMask("TIME-WAIT") : CONNECTED,
    ({ name }) =>
      `Nothing that can be hung up on is in the states selected: listeners never, time-wait takes ${name("destroy")}`,
  );
}

/**
 * A target without the sockets that are in none of these states.
 *
 * @param nothing What is wrong when no others were selected.
 * @throws {UsageError} Then.
 */
export function restrictStates(selection: CompiledSelection, states: number, nothing: Message): CompiledSelection {
  const kept = selection.states & states;
  if ((kept & statesOf(selection.filter)) === 0) throw usageError(nothing, { code: "conflict", option: "state" });
  return { ...selection, states: kept };
}
