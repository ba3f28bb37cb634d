// ss(8)'s filter language: FILTER := [ state STATE-FILTER ] [ EXPRESSION ].
//
//   filter    = { ("state" | "exclude") NAME } [ list ]
//   list      = term { [ "and" | "or" ] term }
//   term      = "not" term | "(" list ")" | condition
//   condition = ("dst" | "src") [ "=" | "!=" ] HOST
//             | ("dport" | "sport") [ COMPARISON ] PORT
//             | ("dev" | "fwmark" | "cgroup") [ "=" | "!=" ] VALUE
//             | "autobound"
//
// A list is read from left to right, "and" and "or" alike, so "a or b and c" is "(a or b) and c". That is what ss does
// (misc/ssfilter.y), though its manual promises that "and" comes first. "not" takes the one term that follows.

import { suggestWord } from "../../model/closest.ts";
import { UsageError } from "../../model/errors.ts";
import { all, any, EVERYTHING, type Filter, not } from "../filter.ts";
import { FilterError, Lexer, type Token } from "./lexer.ts";
import type { FilterNames } from "../names.ts";
import { type Comparison, readCgroup, readDevice, readHost, readMark, readPort } from "./operands.ts";
import { ALL_STATES, STATE_NAMES, statesNamed } from "../../model/tcp_states.ts";

/** The meaning of a text in ss(8)'s filter language. */
export interface ParsedFilter {
  /** The expression; EVERYTHING when there is none. */
  readonly filter: Filter;
  /** The mask of the states after `state` and `exclude`; null when there are none. */
  readonly states: number | null;
}

/** The limit for nested parentheses and `not`, and for changes between `and` and `or` in a list. */
const MAX_DEPTH = 100;

const CONDITIONS = ["dst", "src", "dport", "sport", "dev", "fwmark", "cgroup", "autobound"];

const COMPARISONS: readonly string[] = ["=", "!=", ">=", "<=", ">", "<"] satisfies Comparison[];

/**
 * Reads a filter as ss(8) takes it. Beyond ss it takes `!=` after dst and src, operators without blanks around them,
 * `%zone` after an address, and the quotes of a shell around the expression; and a host name stands for all of its
 * addresses.
 *
 * @throws {FilterError} For what is none, with the place.
 */
export function parseFilter(text: string, names: FilterNames): ParsedFilter {
  return new Parser(text, names).filter();
}

class Parser {
  readonly #lexer: Lexer;
  readonly #names: FilterNames;
  #alternations = 0;

  constructor(text: string, names: FilterNames) {
    this.#lexer = new Lexer(text);
    this.#names = names;
  }

