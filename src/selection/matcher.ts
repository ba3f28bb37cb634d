// Whether a filter matches a row of a dump. This is the authority: the kernel's own filter (bytecode.ts) only saves
// rows from being sent.

import { INET_DIAG_CGROUP_ID, INET_DIAG_MARK, type InetDiagMsg } from "../netlink/inet_diag.ts";
import { type Condition, type Filter, fold } from "./filter.ts";
import { PrefixSet } from "./prefix_set.ts";

/** Whether a row is selected. */
export type Matcher = (row: InetDiagMsg) => boolean;

/**
 * A function that decides whether `filter` matches a row.
 *
 * What a row does not say is matched neither by a condition nor by its negation, since a row must not be acted upon
 * for what is not known of it: marks without CAP_NET_ADMIN, marks and cgroups of sockets that are not full ones
 * (TIME-WAIT and SYN-RECV), and `autobound` always.
 */
export function compileMatcher(filter: Filter): Matcher {
  return fold<Matcher>(filter, matchCondition, (op, terms) => op === "all" ? matchAll(terms) : matchAny(terms));
}

function matchAll(terms: readonly Matcher[]): Matcher {
  if (terms.length === 1) return terms[0];
  if (terms.length === 2) {
    const [first, second] = terms;
    return (row) => first(row) && second(row);
  }
  return (row) => {
    for (let i = 0; i < terms.length; i++) {
      if (!terms[i](row)) return false;
    }
    return true;
  };
}

function matchAny(terms: readonly Matcher[]): Matcher {
  if (terms.length === 1) return terms[0];
  if (terms.length === 2) {
    const [first, second] = terms;
    return (row) => first(row) || second(row);
  }
  return (row) => {
    for (let i = 0; i < terms.length; i++) {
      if (terms[i](row)) return true;
    }
    return false;
  };
}

function matchCondition(condition: Condition, negated: boolean): Matcher {
  switch (condition.op) {
    case "address": {
      const set = new PrefixSet(condition.prefixes);
      return condition.side === "src"
        ? (row) => set.has(row.srcWord(0), row.srcWord(1), row.srcWord(2), row.srcWord(3)) !== negated
        : (row) => set.has(row.dstWord(0), row.dstWord(1), row.dstWord(2), row.dstWord(3)) !== negated;
    }
    case "port": {
      const { from, to } = condition;
      return condition.side === "src"
        ? (row) => (row.sport >= from && row.sport <= to) !== negated
        : (row) => (row.dport >= from && row.dport <= to) !== negated;
    }
    case "interface":
      return (row) => (row.interface === condition.index) !== negated;
    case "mark": {
      const { value, mask } = condition;
      return (row) => {
        const mark = row.attribute(INET_DIAG_MARK);
        return mark !== null && ((mark.getUint32(0, true) & mask) >>> 0 === value) !== negated;
      };
    }
    case "cgroup":
      return (row) => {
        const cgroup = row.attribute(INET_DIAG_CGROUP_ID);
        return cgroup !== null && (cgroup.getBigUint64(0, true) === condition.id) !== negated;
      };
    case "autobound":
      return () => false;
    case "uid":
      return (row) => (row.uid === condition.uid) !== negated;
    case "state":
      return (row) => ((condition.mask >>> row.state & 1) === 1) !== negated;
  }
}
