// The live addresses by the system's resolver: /etc/hosts, DNS, and whatever nsswitch.conf names.

import { countAbandonedLookups, Lookup, LookupError } from "../../ffi/netdb.ts";
import { sleep } from "../../ffi/sleep.ts";
import { AF_INET, AF_INET6 } from "../../ffi/socket.ts";
import { sockaddrAddress } from "../linux/netlink/sockaddr.ts";
import { formatAddress } from "../model/address.ts";
import { FAMILIES, type Family } from "./departures.ts";
import type { Look, Source } from "./source.ts";

/** The time for which a lookup may be under way before that is said. */
const PATIENCE_MS = 10_000;
/** The time after which a lookup that has not ended is given up for a new one. */
const GIVEN_UP_AFTER_MS = 120_000;
/** The number of lookups that may be given up and not have ended. Each keeps a thread. */
const MAX_ABANDONED = 3;
/** The pause between two looks at whether a lookup has ended. It doubles from `first` up to `max`. */
const POLL_MS = { first: 1, max: 50 };

/** The errors that say that a name has no address of this family. Any other says nothing about its addresses. */
const NO_ADDRESS: readonly string[] = ["EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY"];

const NO_ANSWER = `the resolver has not answered for ${PATIENCE_MS / 1000} s`;

const WORDS: Record<string, string> = {
  EAI_AGAIN: "no name server answers, or it fails (EAI_AGAIN)",
  EAI_FAIL: "the name server refuses (EAI_FAIL)",
  EAI_SYSTEM: "the lookup fails for want of something on this host (EAI_SYSTEM)",
};

const NUMBERS = { ipv4: AF_INET, ipv6: AF_INET6 } as const;

/** The addresses of a name, or why they are not known; null while the lookup is under way. */
type Result = { readonly addresses: readonly string[] } | { readonly error: string } | null;

/**
 * Resolves names again and again. Each family is looked up for itself: getaddrinfo(3) of both at once returns, without an
 * error, only the addresses of the one family when the lookup of the other fails.
 */
export class Lookups implements Source {
  readonly #names: readonly { readonly name: string; readonly questions: readonly Question[] }[];
  readonly #waitMs: number;

  /** @param waitMs The time for which a look waits for the resolver. A lookup that takes longer serves a later look. */
  constructor(names: readonly string[], waitMs: number, families: readonly Family[] = FAMILIES) {
    this.#names = names.map((name) => ({ name, questions: families.map((family) => new Question(name, family)) }));
    this.#waitMs = waitMs;
  }

  async look(signal: AbortSignal): Promise<Look> {
    const results = await Promise.all(this.#names.map(async ({ name, questions }) => {
      const ofFamilies = await Promise.all(
        questions.map(async (question) => [question.family, await question.ask(this.#waitMs, signal)] as const),
      );
      return { name, byFamily: new Map(ofFamilies) };
    }));
    const problems = new Map(results.flatMap(({ name, byFamily }) => problemsOf(name, byFamily)));
    const addressesOf = (family: Family): string[] | null => {
      const ofNames = results.map(({ byFamily }) => addressesIn(byFamily.get(family)));
      return ofNames.every((addresses) => addresses !== null) ? [...new Set(ofNames.flat())] : null;
    };
    // Of several names, one without any address may be one that cannot be resolved.
    const isDoubtful = results.some(({ byFamily }) => !hasAddress(byFamily));
    const answer = isDoubtful ? null : { ipv4: addressesOf("ipv4"), ipv6: addressesOf("ipv6") };
    return { answer, problems };
  }

  close(): void {
    for (const { questions } of this.#names) questions.forEach((question) => question.abandon());
  }
}

function addressesIn(result: Result | undefined): readonly string[] | null {
  return result && "addresses" in result ? result.addresses : null;
}

function hasAddress(byFamily: ReadonlyMap<Family, Result>): boolean {
  return [...byFamily.values()].some((result) => (addressesIn(result)?.length ?? 0) > 0);
}

/** Says what keeps a name from being resolved, for both families or for one of them. */
function problemsOf(name: string, byFamily: ReadonlyMap<Family, Result>): [string, string][] {
  const failed = [...byFamily].flatMap(([family, result]) => {
    return result && "error" in result ? [{ family, error: result.error }] : [];
  });
  if (hasAddress(byFamily)) {
    return failed.map(({ family, error }) => [`${name} (${family === "ipv4" ? "IPv4" : "IPv6"})`, error]);
  }
  const [first] = failed;
  if (first !== undefined) return [[name, first.error]];
  const isOver = ![...byFamily.values()].includes(null);
  return isOver ? [[name, "it does not exist, or has no address"]] : [];
}

/** One question to the resolver. One lookup at a time is under way for it. */
class Question {
  readonly family: Family;
  readonly #name: string;
  #lookup: Lookup | null = null;
  #startedAt = 0;
  /** The error with which the last lookup ended; null when it ended without one. */
  #error: string | null = null;

  constructor(name: string, family: Family) {
    this.family = family;
    this.#name = name;
  }

  /** Waits for the end of the lookup under way, or of a new one, for at most `waitMs`. An error stays until it has passed. */
  async ask(waitMs: number, signal: AbortSignal): Promise<Result> {
    try {
      const addresses = await this.#wait(waitMs, signal);
      if (addresses !== null) this.#error = null;
      else if (performance.now() - this.#startedAt > PATIENCE_MS) this.#error ??= NO_ANSWER;
      if (addresses !== null) return { addresses };
    } catch (error) {
      this.#lookup = null;
      if (!(error instanceof LookupError)) throw error;
      this.#error = NO_ADDRESS.includes(error.code) ? null : WORDS[error.code] ?? error.code;
      if (this.#error === null) return { addresses: [] };
    }
    return this.#error === null ? null : { error: this.#error };
  }

  async #wait(waitMs: number, signal: AbortSignal): Promise<string[] | null> {
    const end = performance.now() + waitMs;
    const isLate = this.#lookup !== null && performance.now() - this.#startedAt > GIVEN_UP_AFTER_MS;
    // Where so many were given up and have not ended, a new one would hang too.
    if (isLate && countAbandonedLookups() < MAX_ABANDONED) this.abandon();
    if (this.#lookup === null) {
      this.#startedAt = performance.now();
      this.#lookup = new Lookup(this.#name, NUMBERS[this.family]);
    }
    for (let pollMs = POLL_MS.first; !signal.aborted; pollMs = Math.min(2 * pollMs, POLL_MS.max)) {
      const found = this.#lookup.take();
      if (found !== null) {
        this.#lookup = null;
        return found.map(sockaddrAddress).filter((one) => one !== null).map(formatAddress);
      }
      if (performance.now() > end) return null;
      await sleep(pollMs, signal);
    }
    return null;
  }

  abandon(): void {
    this.#lookup?.abandon();
    this.#lookup = null;
  }
}
