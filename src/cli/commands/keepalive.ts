// The command `tcphup keepalive`.

import { sleep } from "../../../ffi/sleep.ts";
import type { AttachedKeepalive } from "../../attach_keepalive.ts";
import { unanswered } from "../../front/journal.ts";
import type { DestinationCount } from "../../model/destination_count.ts";
import { resolveValues } from "../../keepalive/values.ts";
import { keepaliveSysctls } from "../../socket/keepalive_read.ts";
import type { Selection } from "../../select/selection.ts";
import type { SetKeepaliveOptions, WatchKeepaliveOptions, WatchMeans } from "../../keepalive/set_options.ts";
import type { KeepaliveReport } from "../../report/report.ts";
import { setKeepalive, watchKeepalive } from "../../set_keepalive.ts";
import { type Arguments, refuseTogether, watchInterval } from "../flags/arguments.ts";
import { EventPrinter, isChanged, meansText } from "../output/keepalive_events.ts";
import type { AttachedDocument } from "../output/documents.ts";
import { attachedLine, destinationLines, groupsText } from "../output/pinned.ts";
import { keepaliveReportLine, keepaliveTable } from "../output/keepalive_report.ts";
import { withoutInterrupted } from "../output/report.ts";
import { DONE, exitCode, FAILED } from "../flags/exit_codes.ts";
import { onInterrupt } from "./interrupt.ts";
import { jsonLines, jsonReport, rowsOf } from "../output/json.ts";
import { givenValues, noEffectWarnings } from "../flags/keepalive_values.ts";
import { ProgressLine } from "../output/progress.ts";
import { selectionOf } from "../flags/selection.ts";
import { UsageError } from "../../model/errors.ts";
import { printTimings } from "../output/timings.ts";
import { print, style, warn, write } from "../output/terminal.ts";

/** The time between two looks whether the control groups of --attach are still there. */
const LOOK_MS = 1000;

/** Sets keepalive, once or with --watch or --attach until an interrupt. Returns the exit code. */
export async function keepalive(args: Arguments): Promise<number> {
  checkConflicts(args);
  const everyMs = watchInterval(args, undefined);
  const selection = selectionOf(args);
  const options = optionsOf(args);
  const interrupt = new AbortController();
  const restore = onInterrupt(() => interrupt.abort());
  const progress = new ProgressLine();
  try {
    const { signal } = interrupt;
    if (everyMs !== null) return await watch(args, selection, { ...options, everyMs, signal });
    if (!args.has("quiet")) progress.showSearch();
    if (isAttaching(args)) return await attach(args, selection, { ...options, signal }, progress);
    const report = await setKeepalive(selection, { ...options, signal });
    progress.clear();
    show(report, args);
    return exitCode(report);
  } finally {
    progress.clear();
    restore();
  }
}

/** Tells whether a program is to be attached: --pin means that as well. */
function isAttaching(args: Arguments): boolean {
  return args.has("attach") || args.given("pin");
}

function checkConflicts(args: Arguments): void {
  refuseTogether(args, "json", "json-lines", "one document, or an object a line");
  refuseTogether(args, "watch", "json", "--json-lines prints again and again");
  for (const name of ["attach", "pin"]) {
    refuseTogether(args, name, "watch", "what is attached needs no looking again");
    refuseTogether(args, name, "no-bpf", "it is done with BPF");
    refuseTogether(args, name, "defer-accept", "it is for listeners, and sets nothing as a connection is made");
  }
  refuseTogether(args, "listeners", "outgoing", "those that are accepted, or those that are not");
  for (const name of ["outgoing", "only-new"]) {
    if (args.has(name) && !isAttaching(args)) throw new UsageError(`Option --${name} needs --attach`);
  }
}

function optionsOf(args: Arguments): SetKeepaliveOptions {
  const off = args.has("off");
  const listeners = args.has("listeners");
  const given = givenValues(args);
  if (!off && !args.has("quiet")) {
    const { values, warnings } = resolveValues(given, {}, keepaliveSysctls()?.tcpKeepaliveTime);
    const unfelt = isAttaching(args) ? [] : noEffectWarnings(values, listeners);
    [...warnings, ...unfelt].forEach(warn);
  }
  return {
    values: given,
    off,
    listeners,
    onlyMissing: args.has("only-missing"),
    dryRun: args.has("dry-run"),
  };
}

