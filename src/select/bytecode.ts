// Compiles a filter for the kernel. The kernel runs the code on every socket of a dump, one operation after the
// other, and knows less than a row says: so the code accepts every socket that the filter matches, and possibly
// more. What it accepts is matched again (matcher.ts).

import {
  encodeAutoCondition,
  encodeCgroupCondition,
  encodeDeviceCondition,
  encodeHostCondition,
  encodeJump,
  encodeMarkCondition,
  encodePortCondition,
  INET_DIAG_BC_D_COND,
  INET_DIAG_BC_D_EQ,
  INET_DIAG_BC_D_GE,
  INET_DIAG_BC_D_LE,
  INET_DIAG_BC_S_COND,
  INET_DIAG_BC_S_EQ,
  INET_DIAG_BC_S_GE,
  INET_DIAG_BC_S_LE,
  REJECT,
  setNo,
} from "../linux/netlink/inet_diag_bytecode.ts";
import { maskWords, type Prefix } from "../model/address.ts";
import { only } from "../model/only.ts";
import { aggregatePrefixes } from "./aggregate.ts";
import { all, any, type Condition, EVERYTHING, type Filter, fold, not, NOTHING, type Side } from "./filter.ts";
import { ALL_OF_IPV4, isIPv4Prefix } from "./prefix_set.ts";

/** The most prefixes to compare with. More would cost the kernel more, on each socket, than sending a row. */
const MAX_PREFIXES = 64;

/** The longest code to send, for the same reason. The kernel itself takes 64 KiB. */
const MAX_BYTES = 4096;

/**
 * Returns code for INET_DIAG_REQ_BYTECODE that accepts at least the sockets that the filter matches; null where the code
 * would accept every socket.
 *
 * The kernel may refuse the code: with EPERM when the filter asks for a mark and the caller has no CAP_NET_ADMIN, with
 * EINVAL when the kernel is older than a condition. A dump without code then gives the same selection.
 */
export function compileBytecode(filter: Filter): Uint8Array | null {
  const relaxed = relax(filter);
  if (isConstant(relaxed, "all")) return null;
  return new Code().prepend(relaxed, REJECT).toBytes();
}

function isConstant(filter: Filter, op: "all" | "any"): boolean {
  return filter.op === op && filter.terms.length === 0;
}

/**
 * Returns a filter that matches at least what `filter` matches. It has only conditions that the kernel decides, `not` only
 * before those, and compiles to at most MAX_BYTES.
 */
function relax(filter: Filter): Filter {
  return fold<Filter>(filter, relaxCondition, (op, terms) => op === "all" ? relaxAll(terms) : relaxAny(terms));
}

/** Drops terms of an `all` that make the code too long. The filter then matches more. */
function relaxAll(terms: readonly Filter[]): Filter {
  const kept: Filter[] = [];
  let bytes = 0;
  for (const term of terms.flatMap((term) => term.op === "all" ? term.terms : [term])) {
    if (isConstant(term, "any")) return NOTHING;
    const length = codeLength(term);
    if (bytes + length > MAX_BYTES) continue;
    bytes += length;
    kept.push(term);
  }
  return all(kept);
}

/** Replaces an `any` whose code is too long by EVERYTHING: without one of its terms it would match less. */
function relaxAny(terms: readonly Filter[]): Filter {
  const kept = terms.flatMap((term) => term.op === "any" ? term.terms : [term]);
  if (kept.some((term) => isConstant(term, "all"))) return EVERYTHING;
  const relaxed: Filter = only(kept) ?? { op: "any", terms: kept };
  return codeLength(relaxed) > MAX_BYTES ? EVERYTHING : relaxed;
}

function relaxCondition(condition: Condition, negated: boolean): Filter {
  switch (condition.op) {
    case "address":
      return relaxAddress(condition.side, condition.prefixes, negated);
    case "uid":
    case "state":
    case "idle":
    case "silent":
    case "stalled":
    case "transparent":
      // The bytecode has no operation for these. The request has a mask of states of its own.
      return EVERYTHING;
    default:
      return negated ? not(condition) : condition;
  }
}

function relaxAddress(side: Side, prefixes: readonly Prefix[], negated: boolean): Filter {
  if (negated) {
    if (prefixes.length > MAX_PREFIXES) return EVERYTHING;
    return relaxAll(prefixes.map((prefix) => hostCondition(side, prefix, true)));
  }
  return relaxAny(aggregatePrefixes(prefixes, MAX_PREFIXES).map((prefix) => hostCondition(side, prefix, false)));
}

