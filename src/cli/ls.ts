// `tcphup ls`.

import { host } from "../../ffi/deno.ts";
import type { Connection } from "../connection.ts";
import { formatDuration } from "../keepalive/duration.ts";
import { Lister, type Listing, type ListOptions } from "../list.ts";
import { IDLE_AFTER_MS, summarise, type Summary } from "../summarise.ts";
import { UsageError } from "../usage_error.ts";
import type { Arguments } from "./arguments.ts";
import { type Column, listTable, type Order, parseColumns, parseOrder, sortConnections } from "./columns.ts";
import { DONE } from "./exit_codes.ts";
import { jsonDocument, jsonLines } from "./json.ts";
import { terminalSize } from "./screen.ts";
import { selectionOf } from "./selection.ts";
import { summaryLines, sysctlLines, unreadLine } from "./summary.ts";
import { complain, print, write as writeAll } from "./terminal.ts";
import { type Picture, repeat, watch } from "./watch.ts";

/** What to show, and how. */
interface View {
  readonly format: "text" | "json" | "json-lines" | "nothing";
  readonly summary: boolean;
  readonly columns: readonly Column[];
  readonly order: Order | null;
  readonly verbose: boolean;
  /** null for once. */
  readonly watch_ms: number | null;
}

/** Lists. Returns the exit code. */
export async function ls(args: Arguments): Promise<number> {
  const view = viewOf(args);
  const list = new List(new Lister(selectionOf(args), needsOf(view)), view);
  try {
    await list.show();
    return DONE;
  } finally {
    list.close();
  }
}

/** Looking more often would be a load of its own. */
const SHORTEST_WATCH_MS = 100;

function viewOf(args: Arguments): View {
  exclude(args, "json", "json-lines", "one document, or an object a line");
  for (const other of ["json", "json-lines", "summary"]) exclude(args, "columns", other, "columns are the table's");
  exclude(args, "sort", "summary", "a summary begins with the largest group");
  exclude(args, "watch", "json", "--json-lines prints again and again");
  exclude(args, "watch", "quiet", "there would be nothing to see");
  const watch_ms = args.duration("watch", "s") ?? null;
  if (watch_ms !== null && watch_ms < SHORTEST_WATCH_MS) {
    throw new UsageError(`--watch=${args.value("watch")} is too often: expected ${SHORTEST_WATCH_MS}ms or more`);
  }
  if (watch_ms !== null && !args.has("json-lines") && !host.isTerminal(1)) {
    throw new UsageError("Option --watch shows the list on a terminal: add --json-lines to write to a file or a pipe");
  }
  const order = args.value("sort");
  return {
    format: args.has("quiet") ? "nothing" : args.has("json") ? "json" : args.has("json-lines") ? "json-lines" : "text",
    summary: args.has("summary"),
    columns: parseColumns(args.value("columns"), args.has("keepalive")),
    order: order === undefined ? null : parseOrder(order),
    verbose: args.has("verbose"),
    watch_ms,
  };
}

function exclude(args: Arguments, one: string, other: string, why: string): void {
  if (args.given(one) && args.given(other)) {
    throw new UsageError(`Options --${one} and --${other} exclude each other: ${why}`);
  }
}

/** How closely to look: only as closely as it will be seen, since it takes time. */
function needsOf({ format, summary, columns, order }: View): ListOptions {
  if (format === "nothing") return {};
  if (format !== "text" || summary) return { tcp_info: true, keepalive: true };
  const needs = [...columns, ...(order ? [order.column] : [])].map((column) => column.needs);
  return { tcp_info: needs.includes("tcp_info"), keepalive: needs.includes("keepalive") };
}

/** What a list says, in lines. */
interface Text {
  readonly lines: readonly string[];
  /** What does not belong to the list itself. */
  readonly remarks: readonly string[];
}

class List {
  readonly #lister: Lister;
  readonly #view: View;
  #looked = false;

  constructor(lister: Lister, view: View) {
    this.#lister = lister;
    this.#view = view;
  }