  filter(): ParsedFilter {
    const states = this.#states();
    this.#lexer.unquote();
    const filter = this.#lexer.peek().kind === "end" ? EVERYTHING : this.#list(0);
    const rest = this.#lexer.next();
    if (rest.kind === "end") return { filter, states };
    throw this.#lexer.problem(
      rest.kind === ")" ? `")" without a "(" before it` : `"${rest.value}" has to come before the expression`,
      rest,
    );
  }

  #states(): number | null {
    let states: number | null = null;
    for (;;) {
      const keyword = this.#lexer.peek();
      if (keyword.kind !== "state" && keyword.kind !== "exclude") return states;
      this.#lexer.next();
      const name = this.#lexer.nextOperand();
      const named = name.kind === "operand" ? statesNamed(name.value) : null;
      if (named === null) throw this.#notOne("a state", STATE_NAMES, name);
      states = keyword.kind === "state" ? (states ?? 0) | named : (states ?? ALL_STATES) & ~named;
      if (states === 0) throw this.#lexer.problem(`No state is left without "${name.value}"`, name);
    }
  }

  #list(depth: number): Filter {
    let terms = [this.#term(depth)];
    let operator: "and" | "or" = "and";
    for (;;) {
      const { kind } = this.#lexer.peek();
      if (kind === "end" || kind === ")" || kind === "state" || kind === "exclude") return combine(operator, terms);
      const next = kind === "or" ? "or" : "and";
      const token = kind === "or" || kind === "and" ? this.#lexer.next() : this.#lexer.peek();
      if (next !== operator) {
        if (terms.length > 1) {
          if (++this.#alternations > MAX_DEPTH) throw this.#tooDeep(token);
          terms = [combine(operator, terms)];
        }
        operator = next;
      }
      terms.push(this.#term(depth));
    }
  }

  #term(depth: number): Filter {
    const token = this.#lexer.next();
    if (depth > MAX_DEPTH) throw this.#tooDeep(token);
    switch (token.kind) {
      case "not":
        return not(this.#term(depth + 1));
      case "(": {
        const filter = this.#list(depth + 1);
        const close = this.#lexer.next();
        if (close.kind !== ")") throw this.#lexer.expected(`")"`, close);
        return filter;
      }
      case "dst":
      case "src":
      case "dport":
      case "sport":
      case "dev":
      case "fwmark":
      case "cgroup":
        return this.#condition(token.kind);
      case "autobound":
        // Accepted sockets count as autobound to the kernel, by the listener's port: the range tells them apart.
        return all([{ op: "autobound" }, { op: "port", side: "src", ...this.#names.localPorts() }]);
      default:
        throw this.#notOne("a condition", CONDITIONS, token);
    }
  }

  #condition(keyword: Keyword): Filter {
    const comparison = this.#comparison(keyword);
    const operand = this.#lexer.nextOperand();
    if (operand.kind !== "operand") throw this.#lexer.expected(EXPECTED[keyword], operand);
    const { value } = operand;
    try {
      if (keyword === "dport" || keyword === "sport") {
        return readPort(value, keyword === "sport" ? "src" : "dst", comparison, this.#names);
      }
      const filter = this.#read(keyword, value);
      return comparison === "!=" ? not(filter) : filter;
    } catch (error) {
      // The error gets the place of the operand.
      if (!(error instanceof UsageError) || error instanceof FilterError) throw error;
      throw this.#lexer.problem(error.message, operand, error);
    }
  }

  #read(keyword: Exclude<Keyword, "dport" | "sport">, value: string): Filter {
    switch (keyword) {
      case "dst":
      case "src":
        return readHost(value, keyword, this.#names);
      case "dev":
        return readDevice(value, this.#names);
      case "fwmark":
        return readMark(value);
      case "cgroup":
        return readCgroup(value, this.#names);
    }
  }

  #comparison(keyword: string): Comparison {
    const token = this.#lexer.peek();
    if (!COMPARISONS.includes(token.kind)) return "=";
    const ordered = keyword === "dport" || keyword === "sport";
    if (!ordered && token.kind !== "=" && token.kind !== "!=") {
      throw this.#lexer.expected(`= or != after ${keyword}`, token);
    }
    this.#lexer.next();
    return token.kind as Comparison;
  }

  #notOne(what: string, words: readonly string[], token: Token): FilterError {
    const suggestion = token.kind === "operand" ? suggestWord(token.value, words) : null;
    if (suggestion === null) return this.#lexer.expected(`${what} (${words.join(", ")})`, token);
    return this.#lexer.problem(
      `Expected ${what}, found ${this.#lexer.quote(token)}: did you mean "${suggestion}"?`,
      token,
    );
  }

  #tooDeep(token: Token): FilterError {
    return this.#lexer.problem(`The filter is nested more than ${MAX_DEPTH} deep`, token);
  }
}

type Keyword = keyof typeof EXPECTED;

/** The operand that a keyword needs, for messages. */
const EXPECTED = {
  dst: "an address, :port or both",
  src: "an address, :port or both",
  dport: "a port",
  sport: "a port",
  dev: "the name or the index of an interface",
  fwmark: "a mark or mark/mask",
  cgroup: "the path of a cgroup",
} as const;

function combine(operator: "and" | "or", terms: readonly Filter[]): Filter {
  return operator === "and" ? all(terms) : any(terms);
}
