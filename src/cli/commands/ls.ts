// The command `tcphup ls`.

import { host } from "../../../ffi/deno.ts";
import { sleep } from "../../../ffi/sleep.ts";
import type { ListedConnection } from "../../model/connection.ts";
import { pastWork, unanswered, whyUnfinished } from "../../front/journal.ts";
import { MODE } from "../../front/shared.ts";
import { formatDuration } from "../../model/duration.ts";
import { counted } from "../../model/wording.ts";
import { Lister, type Listing } from "../../list.ts";
import { IDLE_AFTER_MS, summarize, type Summary } from "../../report/summary.ts";
import { TransientErrors } from "../../report/transient_errors.ts";
import { isTransient } from "../../linux/transient.ts";
import type { Arguments } from "../flags/arguments.ts";
import { sortConnections, withNetns } from "../output/columns.ts";
import { DONE, FAILED, INTERRUPTED } from "../flags/exit_codes.ts";
import type { ListDocument, SummaryDocument } from "../output/documents.ts";
import { jsonDocument, jsonLines, jsonReport, rowsOf } from "../output/json.ts";
import { onInterrupt } from "./interrupt.ts";
import { listOptions, type View, viewOf } from "./ls_options.ts";
import { ProgressLine } from "../output/progress.ts";
import { Screen, terminalSize } from "../output/screen.ts";
import { selectionOf } from "../flags/selection.ts";
import { connectionTable, fittingTable } from "../output/tables.ts";
import { unreadText } from "../output/timings.ts";
import { summaryLines, sysctlLines, unreadLine } from "../output/summary.ts";
import { print, warn, write } from "../output/terminal.ts";

/** Lists connections, once or with --watch until an interrupt. Returns the exit code. */
export async function ls(args: Arguments): Promise<number> {
  if (args.has("pinned")) return (await import("./pinned.ts")).listPinned(args);
  const view = viewOf(args);
  const { mode } = pastWork();
  if (mode !== MODE.work) {
    [...unanswered(), ...[whyUnfinished() ?? []].flat()].forEach(warn);
    return mode === MODE.interrupted ? INTERRUPTED : FAILED;
  }
  const lister = new Lister(selectionOf(args), listOptions(view));
  const list = new ListPrinter(lister, view);
  try {
    await list.show();
    return list.hasMissed ? FAILED : DONE;
  } finally {
    lister.close();
  }
}

/** A rendered list. */
interface ListText {
  readonly lines: readonly string[];
  /** Notes on the list as a whole, such as what could not be read. */
  readonly remarks: readonly string[];
}

class ListPrinter {
  readonly #lister: Lister;
  readonly #view: View;
  #hasRemarked = false;
  /** True when connections may have been missed. */
  hasMissed = false;

  constructor(lister: Lister, view: View) {
    this.#lister = lister;
    this.#view = view;
  }

  async show(): Promise<void> {
    const { format, watchMs } = this.#view;
    if (format === "nothing") this.#list();
    else if (format === "json") this.#write((listing, elapsedMs) => this.#document(listing, elapsedMs));
    else if (format === "json-lines") await this.#writeLines();
    else if (watchMs === null) this.#print();
    else await watch(watchMs, () => this.#look(watchMs));
  }

  async #writeLines(): Promise<void> {
    const { watchMs } = this.#view;
    if (watchMs === null) return void this.#write((listing) => jsonLines(this.#items(listing)));
    const transientErrors = new TransientErrors(warn);
    await repeat(watchMs, () => {
      const time = new Date().toISOString();
      try {
        return this.#write((listing) => jsonLines(this.#items(listing), { time }));
      } catch (error) {
        transientErrors.tolerate(error);
        return true;
      } finally {
        transientErrors.endAttempt();
      }
    });
  }

