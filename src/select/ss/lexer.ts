// The words of ss(8)'s filter language. ss wants blanks around each; here operators and parentheses may also touch
// their neighbours, as in "(dport>=8000|sport=:22)".

import { UsageError } from "../../model/errors.ts";

/** The words that mean something by themselves, each by the one of its spellings that stands for all. */
const SPELLINGS = {
  "and": ["&", "&&", "and"],
  "or": ["|", "||", "or"],
  "not": ["!", "not"],
  "(": ["("],
  ")": [")"],
  "=": ["=", "==", "eq"],
  "!=": ["!=", "ne", "neq"],
  ">=": [">=", "ge", "geq"],
  "<=": ["<=", "le", "leq"],
  ">": [">", "gt"],
  "<": ["<", "lt"],
  "dst": ["dst"],
  "src": ["src"],
  "dport": ["dport"],
  "sport": ["sport"],
  "dev": ["dev"],
  "fwmark": ["fwmark"],
  "cgroup": ["cgroup"],
  "autobound": ["autobound"],
  "state": ["state"],
  "exclude": ["exclude", "excl"],
} as const;

type Reserved = keyof typeof SPELLINGS;

const RESERVED: ReadonlyMap<string, Reserved> = new Map(
  (Object.keys(SPELLINGS) as Reserved[]).flatMap((kind) => SPELLINGS[kind].map((spelling) => [spelling, kind])),
);

/** A word of the filter. */
export interface Token {
  /** An `operand` is what is not reserved: an address, a port, a name. */
  readonly kind: Reserved | "operand" | "end";
  /** The word without the backslashes that took a character's meaning from it. */
  readonly value: string;
  readonly offset: number;
  readonly length: number;
}

const BLANK = /\s*/y;
/** A word of operators alone, which a shell would have taken without the backslashes: `\<`, `\(`, `\|\|`. */
const OPERATORS = /(?:\\?[&|=!<>()])+(?=\s|$)/y;
const SYMBOL = /&&?|\|\|?|==?|!=?|>=?|<=?|[()]/y;
const WORD = /(?:\\[^]|[^\s\\()&|=!<>])+|\\$/y;
/** In an operand only a blank and what can follow it have a meaning: cgroups and interfaces may be named "a=b". */
const OPERAND = /(?:\\[^]|[^\s\\)&|])+|\\$/y;

/** Reads a filter word by word. */
export class Lexer {
  readonly text: string;
  /** The part of `text` that has not been read, at the same offsets. */
  #unread: string;
  #offset = 0;

  constructor(text: string) {
    this.text = this.#unread = text;
  }

  /** Takes the quotes away that stand around all the rest, as in `state established '( dport = :22 )'`. */
  unquote(): void {
    const before = this.#unread.slice(0, this.#offset);
    const [, blank, , quoted] = /^(\s*)(['"])((?:(?!\2).)*)\2\s*$/s.exec(this.#unread.slice(this.#offset)) ?? [];
    if (quoted !== undefined) this.#unread = `${before}${blank} ${quoted} `;
  }

  /** The next word, which stays the next. */
  peek(): Token {
    this.#take(BLANK);
    const offset = this.#offset;
    const operators = this.#take(OPERATORS) ?? "";
    const escaped = RESERVED.get(unescape(operators));
    if (escaped === undefined) this.#offset = offset;
    const raw = escaped === undefined ? this.#take(SYMBOL) ?? this.#take(WORD) ?? "" : operators;
    this.#offset = offset;
    const kind = raw === "" ? "end" : escaped ?? RESERVED.get(raw) ?? "operand";
    return { kind, value: unescape(raw), offset, length: raw.length };
  }

  next(): Token {
    const token = this.peek();
    this.#offset += token.length;
    return token;
  }

  /** The next word where an operand has to be; a reserved word is returned as what it is. */
  nextOperand(): Token {
    const token = this.peek();
    if (token.kind !== "operand") return this.next();
    const raw = this.#take(OPERAND) ?? "";
    return { ...token, value: unescape(raw), length: raw.length };
  }

  #take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#offset;
    const found = pattern.exec(this.#unread)?.[0];
    if (found) this.#offset += found.length;
    return found;
  }

  /** The error that `token` is not what it should be. */
  expected(what: string, token: Token): FilterError {
    return this.problem(`Expected ${what}, found ${this.quote(token)}`, token);
  }

  /** A token as it was written. */
  quote({ kind, offset, length }: Token): string {
    return kind === "end" ? "the end of the filter" : `"${this.text.slice(offset, offset + length)}"`;
  }

  /** The error that there is something wrong about `token`. */
  problem(problem: string, { offset, length }: Token, cause?: UsageError): FilterError {
    return new FilterError(problem, this.text, offset, length, cause);
  }
}

function unescape(raw: string): string {
  return raw.replaceAll(/\\([^]?)/g, "$1");
}

/** The characters of a filter that an error shows on either side of the start of the wrong words. */
const SHOWN = 60;

/**
 * A filter that is not one. The message has three lines: what is wrong, the filter, and carets below the words that
 * are.
 */
export class FilterError extends UsageError {
  /** The filter as it was given. */
  readonly text: string;
  /** Where in `text` the words that are wrong start, in UTF-16 units; its length where something is missing. */
  readonly offset: number;
  /** The length of the wrong words, at least 1. */
  readonly length: number;

  constructor(problem: string, text: string, offset: number, length: number, cause?: UsageError) {
    // A tab or a line break takes another width in the terminal than a caret line could follow.
    const [from, to] = [Math.max(0, offset - SHOWN), offset + SHOWN];
    const before = from > 0 ? "…" : "";
    const part = text.slice(from, to).replaceAll(/\s/g, " ");
    const carets = "^".repeat(Math.max(1, Math.min(length, to - offset)));
    super(
      `${problem.replaceAll(/\s/g, " ")}\n  ${before}${part}${to < text.length ? "…" : ""}\n` +
        `  ${" ".repeat(before.length + offset - from)}${carets}`,
      { code: cause?.code, cause },
    );
    this.text = text;
    this.offset = offset;
    this.length = Math.max(1, length);
  }
}
