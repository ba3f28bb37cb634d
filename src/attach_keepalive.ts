// Sets keepalive on open connections, and in the kernel on each connection that is made from then on.

import { reportNone, setOnce } from "./act/keepalive_rounds.ts";
import { cgroupsOf, explainPartialRoot } from "./attach/attachment.ts";
import { type AttachedSettings, KeepaliveAttachment } from "./attach/keepalive_attachment.ts";
import { findSamePin, removePin, SETTINGS_SCHEMA } from "./bpf/pins.ts";
import type { Direction } from "./model/connection.ts";
import type { DestinationCount } from "./model/destination_count.ts";
import { givenCriteria, type Selection } from "./select/selection.ts";
import { compileWithListeners } from "./select/listeners.ts";
import { requireTellable } from "./attach/tellable.ts";
import { desiredKeepalive, type SetKeepaliveOptions, validateKeepaliveOptions } from "./keepalive/set_options.ts";
import type { KeepaliveReport } from "./report/report.ts";

/** What concerns the program alone. */
export interface AttachOptions {
  /** Only the connections that this host opens, or only those that it accepts. */
  readonly direction?: Direction;
  /**
   * A name under which the program stays attached beyond the end of this process, until `unpin`. It takes a
   * bpffs, and one control group.
   */
  readonly pin?: string;
  /** Leaves the connections that are open already alone, which takes no rights beyond those to attach. */
  readonly onlyNew?: boolean;
  /** Counts connections by destination, as is always done for a pin. */
  readonly counts?: boolean;
}

/** A program that sets keepalive on each connection that is made. */
export interface AttachedKeepalive {
  /** What it does. */
  readonly settings: AttachedSettings;
  /** What became of the connections that were open already. */
  readonly report: KeepaliveReport;
  /** Whether a control group that it is attached to still exists. */
  readonly isAttached: boolean;
  /** Returns the numbers of connections that were made so far, by destination, the greatest first; none unless counted. */
  counters(): DestinationCount[];
  /** Detaches the program, unless it is pinned. */
  close(): void;
}

/**
 * Attaches a program to cgroup v2 that sets keepalive on each selected connection before its application has it, in every
 * network namespace unless the selection names some, and then sets it on those that are open already, unless told
 * otherwise. The program goes with this process, or when it is closed, unless it is pinned. It takes CAP_BPF and
 * CAP_NET_ADMIN.
 *
 * @throws {UsageError} As `setKeepalive`; when the selection asks for what the kernel cannot tell as a connection is made;
 * when the name is taken.
 * @throws {UnsupportedError} When this host or user cannot do that. Nothing is attached then.
 */
export async function attachKeepalive(
  selection: Selection,
  options: SetKeepaliveOptions,
  { direction, pin, onlyNew = false, counts = pin !== undefined }: AttachOptions = {},
): Promise<AttachedKeepalive> {
  validateKeepaliveOptions(options);
  const { onlyMissing = false, dryRun = false } = options;
  const compiled = compileWithListeners(selection, false);
  requireTellable(selection, compiled);
  const { values } = desiredKeepalive(options);
  const cgroups = cgroupsOf(compiled, pin);
  const settings: AttachedSettings = {
    schema: SETTINGS_SCHEMA,
    since: new Date().toISOString(),
    cgroups,
    selection: givenCriteria(selection),
    values: values === "off" ? null : values,
    onlyMissing,
    direction: direction ?? null,
  };
  const partial = explainPartialRoot(cgroups);
  const setOpen = async (): Promise<KeepaliveReport> => {
    // Connections of every network namespace are made from now on, so those that are open are looked for in all of them.
    const open = { ...compiled, netns: compiled.netns ?? ["all"] };
    const report = onlyNew ? reportNone(open, options) : await setOnce(open, options, direction);
    return partial === null ? report : { ...report, incomplete: [partial, ...report.incomplete] };
  };
  const known = pin === undefined || dryRun ? null : findSamePin(pin, settings);
  if (known !== null) {
    const report = await setOpen();
    return { settings: known, report, isAttached: true, counters: () => [], close() {} };
  }
  const attachment = new KeepaliveAttachment(
    compiled,
    cgroups,
    { values, onlyMissing, direction, counts, settings },
    !dryRun,
  );
  let pinned = false;
  try {
    if (pin === undefined) attachment.succeed();
    else if (!dryRun) attachment.pin(pin);
    pinned = true;
    const report = await setOpen();
    return {
      settings,
      report,
      get isAttached() {
        return attachment.isAttached;
      },
      counters: () => attachment.counters(),
      close: () => attachment.close(),
    };
  } catch (error) {
    attachment.close();
    if (pinned && pin !== undefined && !dryRun) removePin(pin);
    throw error;
  }
}
