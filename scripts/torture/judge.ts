// Whether what a command said of the connections is what their holders saw.

import { type JsonDocument, jsonText, type Row } from "../../src/cli/output/json.ts";
import type { KeepaliveSettings } from "../../src/model/connection.ts";
import { DONE, exitCode, FAILED, type Result, UNABLE } from "../../src/cli/flags/exit_codes.ts";
import type { Outcome } from "../../src/model/result.ts";
import { countOutcomes } from "../../src/report/report.ts";
import { LAUNCHED_STATUS, selects, type Tortured, WANTED } from "./commands.ts";
import type { Ended, Seen, View } from "./world.ts";

/** What was done to a command while it ran. */
export interface Circumstances {
  /** The system call that was made to fail, if any, and how. */
  readonly injected?: { readonly syscall: string; readonly errno: string };
  /** The signal that it was sent, if any. */
  readonly signal?: Deno.Signal;
  /** Whether it had time enough before that. */
  readonly unhurried?: boolean;
}

type Report = JsonDocument<Omit<Result, "results"> & { connections: readonly Row[] }>;

/** The rows of a command that acts: each has an outcome. */
function resultsIn(rows: Report["connections"]): { outcome: Outcome }[] {
  return rows as { outcome: Outcome }[];
}

/** Errors that pass: who goes on for long tries again. */
const PASSING: readonly string[] = ["EINTR", "EAGAIN", "ENOMEM", "EMFILE", "ENFILE", "ENOBUFS"];

/** Errors by which the kernel says that a connection, or its holder, is none any more: who believes it is not to blame. */
const SAYS_GONE: readonly string[] = [
  "shutdown:ENOTCONN",
  "getpeername:ENOTCONN",
  "getsockname:ENOTCONN",
  "pidfd_open:ESRCH",
  "pidfd_getfd:ESRCH",
  "pidfd_getfd:EBADF",
];

/** What is wrong, each in one line; empty when nothing is. */
export function judge(command: Tortured, ended: Ended, before: View, after: View, how: Circumstances = {}): string[] {
  const trial = new Trial(command, ended, before, after, how);
  return [...manners(ended, how.signal), ...trial.bystanders(), ...trial.verdict()];
}

/** What no command may do whatever happens. */
export function manners({ hung, stderr, signal }: Ended, sent?: Deno.Signal): string[] {
  const wrong = hung ? ["it did not end"] : [];
  if (signal !== null && signal !== sent && !hung) wrong.push(`it was ended by ${signal}`);
  if (/^\s+at |Error:|file:\/\/|panicked|RUST_BACKTRACE|Maximum call stack/m.test(stderr)) {
    wrong.push(`a stack trace: ${stderr}`);
  }
  return wrong;
}

/** What is wrong after a command was killed, which left it no time to say anything. */
export function judgeKilled(command: Tortured, before: View, after: View): string[] {
  const trial = new Trial(command, null, before, after, {});
  return [...trial.bystanders(), ...trial.halves()];
}

/** What is not as it was when the command had just ended. */
export function changesSince(earlier: View, later: View): string[] {
  const old = new Map(earlier.pairs.map((seen) => [nameOf(seen), seen]));
  return later.pairs.flatMap((seen) => {
    const { end, client } = old.get(nameOf(seen))!;
    return end === seen.end && same(client, seen.client) ? [] : [`${nameOf(seen)} changed after the command had ended`];
  });
}

class Trial {
  readonly #command: Tortured;
  readonly #ended: Ended;
  readonly #how: Circumstances;
  readonly #before: Map<string, Seen>;
  readonly #after: View;
  readonly #listeners: readonly JsonDocument<KeepaliveSettings>[];

  constructor(command: Tortured, ended: Ended | null, before: View, after: View, how: Circumstances) {
    this.#command = command;
    this.#ended = ended ?? { code: 0, signal: null, stdout: "", stderr: "", hung: false };
    this.#how = how;
    this.#before = new Map(before.pairs.map((seen) => [nameOf(seen), seen]));
    this.#listeners = before.listeners;
    this.#after = after;
  }

