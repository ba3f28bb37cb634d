// The flags of `tcphup ls` that choose what is shown of connections.

import { host } from "../../../ffi/deno.ts";
import { DEFAULT_EVERY_MS } from "../../keepalive/set_options.ts";
import type { ListConnectionsOptions } from "../../list.ts";
import { UsageError } from "../../model/errors.ts";
import { type Arguments, refuseTogether, watchInterval } from "../flags/arguments.ts";
import { type Column, type Order, parseColumns, parseOrder } from "../output/columns.ts";
import { supportsEscapes } from "../output/terminal.ts";

/** The content and the format of a list. */
export interface View {
  readonly format: "text" | "json" | "json-lines" | "nothing";
  readonly summary: boolean;
  readonly columns: readonly Column[];
  /** Adds the column of the network namespace where there are several. */
  readonly addsNetns: boolean;
  /** Drops columns that do not fit on the terminal. */
  readonly dropsColumns: boolean;
  readonly order: Order | null;
  readonly verbose: boolean;
  /** The interval of --watch in milliseconds; null to list once. */
  readonly watchMs: number | null;
}

/**
 * Returns what the flags ask to show.
 *
 * @throws {UsageError} For an unknown column, flags that contradict each other, and --watch without a terminal.
 */
export function viewOf(args: Arguments): View {
  refuseTogether(args, "json", "json-lines", "one document, or an object a line");
  for (const other of ["json", "json-lines", "summary"]) {
    refuseTogether(args, "columns", other, "columns are the table's");
  }
  refuseTogether(args, "sort", "summary", "a summary begins with the largest group");
  refuseTogether(args, "watch", "json", "--json-lines prints again and again");
  if (!args.has("json-lines")) refuseTogether(args, "watch", "quiet", "there would be nothing to see");
  const watchMs = watchInterval(args, DEFAULT_EVERY_MS);
  if (watchMs !== null && !args.has("json-lines")) checkScreen();
  const order = args.value("sort");
  return {
    format: formatOf(args),
    summary: args.has("summary"),
    columns: parseColumns(args.value("columns"), args.has("keepalive")),
    addsNetns: args.value("columns")?.startsWith("+") ?? true,
    dropsColumns: watchMs !== null && args.value("columns") === undefined,
    order: order === undefined ? null : parseOrder(order),
    verbose: args.has("verbose"),
    watchMs,
  };
}

function checkScreen(): void {
  if (!host.isTerminal(1)) {
    throw new UsageError("Option --watch shows the list on a terminal: add --json-lines to write to a file or a pipe");
  }
  if (supportsEscapes(1)) return;
  const type = host.terminalType === "" ? "unset" : `"${host.terminalType}"`;
  throw new UsageError(`Option --watch needs a terminal that can be cleared, and TERM is ${type}: add --json-lines`);
}

function formatOf(args: Arguments): View["format"] {
  if (args.has("json")) return "json";
  if (args.has("json-lines")) return "json-lines";
  return args.has("quiet") ? "nothing" : "text";
}

/** Returns what the listing has to read. Each part costs system calls, so only what is shown is read. */
export function listOptions({ format, summary, columns, order }: View): ListConnectionsOptions {
  if (format === "nothing") return {};
  if (format !== "text" || summary) return { tcpInfo: true, keepalive: true };
  const needs = [...columns, ...(order ? [order.column] : [])].map((column) => column.needs);
  return { tcpInfo: needs.includes("tcpInfo"), keepalive: needs.includes("keepalive") };
}
