// What a selection selects, as `tcphup ls` says.

import { assertEquals } from "@std/assert";
import type { JsonDocument, Row } from "../../src/cli/output/json.ts";
import type { Namespace } from "./namespace.ts";
import { tcphup } from "./tcphup.ts";

/** The connections that a selection selects in a namespace. */
export async function selected(netns: Namespace, selection: readonly string[]): Promise<JsonDocument<Row>[]> {
  return (await tcphup(["ls", ...selection, "--json"], { netns, code: 0 })).json().connections;
}

/** Fails unless a selection selects just the connections with these local ports. */
export async function assertSelects(
  netns: Namespace,
  selection: readonly string[],
  ports: readonly number[],
): Promise<void> {
  const connections = await selected(netns, selection);
  const found = connections.map(({ src }) => src.port);
  const order = (a: number, b: number) => a - b;
  assertEquals(found.sort(order), [...ports].sort(order), `tcphup ls ${selection.join(" ")}`);
}