  async show(): Promise<void> {
    const { format, watch_ms } = this.#view;
    if (format === "nothing") this.#lister.list();
    else if (format === "json") this.#write((listing, ms) => this.#document(listing, ms));
    else if (format === "json-lines" && watch_ms === null) this.#write((listing) => jsonLines(this.#items(listing)));
    else if (format === "json-lines") {
      await repeat(watch_ms!, () => {
        const time = new Date().toISOString();
        return this.#write((listing) => jsonLines(this.#items(listing), { time }));
      });
    } else if (watch_ms === null) this.#print();
    else await watch(watch_ms, () => this.#look(watch_ms));
  }

  close(): void {
    this.#lister.close();
  }

  /** Looks, writes what `write` makes of it and, the first time, what could not be seen. */
  #write(write: (listing: Listing, elapsed_ms: number) => Iterable<string>): boolean {
    const start = performance.now();
    const listing = this.#lister.list();
    const written = writeAll(write(listing, Math.round(performance.now() - start)));
    if (written && !this.#looked) remarksOn(listing).forEach(complain);
    this.#looked = true;
    return written;
  }

  #print(): void {
    const listing = this.#lister.list();
    const text = this.#textOf(listing)(host.isTerminal(1) ? terminalSize().rows : Infinity);
    if (print(text.lines)) text.remarks.forEach(complain);
  }

  #look(watch_ms: number): Picture {
    const listing = this.#lister.list();
    const text = this.#textOf(listing);
    const time = new Date().toTimeString().slice(0, 8);
    const title = `${counted(listing.connections.length)} at ${time}, every ${formatDuration(watch_ms)}`;
    return () => {
      const { lines, remarks } = text(terminalSize().rows - 2);
      return this.#view.summary ? [title, "", ...lines, ...remarks] : [title, ...remarks, "", ...lines];
    };
  }

  /** What there is to say, for any height of a terminal. */
  #textOf(listing: Listing): (height: number) => Text {
    const sysctls = sysctlLines(listing.sysctls ?? []);
    const remarks = remarksOn(listing);
    if (this.#view.summary) {
      const summary = this.#summaryOf(listing);
      return (height) => ({ lines: [...summaryLines(summary, height - sysctls.length), ...sysctls], remarks });
    }
    const { columns, verbose, watch_ms } = this.#view;
    const connections = this.#ordered(listing);
    const around = [...sysctls, ...remarks];
    return (height) => {
      const room = watch_ms === null ? Infinity : Math.max(1, height - around.length - 2);
      const lines = listTable(connections.slice(0, room), columns, verbose);
      const hidden = connections.length - room;
      return { lines: hidden > 0 ? [...lines, `and ${hidden} more`] : lines, remarks: around };
    };
  }

  #summaryOf({ connections }: Listing): Summary {
    return summarise(connections, this.#lister.listening());
  }

  #ordered({ connections }: Listing): readonly Connection[] {
    const { order } = this.#view;
    return order === null ? connections : sortConnections(connections, order);
  }

  #document(listing: Listing, elapsed_ms: number): Iterable<string> {
    const { connections, ...rest } = listing;
    const head = { schema: 1, command: "ls", matched: connections.length, ...rest, elapsed_ms };
    if (!this.#view.summary) return jsonDocument(head, "connections", this.#ordered(listing));
    const { total, groups } = this.#summaryOf(listing);
    return jsonDocument({ ...head, idle_after_ms: IDLE_AFTER_MS, total }, "groups", groups);
  }

  #items(listing: Listing): Iterable<object> {
    return this.#view.summary ? this.#summaryOf(listing).groups : this.#ordered(listing);
  }
}

function counted(connections: number): string {
  return `${connections} connection${connections === 1 ? "" : "s"}`;
}

/** What could not be seen, and why. */
function remarksOn({ connections, unreadable_processes, keepalive_unreadable }: Listing): string[] {
  const remarks: string[] = [];
  if (unreadable_processes > 0 && connections.some(({ owners }) => owners.length === 0)) {
    remarks.push(`${unreadable_processes} processes could not be looked into, so some owners are not shown`);
  }
  const unread = unreadLine(keepalive_unreadable ?? [], connections.length);
  if (unread !== null) remarks.push(unread);
  return remarks;
}
