// Which addresses have left: a state machine over the answers to "which addresses are live", without a clock of its own.
//
// An address has left when every answer for a time lacked it. Names that answer with a changing subset of many addresses,
// and names that flicker between two answers, are why a single answer proves nothing.

import { formatAddress, isIPv4, parseAddress } from "../model/address.ts";

/** The live addresses of each family; null where this answer does not tell. */
export interface Answer {
  readonly ipv4: readonly string[] | null;
  readonly ipv6: readonly string[] | null;
}

export type Family = keyof Answer;

export const FAMILIES: readonly Family[] = ["ipv4", "ipv6"];

/** Options of `Departures`. Times are in milliseconds. */
export interface DepartureOptions {
  /** The time for which every answer has to lack an address that has left. */
  readonly afterMs: number;
  /** The time from one answer to the next. */
  readonly everyMs: number;
  /** Addresses that were live before the first answer. */
  readonly was?: readonly string[];
}

/** What an answer has changed. */
export interface Change {
  /** Addresses that were in no answer before, or not since they had left. */
  readonly added: readonly string[];
  /** The part of `added` that had left. */
  readonly returned: readonly string[];
  /** Addresses that have left with this answer. */
  readonly left: readonly string[];
}

const NOTHING: Change = { added: [], returned: [], left: [] };

/** How an address, or the rest of a family, was in the last answers. */
interface Absence {
  /** The time of the last answer that had it; or the time from which on no answer had it. */
  seenAt: number;
  /** The number of answers since then. */
  answers: number;
  /** True once it has left. */
  hasLeft: boolean;
}

/** The most addresses that are remembered as having left. A name may go through thousands of addresses a day. */
const MAX_LEFT = 4096;

/** Returns the family of an address in canonical text. */
export function familyOf(address: string): Family {
  return isIPv4(parseAddress(address)!) ? "ipv4" : "ipv6";
}

/** Returns an address in canonical text; null when the text is none. */
export function canonicalAddress(text: string): string | null {
  const address = parseAddress(text);
  return address === null ? null : formatAddress(address);
}

/** Notes answers, and says which addresses have left and which have stayed. */
export class Departures {
  readonly #options: DepartureOptions;
  /** Every address that was in an answer or is in `was`. Those that have left are in the order in which they left. */
  readonly #members = new Map<string, Absence>();
  /** The addresses that are in no answer, nor were. */
  readonly #others: Record<Family, Absence>;
  #live: readonly string[] = [];

  /** @param now The time from which on answers are noted. */
  constructor(options: DepartureOptions, now: number) {
    this.#options = options;
    const absence = () => ({ seenAt: now, answers: 0, hasLeft: false });
    this.#others = { ipv4: absence(), ipv6: absence() };
    for (const address of options.was ?? []) this.#members.set(address, absence());
  }

  /** The addresses of the last answer; those of a family that it does not tell, from the last that does. */
  get live(): readonly string[] {
    return this.#live;
  }

  /** The addresses that have left and not returned. */
  get left(): readonly string[] {
    return this.#where(({ hasLeft }) => hasLeft);
  }

  /** The addresses that have not left: the live ones, and those that have been missing for a short time only. */
  get stayed(): readonly string[] {
    return this.#where(({ hasLeft }) => !hasLeft);
  }

  /** The addresses that the last answers lacked, but not for long enough. */
  get missing(): readonly string[] {
    return this.#where(({ hasLeft, answers }) => !hasLeft && answers > 0);
  }

  /** The families of which everything that is not in `stayed` can be said to be elsewhere. */
  get settled(): readonly Family[] {
    return FAMILIES.filter((family) => this.#others[family].hasLeft);
  }

  /** The next time, after `now`, at which an answer may show that an address has left; Infinity when none is missing. */
  dueAfter(now: number): number {
    const open = [...this.#members.values(), ...Object.values(this.#others)].filter(({ hasLeft }) => !hasLeft);
    const times = open.filter(({ answers }) => answers > 0).map(({ seenAt }) => seenAt + this.#options.afterMs);
    return times.filter((time) => time > now).reduce((least, time) => Math.min(least, time), Infinity);
  }

  /**
   * Notes an answer. One without any address changes nothing, nor does a family that it does not tell.
   *
   * @param now The time at which the answer was asked for.
   */
  note(answer: Answer, now: number): Change {
    if (FAMILIES.every((family) => (answer[family]?.length ?? 0) === 0)) return NOTHING;
    const changes = FAMILIES.map((family) => {
      const addresses = answer[family];
      return addresses === null ? NOTHING : this.#noteFamily(family, new Set(addresses), now);
    });
    this.#forgetOldest();
    return {
      added: changes.flatMap(({ added }) => added),
      returned: changes.flatMap(({ returned }) => returned),
      left: changes.flatMap(({ left }) => left),
    };
  }

  #noteFamily(family: Family, addresses: ReadonlySet<string>, now: number): Change {
    const added = [...addresses].filter((address) => this.#members.get(address)?.hasLeft !== false);
    const returned = added.filter((address) => this.#members.has(address));
    for (const address of addresses) {
      this.#members.delete(address);
      this.#members.set(address, { seenAt: now, answers: 0, hasLeft: false });
    }
    this.#live = [...this.#live.filter((address) => familyOf(address) !== family), ...addresses].sort();
    this.#noteAbsence(this.#others[family], now);
    const left: string[] = [];
    for (const [address, absence] of [...this.#members]) {
      if (addresses.has(address) || absence.hasLeft || familyOf(address) !== family) continue;
      this.#noteAbsence(absence, now);
      if (!absence.hasLeft) continue;
      left.push(address);
      this.#members.delete(address);
      this.#members.set(address, absence);
    }
    return { added, returned, left };
  }

  /** Counts an answer that lacked an address. The count keeps a pause of this process from being taken for answers. */
  #noteAbsence(absence: Absence, now: number): void {
    const { afterMs, everyMs } = this.#options;
    absence.answers++;
    if (now - absence.seenAt < afterMs) return;
    if (absence.answers >= Math.floor(afterMs / everyMs)) absence.hasLeft = true;
  }

  #forgetOldest(): void {
    for (const address of this.left.slice(0, -MAX_LEFT)) this.#members.delete(address);
  }

  #where(condition: (absence: Absence) => boolean): string[] {
    return [...this.#members].filter(([, absence]) => condition(absence)).map(([address]) => address);
  }
}
