// The states of a TCP socket: <net/tcp_states.h>, in the spelling of ss(8).

/** A state's number in the kernel, and its bit (1 << number) in a request's mask. */
export const STATES = {
  "ESTAB": 1,
  "SYN-SENT": 2,
  "SYN-RECV": 3,
  "FIN-WAIT-1": 4,
  "FIN-WAIT-2": 5,
  "TIME-WAIT": 6,
  "UNCONN": 7,
  "CLOSE-WAIT": 8,
  "LAST-ACK": 9,
  "LISTEN": 10,
  "CLOSING": 11,
  "NEW-SYN-RECV": 12,
  "BOUND-INACTIVE": 13,
} as const;

/** The name of a state, as ss(8) prints it. */
export type State = keyof typeof STATES;

/** The states in the order of their numbers, which begin with 1. */
const names = Object.keys(STATES) as State[];

/** The name of the state with this number. A request socket (NEW_SYN_RECV) is one in SYN-RECV to ss and to us. */
export function stateName(state: number): State {
  return state === STATES["NEW-SYN-RECV"] ? "SYN-RECV" : names[state - 1] ?? "UNCONN";
}

/** The mask that asks for these states. */
export function stateMask(...states: State[]): number {
  return states.reduce((mask, state) => mask | 1 << STATES[state], 0);
}

/** The states of connections that can be hung up on: all but LISTEN, TIME-WAIT and CLOSE (which ss calls UNCONN). */
export const CONNECTED = stateMask(
  "ESTAB",
  "SYN-SENT",
  "SYN-RECV",
  "FIN-WAIT-1",
  "FIN-WAIT-2",
  "CLOSE-WAIT",
  "LAST-ACK",
  "CLOSING",
);

/** The states in which this end has sent, or queued, its FIN. */
export const CLOSING = stateMask("FIN-WAIT-1", "FIN-WAIT-2", "LAST-ACK", "CLOSING");

/** Returns whether this end has sent, or queued, its FIN. */
export function isClosing({ state }: { readonly state: State }): boolean {
  return isInStates(state, CLOSING);
}

/** Returns whether a state is one of a mask. */
export function isInStates(state: State, mask: number): boolean {
  return (mask >>> STATES[state] & 1) !== 0;
}

/**
 * The mask of every state. Without NEW-SYN-RECV: the kernel adds it to SYN-RECV, and could not leave it out with it
 * otherwise.
 */
export const ALL_STATES: number = stateMask(...names) & ~stateMask("NEW-SYN-RECV");

/** The states that ss(8) calls connected, TIME-WAIT among them. */
const SS_CONNECTED = ALL_STATES & ~stateMask("UNCONN", "LISTEN", "BOUND-INACTIVE");
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
  "connected": SS_CONNECTED,
  "synchronized": SS_CONNECTED & ~stateMask("SYN-SENT"),
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
