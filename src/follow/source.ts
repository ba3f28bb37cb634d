// Where the live addresses are asked for.

import type { Answer } from "./departures.ts";

/** What one look has brought. */
export interface Look {
  /** The live addresses; null when they are not known. */
  readonly answer: Answer | null;
  /** What could not be asked, such as a name, each with the reason. */
  readonly problems: ReadonlyMap<string, string>;
}

/** Says which addresses are live. */
export interface Source {
  /** Looks once. Problems are part of the result. */
  look(signal: AbortSignal): Promise<Look>;
  close(): void;
}
