// What a selection selects, as `tcphup ls` says.

import { assertEquals } from "@std/assert";
import type { JsonDocument, Row } from "../../src/cli/output/json.ts";
import type { Namespace, SpawnOptions } from "./namespace.ts";
import { assertExit } from "./scene.ts";
import { tcphup } from "./tcphup.ts";

export interface SelectedOptions extends SpawnOptions {
  /** The exit code that is expected. */
  code?: number;
}

/** The connections that a selection selects in a namespace. */
export async function selected(
  netns: Namespace,
  selection: readonly string[],
  { code = 0, ...options }: SelectedOptions = {},
): Promise<JsonDocument<Row>[]> {
  const run = await tcphup(["ls", ...selection, "--json"], { netns, ...options });
  assertExit(run, code);
  return run.json().connections;
}

/** Fails unless a selection selects just the connections with these local ports. */
export async function assertSelects(
  netns: Namespace,
  selection: readonly string[],
  ports: readonly number[],
  options: SelectedOptions = {},
): Promise<void> {
  const connections = await selected(netns, selection, options);
  const found = connections.map(({ src }) => src.port);
  const order = (a: number, b: number) => a - b;
  assertEquals(found.sort(order), [...ports].sort(order), `tcphup ls ${selection.join(" ")}`);
}
