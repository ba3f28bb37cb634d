// Names that a test gives, and filters as text.

import { formatPrefix } from "../../src/model/address.ts";
import { UsageError } from "../../src/model/errors.ts";
import type { Filter } from "../../src/select/filter.ts";

/** Knows the names in a table, and refuses others as the host's tables do. */
export function known<T>(table: Record<string, T>, what: string): (name: string) => T {
  return (name) => {
    if (!Object.hasOwn(table, name)) throw new UsageError(`No ${what} "${name}"`);
    return table[name]!;
  };
}

/** A filter as text that says how it was understood. */
export function show(filter: Filter): string {
  switch (filter.op) {
    case "all":
    case "any":
      return `${filter.op}(${filter.terms.map(show).join(", ")})`;
    case "not":
      return `not(${show(filter.term)})`;
    case "address":
      return `${filter.side} ${filter.prefixes.map(formatPrefix).join("|")}`;
    case "port":
      return `${filter.side} ${filter.from}-${filter.to}`;
    case "interface":
      return `interface ${filter.index}`;
    case "mark":
      return `mark ${filter.value}/${filter.mask.toString(16)}`;
    case "cgroup":
      return `cgroup ${filter.id}`;
    case "uid":
      return `uid ${filter.uid}`;
    case "idle":
    case "silent":
      return `${filter.op} ${filter.ms}`;
    case "state":
      return `state ${filter.mask}`;
    default:
      return filter.op;
  }
}
