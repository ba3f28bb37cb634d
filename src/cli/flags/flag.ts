// The types of commands and flags. The flags themselves are in table.ts.

import type { TimeUnit } from "../../model/duration.ts";

/** The commands, in the order of the help. */
export const COMMANDS = ["hup", "ls", "keepalive", "run", "plan", "doctor", "completions"] as const;

/** A command of tcphup. */
export type Command = typeof COMMANDS[number];

/** A flag. */
export interface Flag {
  /** The long name, without dashes. */
  readonly name: string;
  /** A single character that means the same. */
  readonly short?: string;
  /** What its value is called in the help; a flag without one is on or off. */
  readonly value?: string;
  /** For a time: what a number without a unit may be meant in. One unit is what it counts, of several it is refused. */
  readonly bare?: readonly TimeUnit[];
  /**
   * The value that it has when it stands alone: a time. Such a flag takes another one only after "=", or with a unit:
   * DEST may follow it.
   */
  readonly optionalValue?: string;
  /** Its value may begin with a minus. */
  readonly signed?: boolean;
  /** Whether --not may stand before it. */
  readonly negatable?: boolean;
  /** One line of help. */
  readonly help: string;
  /** More of it, for a command's own help. */
  readonly more?: string;
  /** The heading it stands under. */
  readonly group:
    | "Selection"
    | "Selection by owner"
    | "Selection by namespace"
    | "Selection by history"
    | "Guards"
    | "Values"
    | "Launching"
    | "Planning"
    | "Hanging up"
    | "Pacing"
    | "Listing"
    | "Output";
  readonly commands: readonly Command[];
}
