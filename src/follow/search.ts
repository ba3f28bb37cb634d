// Looks for the connections of a target, and remembers what was said of each: it is said once, and tried again after a while.

import { withOpen } from "../../ffi/closing.ts";
import { type Connection, identityOf } from "../model/connection.ts";
import type { HangUpOutcome, HangUpResult } from "../model/result.ts";
import { Finder } from "../resolve/finder.ts";
import { compileSelection, connectionsOnly } from "../select/compile_selection.ts";
import type { Selection } from "../select/selection.ts";
import { DUMPS_BEFORE_GONE } from "../select/selector.ts";

/** Milliseconds after which a connection that could not be cut is tried again. */
const RETRY_MS = 10_000;
/** The outcomes of connections that are not tried again. */
const FINAL: readonly HangUpOutcome[] = ["hung-up", "destroyed", "would-hang-up", "would-destroy", "already-gone"];

/** A connection that a report has named. */
interface Known {
  /** The outcome and the reason that were reported. */
  readonly said: string;
  /** The time from which on it is tried again; Infinity for never. */
  readonly retryAt: number;
  /** The last look that saw it. */
  look: number;
}

/** Looks for connections, again and again. */
export class Search {
  readonly #destroy: boolean;
  readonly #warn: (texts: readonly string[]) => void;
  readonly #known = new Map<string, Known>();
  #last: { readonly key: string; readonly finder: Finder; looks: number } | null = null;
  #looks = 0;

  /**
   * @param destroy Looks for what can be destroyed, too.
   * @param warn Receives the reasons why connections may have been missed.
   */
  constructor(destroy: boolean, warn: (texts: readonly string[]) => void) {
    this.#destroy = destroy;
    this.#warn = warn;
  }

  /** Looks once, and forgets what is found. @throws {UsageError} @throws {UnsupportedError} */
  tryOut(selection: Selection): void {
    withOpen(this.#finderFor(selection), (finder) => {
      finder.find();
      this.#warn(finder.incomplete);
    });
  }

  /** Returns the connections that are new, or due to be tried again. */
  find(selection: Selection): Connection[] {
    const key = JSON.stringify(selection);
    if (this.#last?.key !== key) {
      this.close();
      this.#last = { key, finder: this.#finderFor(selection), looks: 0 };
    }
    const { finder } = this.#last;
    const now = performance.now();
    const look = ++this.#looks;
    const isKnown = (identity: string) => {
      const known = this.#known.get(identity);
      if (known === undefined) return false;
      known.look = look;
      return now < known.retryAt;
    };
    const found = this.#last.looks++ === 0 ? finder.find() : finder.findNew(isKnown);
    this.#warn(finder.incomplete);
    const news = found.filter((connection) => !isKnown(identityOf(connection)));
    for (const [identity, known] of this.#known) {
      if (known.look <= look - DUMPS_BEFORE_GONE) this.#known.delete(identity);
    }
    return news;
  }

  /** Returns the results without those in which nothing has changed since they were last told. */
  newsIn(results: readonly HangUpResult[]): HangUpResult[] {
    const now = performance.now();
    return results.filter(({ connection, outcome, reason, message }) => {
      // What a run has not reached, since an address has returned, stays unknown.
      if (reason === "interrupted") return false;
      const identity = identityOf(connection);
      const said = `${outcome} ${message}`;
      const isFinal = FINAL.includes(outcome);
      const before = this.#known.get(identity)?.said;
      // What an earlier run has cut may take a while to go.
      const isNew = before === undefined || (before !== said && outcome !== "already-gone");
      this.#known.set(identity, { said, retryAt: isFinal ? Infinity : now + RETRY_MS, look: this.#looks });
      return isNew;
    });
  }

  /** Forgets what was said. */
  forget(): void {
    this.#known.clear();
  }

  #finderFor(selection: Selection): Finder {
    return new Finder(connectionsOnly(compileSelection(selection), this.#destroy));
  }

  close(): void {
    this.#last?.finder.close();
    this.#last = null;
  }
}