/** Attaches, sets what is open and, unless it is pinned, waits for an interrupt. Returns the exit code. */
async function attach(
  args: Arguments,
  selection: Selection,
  { listeners, ...options }: SetKeepaliveOptions & { signal: AbortSignal },
  progress: ProgressLine,
): Promise<number> {
  const pin = args.value("pin");
  const direction = listeners ? "accepted" : args.has("outgoing") ? "outgoing" : undefined;
  const onlyNew = args.has("only-new");
  const counts = pin !== undefined || args.has("json") || args.has("verbose");
  const { attachKeepalive } = await import("../../attach_keepalive.ts");
  const attached = await attachKeepalive(selection, options, { direction, pin, onlyNew, counts });
  progress.clear();
  const isLasting = pin === undefined && !options.dryRun && !attached.report.interrupted;
  // A document is written once, when everything is known. A list is shown before what comes later.
  const comesLast = args.has("json") && isLasting;
  const isText = !args.has("json") && !args.has("json-lines");
  // Of no connections there is nothing to tell.
  if (onlyNew && isText) attached.report.incomplete.forEach(warn);
  else if (!comesLast) show(attached.report, args, { attached: describe(attached, pin) });
  if (isText && !args.has("quiet")) {
    print([attachedLine(attached.settings, { pin, onlyNew, dryRun: options.dryRun ?? false })]);
  }
  if (!isLasting) {
    attached.close();
    return exitCode(attached.report);
  }
  const isWhole = await waitForInterrupt(attached, options.signal);
  if (comesLast) show(attached.report, args, { attached: describe(attached, pin) });
  else if (args.has("verbose") && !args.has("quiet")) print(destinationLines(attached.counters()));
  attached.close();
  if (isWhole) return DONE;
  warn(`${groupsText(attached.settings.cgroups)} has gone, and what was attached with it`);
  return FAILED;
}

function describe({ settings, counters }: AttachedKeepalive, pin: string | undefined): AttachedDocument {
  return { name: pin ?? null, ...settings, counters: counters() };
}

/** Returns false when nothing is attached any more before there is an interrupt. */
async function waitForInterrupt(attached: AttachedKeepalive, signal: AbortSignal): Promise<boolean> {
  while (!signal.aborted) {
    if (!attached.isAttached) return false;
    await sleep(LOOK_MS, signal);
  }
  return true;
}

/** @param more Further keys of the JSON document. */
function show(report: KeepaliveReport, args: Arguments, more: object = {}): void {
  const { results, ...head } = { ...report, ...more };
  [...report.unanswered, ...report.incomplete].forEach(warn);
  if (args.has("json")) {
    write(jsonReport(head, results));
  } else if (args.has("json-lines")) {
    write(jsonLines(rowsOf(results)));
  } else if (args.has("quiet")) {
    if (exitCode(report) !== DONE) warn(keepaliveReportLine(report));
  } else {
    const shown = withoutInterrupted(results);
    if (shown.length > 0) print(keepaliveTable(shown, args.has("verbose")));
    print([keepaliveReportLine(report)]);
  }
  if (args.has("verbose") && !args.has("quiet")) printTimings(report);
}

/** Sets keepalive on new connections until an interrupt, or until the reader of standard output goes. Neither is a failure. */
async function watch(args: Arguments, selection: Selection, options: WatchKeepaliveOptions): Promise<number> {
  let [looks, changes] = [0, 0];
  const [isQuiet, isVerbose, isText] = [args.has("quiet"), args.has("verbose"), !args.has("json-lines")];
  const printer = new EventPrinter({ quiet: isQuiet, json: !isText, verbose: isVerbose });
  for (const text of unanswered()) printer.warnOnce(text);
  const onRound = (incomplete: readonly string[]) => {
    looks++;
    for (const text of incomplete) printer.warnOnce(text);
    printer.printOmitted();
  };
  const onStart = (means: WatchMeans) => {
    if (!isQuiet && (means.notAttached === null || isVerbose)) warn(style("faint", meansText(means)));
  };
  let counters: readonly DestinationCount[] = [];
  const onEnd = (last: readonly DestinationCount[]) => counters = last;
  const isCounted = isVerbose && isText && !isQuiet;
  const callbacks = { onStart, onRound, onWarning: warn, ...isCounted ? { onEnd } : {} };
  for await (const result of watchKeepalive(selection, { ...options, attach: true, ...callbacks })) {
    if (isChanged(result)) changes++;
    if (!printer.print(result)) break;
  }
  printer.printOmitted(true);
  if (isVerbose) warn(style("faint", `looked ${looks} times, set keepalive on ${changes}`));
  if (isCounted) print(destinationLines(counters));
  return DONE;
}
