// Tables: cells laid out in columns, and connections as rows.

import type { HeldConnection } from "../../model/connection.ts";
import type { HangUpResult } from "../../model/result.ts";
import { parseColumns, type TableColumn, withNetns } from "./columns.ts";
import { outcomeText } from "./connections.ts";
import { escapeControls } from "./terminal.ts";
import { displayWidth } from "./width.ts";

/** The number of rows that are laid out together, so that a long table is never in memory as text. */
const ROWS_PER_BLOCK = 1000;

/**
 * Lays rows out in columns, a block of rows at a time. A column is as wide as its widest cell so far, and the last one is
 * not padded.
 */
export function* renderTable(header: readonly string[], rows: Iterable<readonly string[]>): Generator<string> {
  const widths: number[] = header.map(() => 0);
  let block: string[][] = [];
  const take = (cells: readonly string[]) => {
    const row = cells.map(escapeControls);
    for (let i = 0; i < row.length - 1; i++) widths[i] = Math.max(widths[i]!, displayWidth(row[i]!));
    block.push(row);
  };
  take(header);
  for (const row of rows) {
    take(row);
    if (block.length < ROWS_PER_BLOCK) continue;
    yield* renderRows(block, widths);
    block = [];
  }
  yield* renderRows(block, widths);
}

function* renderRows(rows: readonly (readonly string[])[], widths: readonly number[]): Generator<string> {
  for (const row of rows) {
    let line = "";
    for (let i = 0; i < row.length - 1; i++) line += pad(row[i]!, widths[i]! + 2);
    yield (line + row[row.length - 1]).trimEnd();
  }
}

/** Adds spaces to a text until it takes `width` columns. */
function pad(text: string, width: number): string {
  return text.padEnd(width + text.length - displayWidth(text));
}

/** Lays connections out as rows. */
export function connectionTable<C extends HeldConnection>(
  connections: readonly C[],
  shown: readonly TableColumn<C>[],
  verbose: boolean,
): Generator<string> {
  const rows = connections.values().map((connection) => shown.map((column) => column.text(connection, verbose)));
  return renderTable(shown.map(({ title }) => title), rows);
}

const OUTCOME: TableColumn<HangUpResult> = { name: "outcome", title: "Outcome", text: outcomeText };

/** Lays out what was done, with the network namespaces where there are several. */
export function outcomeTable(results: readonly HangUpResult[], verbose: boolean): Generator<string> {
  const shown = [...parseColumns("state,local,remote,process"), OUTCOME];
  return connectionTable(results, withNetns(shown, results), verbose);
}

/** The usual columns that a narrow terminal can do without, the least important first. */
const DROPPABLE = ["recv-q", "send-q", "timer", "local", "state"];

/** Drops columns until the table fits into `width`, or none is left that a terminal can do without. */
export function fittingTable<C extends HeldConnection>(
  connections: readonly C[],
  shown: readonly TableColumn<C>[],
  verbose: boolean,
  width: number,
): string[] {
  const dropped = DROPPABLE.find((name) => shown.some((column) => column.name === name));
  const lines = [...connectionTable(connections, shown, verbose)];
  const fits = lines.every((line) => displayWidth(line) <= width);
  if (fits || dropped === undefined) return lines;
  return fittingTable(connections, shown.filter(({ name }) => name !== dropped), verbose, width);
}