  #list(): Listing {
    const { format, watchMs } = this.#view;
    const progress = watchMs === null && format !== "nothing" ? new ProgressLine() : null;
    try {
      progress?.showSearch();
      const listing = this.#lister.list();
      if (listing.incomplete.length > 0) this.hasMissed = true;
      return listing;
    } finally {
      progress?.clear();
    }
  }

  /** Writes a new listing and, the first time, the remarks on it. */
  #write(format: (listing: Listing, elapsedMs: number) => Iterable<string>): boolean {
    const start = performance.now();
    const listing = this.#list();
    const written = write(format(listing, Math.round(performance.now() - start)));
    if (written && !this.#hasRemarked) remarksOn(listing).forEach(warn);
    this.#hasRemarked = true;
    return written;
  }

  #print(): void {
    const listing = this.#list();
    const text = this.#textOf(listing)(host.isTerminal(1) ? terminalSize().rows : Infinity);
    if (print(text.lines)) text.remarks.forEach(warn);
  }

  #look(watchMs: number): Frame {
    const listing = this.#list();
    const text = this.#textOf(listing);
    const time = new Date().toTimeString().slice(0, 8);
    const title = `${counted(listing.connections.length, "connection")} at ${time}, every ${formatDuration(watchMs)}`;
    return () => {
      const { lines, remarks } = text(terminalSize().rows - 2);
      return this.#view.summary ? [title, "", ...lines, ...remarks] : [title, ...remarks, "", ...lines];
    };
  }

  /** Renders a listing for any height of the terminal. */
  #textOf(listing: Listing): (height: number) => ListText {
    const sysctls = sysctlLines(listing.sysctls ?? []);
    const remarks = remarksOn(listing);
    if (this.#view.summary) {
      const summary = this.#summaryOf(listing);
      const around = sysctls.length + remarks.length;
      return (height) => ({ lines: [...summaryLines(summary, height - around), ...sysctls], remarks });
    }
    const { dropsColumns, verbose, watchMs } = this.#view;
    const connections = this.#ordered(listing);
    const columns = this.#view.addsNetns ? withNetns(this.#view.columns, connections) : this.#view.columns;
    const around = [...sysctls, ...remarks];
    if (connections.length === 0) return () => ({ lines: ["no connections match"], remarks: around });
    return (height) => {
      const room = watchMs === null ? Infinity : Math.max(1, height - around.length - 2);
      const shown = connections.slice(0, room);
      const lines = dropsColumns
        ? fittingTable(shown, columns, verbose, terminalSize().columns)
        : [...connectionTable(shown, columns, verbose)];
      const hidden = connections.length - room;
      return { lines: hidden > 0 ? [...lines, `and ${hidden} more`] : lines, remarks: around };
    };
  }

  #summaryOf({ connections }: Listing): Summary {
    return summarize(connections, this.#lister.listening());
  }

  #ordered({ connections }: Listing): readonly ListedConnection[] {
    const { order } = this.#view;
    return order === null ? connections : sortConnections(connections, order);
  }

  #document(listing: Listing, elapsedMs: number): Iterable<string> {
    const { connections, ...rest } = listing;
    const head: ListDocument = { schema: 1, command: "ls", matched: connections.length, ...rest, elapsedMs };
    if (!this.#view.summary) return jsonReport(head, this.#ordered(listing));
    const { total, groups } = this.#summaryOf(listing);
    const document: SummaryDocument = { ...head, idleAfterMs: IDLE_AFTER_MS, total };
    return jsonDocument(document, "groups", groups);
  }

  #items(listing: Listing): Iterable<object> {
    return this.#view.summary ? this.#summaryOf(listing).groups : rowsOf(this.#ordered(listing));
  }
}

/** Says what could not be read, and why. */
function remarksOn(listing: Listing): string[] {
  const { connections, unreadableProcesses, unanswered, incomplete, keepaliveUnreadable } = listing;
  const remarks = [...unanswered, ...incomplete];
  if (unreadableProcesses > 0 && connections.some(({ owners }) => owners.length === 0)) {
    remarks.push(`${unreadText(unreadableProcesses)}, so some owners are not shown`);
  }
  const unread = unreadLine(keepaliveUnreadable ?? [], connections.length);
  if (unread !== null) remarks.push(unread);
  return remarks;
}

/** Calls `look` at an interval until it returns `false`, which says that the reader has gone, or until an interrupt. */
async function repeat(intervalMs: number, look: () => boolean): Promise<void> {
  const interrupt = new AbortController();
  const restore = onInterrupt(() => interrupt.abort());
  try {
    while (!interrupt.signal.aborted && look()) await sleep(intervalMs, interrupt.signal);
  } finally {
    restore();
  }
}

/** Renders the last listing as lines for the current size of the terminal. */
type Frame = () => readonly string[];

/**
 * Shows a new frame on the terminal at an interval, or after a passing error the last one under a line that names the
 * error. Draws it again when the terminal's size changes.
 */
async function watch(intervalMs: number, look: () => Frame): Promise<void> {
  let last: Frame = () => [];
  let shown = last;
  const screen = new Screen();
  const restore = host.onSignal("SIGWINCH", () => screen.show(shown()));
  try {
    await repeat(intervalMs, () => {
      try {
        shown = last = look();
      } catch (error) {
        if (!isTransient(error)) throw error;
        shown = () => [`trying again after ${error.message}`, ...last()];
      }
      return screen.show(shown());
    });
  } finally {
    restore();
    screen.close();
  }
}
