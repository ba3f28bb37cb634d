// Refuses connects to what has left, or has them go to a live address, for as long as it is out.

import { prepared } from "../../ffi/closing.ts";
import { Diversion } from "../attach/diversion.ts";
import { compileSelection } from "../select/compile_selection.ts";
import type { Selection } from "../select/selection.ts";
import { mayChooseFamily } from "../select/may_choose.ts";
import { familyOf } from "./departures.ts";

/** What becomes of connects to what has left. */
export type Fate = "refuse" | "redirect";

/** Addresses of this host, by which it is tried before any is live. */
const OWN = { 4: "127.0.0.1", 6: "::1" } as const;

/** Keeps programs in force that fit what has left and what is live. */
export class Steering {
  readonly #fate: Fate;
  #current: { readonly key: string; readonly diversion: Diversion } | null = null;
  /** The number of connects of programs that are not in force any more. */
  #past = 0;

  constructor(fate: Fate) {
    this.#fate = fate;
  }

  /**
   * Has the kernel verify a program for a selection, and no more.
   *
   * @returns The reasons why programs of this host may be left out.
   * @throws {UsageError} When the selection asks for what connect(2) does not tell.
   * @throws {UnsupportedError} When this host or user cannot do that.
   */
  tryOut(selection: Selection): readonly string[] {
    const { version = 4 } = selection;
    const options = this.#fate === "refuse" ? { refuse: {} } : { redirect: { to: OWN[version] } };
    const only = { ...selection, version };
    const diversion = new Diversion(only, compileSelection(only), { ...options, dryRun: true });
    diversion.close();
    return diversion.incomplete;
  }

  /**
   * Puts programs in force for a selection, before those for an earlier one end. Does nothing where the right ones are in
   * force.
   *
   * @param selection Null when nothing has left.
   * @param live The addresses that connects may go to: the first one of each family.
   * @returns Where connects go now, empty when they are refused; null when nothing has changed.
   * @throws {UsageError} As `Diversion`.
   * @throws {UnsupportedError} As `Diversion`.
   */
  update(selection: Selection | null, live: readonly string[]): readonly string[] | null {
    if (selection === null || this.#fate === "refuse") return this.#replace(selection, []);
    const { filter } = compileSelection(selection);
    const versions = ([4, 6] as const).filter((version) => mayChooseFamily(filter, version));
    const to = versions.map((version) => live.find((one) => versionOf(one) === version));
    const targets = to.filter((address) => address !== undefined);
    const [only] = targets;
    if (only === undefined) return this.#replace(null, []);
    // Without a live address of its family, connects are let through.
    const version = targets.length < versions.length ? versionOf(only) : selection.version;
    return this.#replace({ ...selection, version }, targets);
  }

  #replace(selection: Selection | null, to: readonly string[]): readonly string[] | null {
    const key = JSON.stringify([selection, to]);
    if (this.#current?.key === key && this.#current.diversion.isInForce) return null;
    try {
      const next = selection && this.#begin(selection, to);
      this.close();
      this.#current = next && { key, diversion: next };
      return next && to;
    } catch (error) {
      // What is in force may concern an address that has returned.
      this.close();
      throw error;
    }
  }

  #begin(selection: Selection, to: readonly string[]): Diversion {
    const options = this.#fate === "refuse" ? { refuse: {} } : { redirect: { to } };
    return prepared(new Diversion(selection, compileSelection(selection), options), (diversion) => diversion.arm());
  }

  /** The number of connects that were refused, or went elsewhere. */
  get count(): number {
    return this.#past + (this.#current?.diversion.report().count ?? 0);
  }

  /** Ends what is in force. */
  close(): void {
    this.#past = this.count;
    this.#current?.diversion.close();
    this.#current = null;
  }
}

function versionOf(address: string): 4 | 6 {
  return familyOf(address) === "ipv4" ? 4 : 6;
}