  /** What was not selected is as it was. */
  bystanders(): string[] {
    const wrong = this.#after.pairs.flatMap((seen) => {
      if (this.#isSelected(seen)) {
        return same(seen.server, this.#was(seen).server) ? [] : [`${nameOf(seen)}: peer changed`];
      }
      return this.#isUntouched(seen) ? [] : [`bystander ${nameOf(seen)} ${stateOf(seen)}`];
    });
    if (!same(this.#listeners, this.#after.listeners)) wrong.push("a listener changed");
    return wrong;
  }

  /** What is selected lives as it was, has all that was to be set, or has been cut. */
  halves(): string[] {
    return this.#selected().flatMap((seen) => {
      const { does } = this.#command;
      if (this.#isUntouched(seen) || (does === "cut" && seen.end !== null)) return [];
      return this.#isHarmless(seen) ? [] : [`${nameOf(seen)} is left half-set: ${stateOf(seen)}`];
    });
  }

  /** Whether what was set by the time of a kill does no harm: nothing without SO_KEEPALIVE, and no user timeout before it. */
  #isHarmless(seen: Seen): boolean {
    if (this.#command.does !== "set" || seen.end !== null) return false;
    const { enabled, user_timeout_ms } = seen.client;
    const was = this.#was(seen).client.user_timeout_ms;
    if (!enabled) return user_timeout_ms === was;
    return includes({ ...seen.client, user_timeout_ms: WANTED.user_timeout_ms }, WANTED) &&
      (user_timeout_ms === was || user_timeout_ms === WANTED.user_timeout_ms);
  }

