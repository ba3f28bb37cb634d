// What a filter means, written for clarity alone: the tests' measure for the matcher and for the bytecode.

import { formatAddress, type Prefix, type Words } from "../../src/model/address.ts";
import type { Filter } from "../../src/select/filter.ts";
import type { Socket } from "./row.ts";

const SYN_SENT = 2;

/** Whether the filter holds for the socket; null where that is not known. */
export function meaning(
  filter: Filter,
  socket: Socket,
  knowsAutobound: boolean,
  protocol: "tcp" | "mptcp" = "tcp",
): boolean | null {
  const term = (term: Filter) => meaning(term, socket, knowsAutobound, protocol);
  switch (filter.op) {
    case "all": {
      const terms = filter.terms.map(term);
      return terms.includes(false) ? false : terms.includes(null) ? null : true;
    }
    case "any": {
      const terms = filter.terms.map(term);
      return terms.includes(true) ? true : terms.includes(null) ? null : false;
    }
    case "not": {
      const value = term(filter.term);
      return value === null ? null : !value;
    }
    case "address":
      return filter.prefixes.some((prefix) => holds(prefix, socket[filter.side]));
    case "port": {
      const port = filter.side === "src" ? socket.sport : socket.dport;
      return filter.from <= port && port <= filter.to;
    }
    case "interface":
      return socket.interface === filter.index;
    case "mark":
      return socket.mark === null ? null : (BigInt(socket.mark) & BigInt(filter.mask)) === BigInt(filter.value);
    case "cgroup":
      return socket.cgroup === null ? null : socket.cgroup === filter.id;
    case "autobound":
      return knowsAutobound ? socket.autobound : null;
    case "idle": {
      // What the kernel says of a connection before it is established is nonsense.
      if (socket.past === null || socket.state === SYN_SENT) return null;
      return socket.past.sentMs >= filter.ms && socket.past.receivedMs >= filter.ms;
    }
    case "silent": {
      if (socket.past === null || socket.state === SYN_SENT) return null;
      return socket.past.acknowledgedMs >= filter.ms && socket.past.receivedMs >= filter.ms;
    }
    case "stalled": {
      if (socket.past === null || protocol === "mptcp") return null;
      const { unacked, retransmits, probes } = socket.past;
      const waits = unacked > 0 || socket.wqueue > 0;
      const unanswered = retransmits > 0 || probes > 1;
      return waits && unanswered;
    }
    case "transparent":
      return socket.transparent;
    case "uid":
      return socket.uid === filter.uid;
    case "state":
      return (filter.mask & 1 << socket.state) !== 0;
  }
}

const isIPv4 = (words: Words) => !formatAddress({ words }).includes(":");
const bits = (words: Words) => words.map((word) => word.toString(2).padStart(32, "0")).join("");

/** A prefix is of one family, and holds addresses of that one only. */
function holds(prefix: Prefix, words: Words): boolean {
  const family = prefix.length >= 96 && isIPv4(prefix.words);
  return family === isIPv4(words) && bits(words).slice(0, prefix.length) === bits(prefix.words).slice(0, prefix.length);
}
