// The types of commands and flags, and the sections of flags. The flags themselves are in table.ts.

import type { TimeUnit } from "../../model/duration.ts";

/** The commands, in the order of the help. */
export const COMMANDS = ["hup", "ls", "keepalive", "follow", "run", "plan", "unpin", "doctor", "completions"] as const;

/** A command of tcphup. */
export type Command = typeof COMMANDS[number];

/** A flag. */
export interface Flag {
  /** The long name, without dashes. */
  readonly name: string;
  /** The short name, a single character. */
  readonly short?: string;
  /** The name of the value in the help. A flag without it takes no value. */
  readonly value?: string;
  /**
   * For a time: the units that a number without a unit may be meant in. One unit is assumed; with several, the number is
   * refused.
   */
  readonly bare?: readonly TimeUnit[];
  /**
   * The value of a flag that is given without one: a time, or null where it has none then. Since DEST may follow such a
   * flag, it takes a value only after "=", or a time with a unit.
   */
  readonly optionalValue?: string | null;
  /** A time with a unit may follow the value, as a word of its own. It becomes a part of the value, after a space. */
  readonly thenTime?: boolean;
  /** The value may begin with a minus. */
  readonly signed?: boolean;
  /** The flag may follow --not. */
  readonly negatable?: boolean;
  /** One line of help. */
  readonly help: string;
  /** A second paragraph, for the help of a command. */
  readonly more?: string;
  /** The heading of its section in the help. */
  readonly group:
    | "Selection"
    | "Selection by owner"
    | "Selection by namespace"
    | "Selection by history"
    | "Guards"
    | "Values"
    | "Attaching"
    | "Launching"
    | "Planning"
    | "Following"
    | "Hanging up"
    | "Connecting again"
    | "Pacing"
    | "Listing"
    | "Output";
  readonly commands: readonly Command[];
}

/** What the flags of a section of the help have in common. */
type Common = Pick<Flag, "group" | "commands"> & Partial<Flag>;

/** A flag of a section. It may say otherwise than the section. */
type Member = Pick<Flag, "name" | "help"> & Partial<Flag>;

/** Returns the flags of a section of the help. */
export function section(common: Common, flags: readonly Member[]): Flag[] {
  return flags.map((flag) => ({ ...common, ...flag }));
}
