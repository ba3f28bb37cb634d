// What the kernel can tell of a selection at the moment a connection is made: its addresses and ports, its user, its network
// namespace and its control group. The rest is refused, in words.

import type { UsageError } from "../model/errors.ts";
import { CONNECTED } from "../model/tcp_states.ts";
import { type Message, usageError } from "../model/wording.ts";
import type { CompiledSelection } from "../select/compile_selection.ts";
import { type Criteria, isGiven, type Selection } from "../select/selection.ts";
import { type Condition, fold, type Side } from "../select/filter.ts";

/** The criteria that nothing tells while a connection is being made. */
const UNTELLABLE = [
  "state",
  "interface",
  "mark",
  "comm",
  "exe",
  "idleForMs",
  "silentForMs",
  "stalled",
  "closeWait",
  "noKeepalive",
  "srcGone",
] as const satisfies readonly (keyof Criteria)[];

/** The criteria by which a program is attached. None of them can be left out from there. */
const PLACES = ["pid", "cgroup", "container"] as const satisfies readonly (keyof Criteria)[];

/** What a program is run for, by the option that asks for the program. */
const MOMENTS = {
  attach: {
    untellable: UNTELLABLE,
    sides: ["src", "dst"],
    tellable:
      "when a connection is made, the kernel tells its addresses, ports, user, network namespace and control group",
  },
  // This host's end is chosen later. A process would be chosen by its control group, where others may be too.
  refuse: {
    untellable: [...UNTELLABLE, "src", "sport", "pid"],
    sides: ["dst"],
    tellable:
      "when connect(2) is called, the kernel tells the peer's address and port, the user, the network namespace and the " +
      "control group",
  },
} as const satisfies Record<string, Moment>;

interface Moment {
  readonly untellable: readonly (keyof Criteria)[];
  readonly sides: readonly Side[];
  /** What the kernel can tell then. */
  readonly tellable: string;
}

/** Returns the error for a criterion, or a part of a filter, that nothing tells. */
type Untellable = (what: Message, option?: string) => UsageError;

/**
 * Checks that the kernel can tell what the selection asks for, at the moment a connection is made or, for `refuse` and
 * `redirect`, when connect(2) is called.
 *
 * @throws {UsageError} When it cannot.
 */
export function requireTellable(
  selection: Selection,
  compiled: CompiledSelection,
  by: "attach" | "refuse" | "redirect" = "attach",
): void {
  const { not: excluded = {} } = selection;
  const moment: Moment = MOMENTS[by === "attach" ? by : "refuse"];
  const untellable: Untellable = (what, option) =>
    usageError((words) => `${words.name(by)} cannot go by ${what(words)}: ${moment.tellable}`, {
      code: "conflict",
      option,
    });
  const given = [
    ...moment.untellable.filter((name) => isGiven(selection[name])),
    ...[...moment.untellable, ...PLACES].filter((name) => isGiven(excluded[name])).map((name) => `not.${name}`),
    ...(selection.children ? ["children"] : []),
  ];
  for (const option of given) throw untellable(({ name }) => name(option), option);
  if (selection.missingOk) {
    throw usageError(
      ({ name }) => `${name(by)} cannot take ${name("missingOk")}: it needs a control group to attach to`,
      { code: "conflict", option: "missingOk" },
    );
  }
  const places = PLACES.filter((name) => isGiven(selection[name]));
  if (places.length > 1) {
    throw usageError(
      ({ name }) => `${name(by)} takes one of ${places.map(name).join(" and ")}: each names control groups`,
      { code: "conflict", option: places[0] },
    );
  }
  fold(compiled.filter, (condition) => requireTellableCondition(condition, moment, untellable), () => undefined);
}

/** What a filter of ss(8) calls the conditions that nothing tells. */
const FILTER_WORDS: Partial<Record<Condition["op"], string>> = {
  interface: "dev",
  mark: "fwmark",
  cgroup: "cgroup",
  autobound: "autobound",
  address: "src",
  port: "sport",
};

function requireTellableCondition(condition: Condition, { sides }: Moment, untellable: Untellable): void {
  const { op } = condition;
  if (op === "uid" || ((op === "address" || op === "port") && sides.includes(condition.side))) return;
  if (op === "state" && (condition.mask & CONNECTED) === CONNECTED) return;
  const what = op === "state" ? "the states of a filter" : `${FILTER_WORDS[op] ?? op} of a filter or an address`;
  throw untellable(() => what);
}