  verdict(): string[] {
    const { does, launches, endless } = this.#command;
    if (this.#ended.hung) return [];
    if (launches) return [...this.#untouched(), ...this.#launched()];
    if (does === "nothing") return [...this.#untouched(), ...this.#exit(DONE, FAILED, UNABLE)];
    if (endless) return this.#watched();
    const report = this.#report();
    return report === null ? this.#withoutReport() : this.#withReport(report);
  }

  #report(): Report | null {
    try {
      return JSON.parse(this.#ended.stdout);
    } catch {
      return null;
    }
  }

  #withoutReport(): string[] {
    const { code, signal, stderr, stdout } = this.#ended;
    // What could not be written cannot be read.
    if (this.#how.injected?.syscall === "write") return this.halves();
    if (signal !== null) return this.halves();
    const wrong = this.#exit(FAILED, UNABLE);
    if (stderr.trim() === "") wrong.push(`exit ${code} without a word, and ${JSON.stringify(stdout.slice(0, 80))}`);
    return [...wrong, ...this.#untouched().map((text) => `no report, but ${text}; it said ${stderr.trim()}`)];
  }

  #withReport(report: Report): string[] {
    const reported = new Map(report.connections.map((connection) => [keyOf(connection), connection]));
    const wrong = this.#selected().flatMap((seen) => {
      const connection = reported.get(nameOf(seen));
      if (connection !== undefined) return this.#isTrue(connection, seen);
      return this.#isUntouched(seen) ? [] : [`${nameOf(seen)} ${stateOf(seen)}, which the report leaves out`];
    });
    return [...wrong, ...this.#adds(report, reported), ...this.#fits(report, reported)];
  }

  #adds({ connections, ...report }: Report, reported: ReadonlyMap<string, JsonDocument<Row>>): string[] {
    const names = new Set(this.#selected().map(nameOf));
    const strange = [...reported.keys()].filter((name) => !names.has(name)).map((name) => `${name} is reported`);
    if (this.#command.does === "list") return strange;
    const own = this.#command.does === "cut"
      ? ["hungUp", "destroyed"] as const
      : ["keepaliveSet", "unchanged"] as const;
    const counts = Object.entries(JSON.parse(jsonText(countOutcomes(resultsIn(connections), own))));
    const wrong = counts.filter(([name, count]) => (report as Record<string, unknown>)[name] !== count);
    return [...strange, ...wrong.map(([name, count]) => `the report does not count ${count} as ${name}`)];
  }

  /** Whether the exit code says what the report says, and a good one is deserved. */
  #fits(report: Report, reported: ReadonlyMap<string, JsonDocument<Row>>): string[] {
    const { code, stderr } = this.#ended;
    const wrong: string[] = [];
    if (this.#how.injected?.syscall !== "write") {
      if (this.#command.does === "list") wrong.push(...this.#exit(DONE, FAILED, UNABLE));
      else {wrong.push(
          ...this.#exit(exitCode({
            ...report,
            maxReached: report.max_reached,
            incomplete: report.unseen,
            results: resultsIn(report.connections),
          })),
        );}
    }
    if (code === UNABLE) wrong.push(...this.#untouched().map((text) => `exit ${UNABLE}, but ${text}`));
    const missed = this.#selected().find((seen) => !reported.has(nameOf(seen)));
    if (code === DONE && missed !== undefined) wrong.push(`exit 0, but ${nameOf(missed)} is not reported: ${stderr}`);
    return wrong;
  }

  /** Whether one outcome is true. */
  #isTrue({ outcome, error, after, keepalive }: JsonDocument<Row>, seen: Seen): string[] {
    const told = `${nameOf(seen)} is reported ${outcome}${error ? ` (${error})` : ""}, and ${stateOf(seen)}`;
    const lie = (isTrue: boolean) => isTrue ? [] : [told];
    const cut = seen.end !== null;
    if (after && !cut && !includes(seen.client, after)) return [`${told}; after is ${JSON.stringify(after)}`];
    switch (outcome) {
      case "hung-up":
      case "lingering":
        // A process that was killed right after it had aborted one has not noted that.
        return lie(seen.end === "EOF" || (cut && this.#command.escalates === true && this.#how.signal === "SIGKILL"));
      case "destroyed":
        return lie(cut);
      case "already-gone":
        return lie(cut || (this.#isUntouched(seen) && this.#saysGone()));
      case "keepalive-set":
      case "unchanged":
        return lie(!cut && includes(seen.client, WANTED));
      case null:
        return lie(this.#isUntouched(seen) && (!keepalive || includes(seen.client, keepalive)));
      default:
        // What keepalive could set only in part is told by `after`.
        return lie(this.#isUntouched(seen) || this.#mayFailHalfWay(cut, after) || this.#wasKilledAt(seen));
    }
  }

  #wasKilledAt(seen: Seen): boolean {
    return this.#how.signal === "SIGKILL" && this.#isHarmless(seen);
  }

  #mayFailHalfWay(cut: boolean, after: JsonDocument<Row>["after"]): boolean {
    return cut ? this.#command.escalates === true : this.#command.does === "set" && after !== undefined;
  }

  #saysGone(): boolean {
    const { injected } = this.#how;
    return injected !== undefined && SAYS_GONE.includes(`${injected.syscall}:${injected.errno}`);
  }

  /** A watch that was interrupted in the end, or that ended before. */
  #watched(): string[] {
    const lines = this.#ended.stdout.split("\n").filter((line) => line !== "");
    const told: JsonDocument<Row>[] = lines.map((line) => JSON.parse(line));
    const isTold = (seen: Seen) => told.some((connection) => keyOf(connection) === nameOf(seen));
    const set = new Set(told.filter(({ outcome }) => outcome === "keepalive-set").map(keyOf));
    const selected = this.#selected();
    const wrong = selected.filter((seen) => set.has(nameOf(seen)) && !includes(seen.client, WANTED))
      .map((seen) => `${nameOf(seen)} is said to be set, and ${stateOf(seen)}`);
    // What could not be written, or not any more, cannot be read.
    const isMute = this.#ended.signal !== null || this.#ended.stderr.includes("was killed by signal");
    if (this.#how.injected?.syscall === "write" || isMute) return [...wrong, ...this.halves()];
    const untold = selected.filter((seen) => !this.#isUntouched(seen) && !isTold(seen));
    wrong.push(...untold.map((seen) => `${nameOf(seen)} ${stateOf(seen)}, which was not told`));
    const passes = PASSING.includes(this.#how.injected?.errno ?? "");
    if (this.#how.signal === undefined) {
      // What fails at the start may end it; what passes may not later on.
      if (told.length > 0 && passes) wrong.push(`the watch ended by itself: ${this.#ended.stderr.trim()}`);
      return [...wrong, ...this.#exit(FAILED, UNABLE)];
    }
    if (this.#how.unhurried) {
      const left = selected.filter((seen) => !includes(seen.client, WANTED) && (passes || !isTold(seen)));
      wrong.push(...left.map((seen) => `${nameOf(seen)} was never set: ${this.#ended.stderr.trim()}`));
    }
    // It may have ended by itself when the signal came.
    return [...wrong, ...this.#exit(DONE, ...(this.#how.injected && !passes ? [FAILED, UNABLE] : []))];
  }

  #launched(): string[] {
    const { stdout, stderr, code } = this.#ended;
    // Who sets the values is said in any case.
    const complaints = stderr.replace(/^tcphup: the values are set by .*\n/m, "").trim();
    if (stdout === "") {
      const wrong = code === 0 || code === LAUNCHED_STATUS ? [`exit ${code}, but nothing ran`] : [];
      if (complaints === "") wrong.push(`exit ${code} without a word`);
      return wrong;
    }
    const { errors, unset } = JSON.parse(stdout);
    const wrong = this.#exit(LAUNCHED_STATUS);
    if (errors.length > 0) wrong.push(`connect(2) failed with ${errors.join(", ")}: ${complaints}`);
    if (unset > 0 && complaints === "" && !this.#saysGone()) {
      wrong.push(`keepalive is off on ${unset}, and nobody said so`);
    }
    return wrong;
  }

  #exit(...right: readonly number[]): string[] {
    const { code, stderr, signal } = this.#ended;
    if (right.includes(code) || signal !== null) return [];
    return [`exit ${code} instead of ${right.join(" or ")}: ${stderr.trim()}`];
  }

  /** What was selected and is not as it was. */
  #untouched(): string[] {
    return this.#selected().filter((seen) => !this.#isUntouched(seen)).map((seen) =>
      `${nameOf(seen)} ${stateOf(seen)}`
    );
  }

  #selected(): Seen[] {
    return this.#after.pairs.filter((seen) => this.#isSelected(seen));
  }

  #isSelected({ address, dport }: Seen): boolean {
    return selects(this.#command, address, dport);
  }

  #was(seen: Seen): Seen {
    return this.#before.get(nameOf(seen))!;
  }

  #isUntouched(seen: Seen): boolean {
    const { client, server } = this.#was(seen);
    return seen.end === null && same(seen.client, client) && same(seen.server, server);
  }
}

function nameOf({ address, dport, port }: Seen): string {
  return `${port}>${address}:${dport}`;
}

function keyOf({ src, dst }: Pick<Row, "src" | "dst">): string {
  return `${src.port}>${dst.address}:${dst.port}`;
}

function stateOf({ end, client }: Seen): string {
  return end === null ? `lives with ${JSON.stringify(client)}` : `ended with ${end}`;
}

function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** Whether a socket has these values. What could not be read, null, may be anything. */
function includes(has: JsonDocument<KeepaliveSettings>, values: Partial<JsonDocument<KeepaliveSettings>>): boolean {
  const names = Object.keys(has) as (keyof JsonDocument<KeepaliveSettings>)[];
  return names.every((name) => (values[name] ?? has[name]) === has[name]);
}
