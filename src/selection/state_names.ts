// The states of a TCP socket and the sets of them, as ss(8) takes them after `state`.

import { type State, stateMask, STATES } from "../netlink/states.ts";

/**
 * The mask of every state. Without NEW-SYN-RECV: the kernel adds it to SYN-RECV, and could not leave it out with it
 * otherwise.
 */
export const ALL_STATES: number = stateMask(...(Object.keys(STATES) as State[])) & ~stateMask("NEW-SYN-RECV");

const CONNECTED = ALL_STATES & ~stateMask("UNCONN", "LISTEN", "BOUND-INACTIVE");
const BUCKET = stateMask("SYN-RECV", "TIME-WAIT");

const MASKS: Readonly<Record<string, number>> = {
  "established": stateMask("ESTAB"),
  "syn-sent": stateMask("SYN-SENT"),
  "syn-recv": stateMask("SYN-RECV"),
  "fin-wait-1": stateMask("FIN-WAIT-1"),
  "fin-wait-2": stateMask("FIN-WAIT-2"),
  "time-wait": stateMask("TIME-WAIT"),
  "closed": stateMask("UNCONN"),
  "close-wait": stateMask("CLOSE-WAIT"),
  "last-ack": stateMask("LAST-ACK"),
  "listening": stateMask("LISTEN"),
  "closing": stateMask("CLOSING"),
  "bound-inactive": stateMask("BOUND-INACTIVE"),
  "all": ALL_STATES,
  "connected": CONNECTED,
  "synchronized": CONNECTED & ~stateMask("SYN-SENT"),
  "bucket": BUCKET,
  "big": ALL_STATES & ~BUCKET,
};

/** Other spellings: ss's own, and the names that it prints. */
const ALIASES: Readonly<Record<string, string>> = {
  "syn-rcv": "syn-recv",
  "close": "closed",
  "unconnected": "closed",
  "unconn": "closed",
  "estab": "established",
  "listen": "listening",
};

/** The names that `statesNamed` knows, without aliases. */
export const STATE_NAMES: readonly string[] = Object.keys(MASKS);

/** The mask of a state or of a set of states, in upper or lower case; null for a name that is none. */
export function statesNamed(name: string): number | null {
  const lower = name.toLowerCase();
  return new Map(Object.entries(MASKS)).get(ALIASES[lower] ?? lower) ?? null;
}
