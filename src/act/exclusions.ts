// Which of the selected connections are left alone, each with its outcome: those of the operator's session, and those for which
// there is nothing to do.

import type { Connection } from "../model/connection.ts";
import type { Target } from "../model/result.ts";
import { isClosing } from "../model/tcp_states.ts";
import type { Session } from "../resolve/session.ts";
import { setOutcome, skipHungUp, skipSubflow } from "./outcomes.ts";

/**
 * The time within which an attempt to connect that is left alone sends its next SYN. The host to which an address has moved
 * answers that, while an application whose attempt is ended has an error, and perhaps a request less.
 */
const NEXT_SYN_MS = 3000;

/** What decides which connections are left alone. */
export interface Exclusions {
  /** The operator's session; null when it is not spared. */
  readonly session: Session | null;
  readonly destroy?: boolean;
  readonly finOnly?: boolean;
  /** Leaves alone attempts to connect whose next SYN goes soon. */
  readonly sparesConnecting: boolean;
}

/** Returns `true` when the connection is protected, or needs nothing. It then has an outcome. */
export function isExcluded(
  target: Target,
  { session, destroy = false, finOnly = false, sparesConnecting }: Exclusions,
): boolean {
  const { connection } = target;
  const protectedAs = session?.explainProtection(target) ?? null;
  if (protectedAs !== null) setOutcome(target, "skipped", "session", protectedAs);
  else if (connection.subflowOf !== undefined) skipSubflow(target, connection.subflowOf);
  else if (sparesConnecting && sendsSynSoon(connection)) {
    setOutcome(target, "skipped", "connecting", "a connect attempt, left to its next SYN");
  } else if (!destroy && isHungUp(connection, finOnly)) skipHungUp(target);
  return target.result !== null;
}

/**
 * Tells whether the program has closed the connection. One not yet accepted has no inode either, but has sent no FIN.
 */
export function isOrphan(connection: Pick<Connection, "inode" | "state">): boolean {
  return connection.inode === 0 && isClosing(connection);
}

/** Tells whether the application may yet accept the connection. */
export function mayBeAccepted(connection: Connection): boolean {
  return connection.inode === 0 && !isClosing(connection);
}

/** Tells whether a connection is an attempt to connect. */
export function isConnecting({ state }: Connection): boolean {
  return state === "SYN-SENT";
}

function sendsSynSoon(connection: Connection): boolean {
  const { timer } = connection;
  return isConnecting(connection) && timer?.name === "on" && timer.expiresMs <= NEXT_SYN_MS;
}

/** Tells whether this end has sent its FIN already. Without `finOnly` it must also have stopped reading. */
function isHungUp(connection: Connection, finOnly: boolean): boolean {
  const { inode, shutdown } = connection;
  if (!isClosing(connection)) return false;
  return inode === 0 || shutdown === 3 || (finOnly && (shutdown & 2) !== 0);
}