/**
 * Returns the condition on one prefix for the kernel. To the kernel a v4-mapped address lies in ::/0 and in other prefixes
 * whose bits fit it; to the matcher it does not.
 */
function hostCondition(side: Side, prefix: Prefix, negated: boolean): Filter {
  const condition: Filter = { op: "address", side, prefixes: [prefix] };
  const ipv4: Filter = { op: "address", side, prefixes: [ALL_OF_IPV4] };
  if (!holdsMapped(prefix)) return negated ? not(condition) : condition;
  return negated ? any([not(condition), ipv4]) : all([condition, not(ipv4)]);
}

/** Whether the v4-mapped addresses are among those that begin with the prefix's bits. */
function holdsMapped(prefix: Prefix): boolean {
  const words = maskWords(prefix.words, prefix.length);
  const mapped = maskWords(ALL_OF_IPV4.words, prefix.length);
  return !isIPv4Prefix(prefix) && words.every((word, i) => word === mapped[i]);
}

function codeLength(filter: Filter): number {
  return new Code().prepend(filter, REJECT).length;
}

/**
 * Code under construction. It is written from its end to its start, so that the target of a jump is known when the jump is
 * written. A target is a number of bytes before the end, as the kernel's audit counts; the end itself is 0.
 */
class Code {
  readonly #ops: Uint8Array[] = [];
  length = 0;

  /** Prepends code that continues with the present code when the filter holds, and at `otherwise` when not. */
  prepend(filter: Filter, otherwise: number): this {
    switch (filter.op) {
      case "all":
        for (const term of filter.terms.toReversed()) this.prepend(term, otherwise);
        return this;
      case "any":
        return this.#prependAny(filter.terms, otherwise);
      case "not": {
        const holds = this.length;
        return this.#op(encodeJump(), otherwise).prepend(filter.term, holds);
      }
      default:
        for (const op of encodeCondition(filter).toReversed()) this.#op(op, otherwise);
        return this;
    }
  }

  #prependAny(terms: readonly Filter[], otherwise: number): this {
    const holds = this.length;
    const [last, ...others] = terms.toReversed();
    if (last === undefined) return this.#op(encodeJump(), otherwise);
    this.prepend(last, otherwise);
    for (const term of others) {
      const next = this.length;
      this.#op(encodeJump(), holds).prepend(term, next);
    }
    return this;
  }

  #op(op: Uint8Array, otherwise: number): this {
    this.#ops.push(op);
    this.length += op.length;
    setNo(op, this.length - otherwise);
    return this;
  }

  toBytes(): Uint8Array {
    const bytes = new Uint8Array(this.length);
    let offset = 0;
    for (const op of this.#ops.toReversed()) {
      bytes.set(op, offset);
      offset += op.length;
    }
    return bytes;
  }
}

/** Returns the operations of a condition, which must all hold. */
function encodeCondition(condition: Condition): Uint8Array[] {
  switch (condition.op) {
    case "address": {
      const code = condition.side === "src" ? INET_DIAG_BC_S_COND : INET_DIAG_BC_D_COND;
      return condition.prefixes.map((prefix) => encodeHostCondition(code, prefix));
    }
    case "port":
      return encodePorts(condition.side, condition.from, condition.to);
    case "interface":
      return [encodeDeviceCondition(condition.index)];
    case "mark":
      return [encodeMarkCondition(condition.value, condition.mask)];
    case "cgroup":
      return [encodeCgroupCondition(condition.id)];
    case "autobound":
      return [encodeAutoCondition()];
    case "uid":
    case "state":
    case "idle":
    case "silent":
    case "stalled":
    case "transparent":
      throw new TypeError(`The kernel has no operation for ${condition.op}`);
  }
}

function encodePorts(side: Side, from: number, to: number): Uint8Array[] {
  const [eq, ge, le] = side === "src"
    ? [INET_DIAG_BC_S_EQ, INET_DIAG_BC_S_GE, INET_DIAG_BC_S_LE]
    : [INET_DIAG_BC_D_EQ, INET_DIAG_BC_D_GE, INET_DIAG_BC_D_LE];
  if (from === to) return [encodePortCondition(eq, from)];
  return [encodePortCondition(ge, from), encodePortCondition(le, to)];
}
