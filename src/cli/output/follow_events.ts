// The events of `tcphup follow`, a line each.

import type { FollowEvent } from "../../follow.ts";
import { formatDuration } from "../../model/duration.ts";
import { formatEndpoint } from "../../model/address.ts";
import { counted } from "../../model/wording.ts";
import { jsonLines, rowsOf } from "./json.ts";
import { reportLine } from "./report.ts";
import { outcomeTable } from "./tables.ts";
import { print, warn, write } from "./terminal.ts";
import { Throttle } from "./throttle.ts";

/** What is followed, and the flags that decide what is printed. */
interface FollowFormat {
  readonly names: readonly string[];
  readonly quiet: boolean;
  readonly json: boolean;
  readonly verbose: boolean;
}

/** The number of addresses that a line names. */
const MAX_SHOWN = 10;

/** Prints each event in a line: errors to standard error, and all others to standard output. */
export class FollowPrinter {
  readonly #format: FollowFormat;
  readonly #name: string;
  readonly #changes = new Throttle(performance.now());

  constructor(format: FollowFormat) {
    this.#format = format;
    this.#name = format.names.length === 0 ? "the file" : format.names.join(", ");
  }

  /** Prints an event. Returns `false` when the reader of standard output has gone. */
  print(event: FollowEvent): boolean {
    if (this.#format.json) return write(jsonLines([documentOf(event)], { time: new Date().toISOString() }));
    const trouble = troubleText(event);
    if (trouble !== null) {
      warn(trouble);
      return true;
    }
    if (this.#format.quiet) return true;
    if (event.event === "cut" || event.event === "ended") return print(this.#linesOf(event));
    const now = performance.now();
    const omitted = this.#changes.takeOmitted(now);
    if (omitted > 0 && !print([`${counted(omitted, "more change")}, too many to name`])) return false;
    return !this.#changes.admits(now) || print(this.#linesOf(event));
  }

  #linesOf(event: FollowEvent): string[] {
    switch (event.event) {
      case "started":
        return [`following ${this.#name}: ${addressList(event.live)}`];
      case "changed": {
        const { live, missing } = event;
        const leaving = missing.length > 0 ? `; missing: ${addressList(missing)}` : "";
        return [`${this.#name} has changed: ${addressList(live)}${leaving}`];
      }
      case "left":
        return [`left: ${addressList(event.addresses)}; live: ${addressList(event.live)}`];
      case "returned":
        return [`returned: ${addressList(event.addresses)}`];
      case "connects": {
        const { op, to } = event;
        const place = event.addresses === null ? "elsewhere" : `to ${addressList(event.addresses)}`;
        return [`connects ${place} are ${op === "refuse" ? "refused" : `redirected to ${to.join(" and ")}`}`];
      }
      case "cut": {
        const { addresses, report } = event;
        const table = this.#format.verbose ? outcomeTable(report.results, true) : [];
        return [...table, `${addresses === null ? "elsewhere" : addressList(addresses)}: ${reportLine(report)}`];
      }
      case "ended": {
        const { left, returned, matched, hungUp, destroyed, failed, connects, elapsedMs } = event;
        const cut = destroyed > 0 ? `, hung up on ${hungUp} and destroyed ${destroyed}` : `, hung up on ${hungUp}`;
        const failures = failed > 0 ? `, ${failed} failed` : "";
        const steered = connects > 0 ? `, kept ${counted(connects, "connect")} away` : "";
        return [
          `followed for ${formatDuration(elapsedMs)}: ${counted(left, "departure")}, ` +
          `${counted(returned, "return")}${cut} of ${counted(matched, "connection")}${failures}${steered}`,
        ];
      }
      default:
        return [];
    }
  }
}

function documentOf(event: FollowEvent): object {
  if (event.event !== "cut") return event;
  const { results, ...report } = event.report;
  return { ...event, report: { ...report, connections: [...rowsOf(results)] } };
}

/** Words an event that tells of trouble, or of its end; null for any other. */
function troubleText(event: FollowEvent): string | null {
  switch (event.event) {
    case "cannot-resolve":
      return `cannot resolve ${event.name}: ${event.reason}; its addresses stay as they were`;
    case "resolves-again":
      return `resolves again: ${event.name}`;
    case "cannot-look":
      return `cannot hang up now: ${event.reason}`;
    case "looks-again":
      return "can hang up again";
    case "waiting": {
      const { live, port, matched } = event;
      const where = live.slice(0, MAX_SHOWN).map((address) => formatEndpoint(address, port)).join(", ");
      return `waiting with ${counted(matched, "connection")}: ${where} does not accept a connection yet`;
    }
    default:
      return null;
  }
}

function addressList(addresses: readonly string[]): string {
  const more = addresses.length > MAX_SHOWN ? ` and ${addresses.length - MAX_SHOWN} more` : "";
  return addresses.slice(0, MAX_SHOWN).join(", ") + more;
}
