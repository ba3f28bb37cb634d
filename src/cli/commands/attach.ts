// The command `tcphup keepalive --attach`.

import { sleep } from "../../../ffi/sleep.ts";
import { type AttachedKeepalive, attachKeepalive, type AttachOptions } from "../../attach_keepalive.ts";
import type { Selection } from "../../select/selection.ts";
import type { SetKeepaliveOptions } from "../../keepalive/set_options.ts";
import type { KeepaliveReport } from "../../report/report.ts";
import type { Arguments } from "../flags/arguments.ts";
import { DONE, exitCode, FAILED } from "../flags/exit_codes.ts";
import type { AttachedDocument } from "../output/documents.ts";
import { attachedLine, destinationLines, groupsText } from "../output/pinned.ts";
import { ProgressLine } from "../output/progress.ts";
import { print, warn } from "../output/terminal.ts";
import { onInterrupt } from "./interrupt.ts";

/** The time between two looks whether the control groups are still there. */
const LOOK_MS = 1000;

/** Shows a report, with further keys where it is a JSON document. */
type Show = (report: KeepaliveReport, args: Arguments, more?: object) => void;

/** Attaches, sets what is open and, unless it is pinned, waits for an interrupt. Returns the exit code. */
export async function attach(
  selection: Selection,
  { listeners, ...options }: SetKeepaliveOptions,
  args: Arguments,
  show: Show,
): Promise<number> {
  const pin = args.value("pin");
  const direction = listeners ? "accepted" : args.has("outgoing") ? "outgoing" : undefined;
  const interrupt = new AbortController();
  const restore = onInterrupt(() => interrupt.abort());
  const { signal } = interrupt;
  try {
    const onlyNew = args.has("only-new");
    const counts = pin !== undefined || args.has("json") || args.has("verbose");
    const attached = await attachVisibly(selection, { ...options, signal }, { direction, pin, onlyNew, counts }, args);
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
    const isWhole = await waitForInterrupt(attached, signal);
    if (comesLast) show(attached.report, args, { attached: describe(attached, pin) });
    else if (args.has("verbose") && !args.has("quiet")) print(destinationLines(attached.counters()));
    attached.close();
    if (isWhole) return DONE;
    warn(`${groupsText(attached.settings.cgroups)} has gone, and what was attached with it`);
    return FAILED;
  } finally {
    restore();
  }
}

async function attachVisibly(
  selection: Selection,
  options: SetKeepaliveOptions,
  attach: AttachOptions,
  args: Arguments,
): Promise<AttachedKeepalive> {
  const progress = new ProgressLine();
  try {
    if (!args.has("quiet")) progress.showSearch();
    return await attachKeepalive(selection, options, attach);
  } finally {
    progress.clear();
  }
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
