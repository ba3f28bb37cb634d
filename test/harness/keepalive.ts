// What tcphup keepalive reports, and what ss(8) says of the same sockets.

import { assert, assertEquals } from "@std/assert";
import type { JsonDocument } from "../../src/cli/output/json.ts";
import type { Keepalive } from "../../src/model/connection.ts";
import type { KeepaliveReport } from "../../src/report/report.ts";
import type { Namespace } from "./namespace.ts";
import { type Run, tcphup, type TcphupOptions } from "./tcphup.ts";

/** What tcphup sets when nothing else is said: libkeepalive's values. */
export const DEFAULTS: JsonDocument<Keepalive> = {
  enabled: true,
  idle_s: 15,
  interval_s: 15,
  count: 9,
  user_timeout_ms: 150_000,
};

/** What a socket has that nobody has touched. */
export const UNTOUCHED: JsonDocument<Keepalive> = {
  enabled: false,
  idle_s: 7200,
  interval_s: 75,
  count: 9,
  user_timeout_ms: 0,
};

/** Runs `tcphup keepalive --json`, which has to succeed unless another exit status is expected. */
export async function keepalive(
  args: readonly string[],
  options: TcphupOptions,
): Promise<JsonDocument<KeepaliveReport>> {
  return reportOf(await tcphup(["keepalive", ...args, "--json"], { code: 0, ...options }));
}

/** The document, whose counts have to add up. */
export function reportOf(run: Run): JsonDocument<KeepaliveReport> {
  const report = run.json<KeepaliveReport>();
  const { matched, keepalive_set, unchanged, already_gone, skipped, failed, would_act = 0, connections } = report;
  assertEquals(keepalive_set + unchanged + already_gone + skipped + failed + would_act, matched);
  assertEquals(connections.length, matched);
  return report;
}

/** How often each outcome occurs. */
export function outcomes({ connections }: Pick<JsonDocument<KeepaliveReport>, "connections">): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { outcome } of connections) counts[outcome!] = (counts[outcome!] ?? 0) + 1;
  return counts;
}

/**
 * Seconds until the keepalive timer of each socket fires that `ss -tno` lists with these arguments; null for one without.
 * Throws when it lists none.
 */
export async function keepaliveTimers(netns: Namespace, ...filter: string[]): Promise<(number | null)[]> {
  const sockets = await netns.ss("-o", ...filter);
  assert(sockets.length > 0, `ss lists nothing for ${filter.join(" ")}`);
  return sockets.map((line) => {
    const [, text] = /timer:\(keepalive,([^,]*),/.exec(line) ?? [];
    return text === undefined ? null : secondsOf(text);
  });
}

/** A time as ss writes it: `4min59sec`, `14sec`, `450ms`, and `2.104ms` for 2.104 s. */
function secondsOf(text: string): number {
  const [, minutes = "0", seconds = "0", rest] = /^(?:(\d+)min)?(?:(\d+)sec)?(?:([\d.]+)ms)?$/.exec(text)!;
  const fraction = rest === undefined ? 0 : rest.includes(".") ? Number(rest) : Number(rest) / 1000;
  return Number(minutes) * 60 + Number(seconds) + fraction;
}
