// Words the library's errors about options in the flags of the command line.

import type { UsageError } from "../../model/errors.ts";
import { describe, type NamedCondition, reword, type Wording } from "../../model/wording.ts";
import type { Arguments } from "./arguments.ts";

/** The flags whose names do not follow from their options. */
const FLAG_OF: Readonly<Record<string, string>> = {
  "pacing": "rate",
  "pacing.perSecond": "rate",
  "whenIdle.idleMs": "when-idle",
  "repeat": "for",
  "everyMs": "watch",
  "refuse.forMs": "refuse",
  "redirect.forMs": "redirect",
  "redirect.to": "redirect",
};

/** Returns the name of an option's flag, without dashes: `destroy-after` for `destroyAfterMs`. */
export function flagOf(option: string): string {
  const name = option.slice(option.lastIndexOf(".") + 1).replace(/(?:Ms|S)$/, "");
  return FLAG_OF[option] ?? name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function spell(option: string): string {
  return `${option.startsWith("not.") ? "--not " : ""}--${flagOf(option)}`;
}

/** Words an error about the options that these arguments became. Values are quoted as they were typed. */
export function wordInFlags(error: UsageError, args: Arguments): void {
  if (error.code === "empty-selection") {
    error.message =
      'No connections selected: give an address, as in "tcphup 10.0.0.5 443", a selection flag such as --pid, or say any';
  }
  // The interval of a watch and that of `follow` have flags of their own.
  const own = (option: string) => args.command === "follow" && option === "everyMs" ? "every" : option;
  const words: Wording = {
    name: (option) => spell(own(option)),
    quote(option, value) {
      if (option === "version") return `-${value}`;
      const typed = (option.startsWith("not.") ? args.negated : args).values(flagOf(own(option)));
      return `${spell(own(option))} ${typed.length === 1 ? `"${typed[0]}"` : describe(value)}`;
    },
    conditions: spellConditions,
  };
  reword(error, words);
}

/** Writes conditions as DEST and PORT, where they can be, and as flags. */
function spellConditions(conditions: readonly NamedCondition[]): string {
  const flags = conditions.map(([option, text]) => `${spell(option)} ${text}`).join(" ");
  const [[first, text] = [], [second, port] = []] = conditions;
  if (first === "dst" && second === "dport") return `"${text} ${port}", or ${flags}`;
  return first === "dport" && second === undefined ? `"any ${text}"` : flags;
}
