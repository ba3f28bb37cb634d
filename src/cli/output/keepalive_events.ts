// The events of `tcphup keepalive --watch`, a line each.

import { formatDuration } from "../../model/duration.ts";
import type { KeepaliveResult } from "../../model/result.ts";
import type { WatchMeans } from "../../keepalive/set_options.ts";
import { counted } from "../../model/wording.ts";
import { keepaliveText } from "./columns.ts";
import { endpointText, netnsText, ownersText } from "./connections.ts";
import { jsonLines, rowOf } from "./json.ts";
import { keepaliveOutcome, peerText } from "./keepalive_report.ts";
import { print, warn, write } from "./terminal.ts";
import { Throttle } from "./throttle.ts";

/** Tells whether keepalive was set on a connection, or would be. */
export function isChanged({ outcome }: KeepaliveResult): boolean {
  return outcome === "keepalive-set" || outcome === "would-set-keepalive";
}

/** Says how new connections are set. */
export function meansText({ notAttached, everyMs }: WatchMeans): string {
  const every = `every ${formatDuration(everyMs)}`;
  if (notAttached !== null) return `looking ${every} for new connections: ${notAttached}`;
  return `attached: new connections get it as they are made (BPF); looking ${every} for what that does not reach`;
}

/** The number of warnings that are remembered, to print each once. Processes choose names in them, so memory needs a bound. */
const MAX_REMEMBERED = 1000;

/** The flags that decide what is printed. */
interface EventFormat {
  readonly quiet: boolean;
  readonly json: boolean;
  readonly verbose: boolean;
}

/** Prints each event in a line. Text is throttled, JSON is complete. */
export class EventPrinter {
  readonly #format: EventFormat;
  readonly #warned = new Set<string>();
  readonly #changes = new Throttle(performance.now());
  readonly #warnings = new Throttle(performance.now());

  constructor(format: EventFormat) {
    this.#format = format;
  }

  /** Prints a connection that was looked at. Returns `false` when the reader of standard output has gone. */
  print(result: KeepaliveResult): boolean {
    if (this.#format.json) return write(jsonLines([rowOf(result)], { time: new Date().toISOString() }));
    if (isChanged(result)) {
      return this.#format.quiet || !this.#changes.admits(performance.now()) || print([this.#lineOf(result)]);
    }
    // One line for all connections of a process that fail in the same way.
    this.warnOnce(this.#lineOf(result), `${result.outcome} ${result.message}`);
    return true;
  }

  /** Prints a warning, unless one with this key was printed before. */
  warnOnce(text: string, key = text): void {
    if (this.#warned.has(key)) return;
    if (this.#warned.size >= MAX_REMEMBERED) this.#warned.clear();
    this.#warned.add(key);
    if (this.#warnings.admits(performance.now())) warn(text);
  }

  /** Prints how many lines were left out: now and then, and at the end. */
  printOmitted(isLast = false): void {
    const now = performance.now();
    const changes = this.#changes.takeOmitted(now, isLast);
    const warnings = this.#warnings.takeOmitted(now, isLast);
    if (changes > 0) print([`${counted(changes, "more connection")}, too many to name`]);
    if (warnings > 0) warn(`${counted(warnings, "more warning")}, too many to name`);
  }

  #lineOf(result: KeepaliveResult): string {
    const { connection, before, after } = result;
    const { state, src, netnsName } = connection;
    return [
      ...(netnsName === undefined ? [] : [netnsText(connection)]),
      state,
      endpointText(src),
      peerText(connection),
      ownersText(result, this.#format.verbose),
      ...(before && after ? [`${keepaliveText(before)} → ${keepaliveText(after)}`] : []),
      keepaliveOutcome(result),
    ].join(" ");
  }
}
