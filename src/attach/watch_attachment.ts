// The program that sets new connections for a watch: where the kernel, as a connection is made, can tell all that the
// selection goes by.

import { isSyscallError } from "../../ffi/errno.ts";
import { explainLacking } from "../bpf/explain.ts";
import { avoidsBpf } from "../front/policy.ts";
import type { DesiredKeepalive } from "../keepalive/values.ts";
import { UnsupportedError, UsageError } from "../model/errors.ts";
import type { CompiledSelection } from "../select/compile_selection.ts";
import type { Selection } from "../select/selection.ts";
import { mentions } from "../select/dump_plan.ts";
import { explainPartialRoot } from "./attachment.ts";
import { KeepaliveAttachment } from "./keepalive_attachment.ts";
import { requireTellable } from "./tellable.ts";

const ROOT = ["/"];

/** Such a program, which is attached. */
export interface WatchAttachment {
  readonly program: KeepaliveAttachment;
  /** Whether no control group is out of sight. */
  readonly reachesAll: boolean;
}

/** Attaches such a program. Returns why not, where that cannot be done. */
export function attachForWatch(
  selection: Selection,
  compiled: CompiledSelection,
  { values, onlyMissing = false }: DesiredKeepalive,
  counts: boolean,
): WatchAttachment | string {
  if (avoidsBpf()) return "--no-bpf";
  // A seccomp filter may kill who calls bpf(2), and a watch can do without.
  const lacking = explainLacking(["CAP_BPF", "CAP_NET_ADMIN"]);
  if (lacking !== null) return lacking;
  if (!isTellable(selection, compiled)) return "the selection goes by what is not known as a connection is made";
  try {
    const options = { values, onlyMissing, ownByDefault: true, counts, settings: {} };
    const program = new KeepaliveAttachment(compiled, ROOT, options);
    program.succeed();
    return { program, reachesAll: explainPartialRoot(ROOT) === null };
  } catch (error) {
    if (error instanceof UnsupportedError || error instanceof UsageError || isSyscallError(error)) return error.message;
    throw error;
  }
}

/**
 * Tells whether the program would choose exactly what a watch chooses. Control groups stand for processes in --attach, and the
 * user of a listener for that of what it accepts, but a watch goes by who holds a connection.
 */
function isTellable(selection: Selection, compiled: CompiledSelection): boolean {
  if (compiled.heldBy !== undefined || mentions(compiled.filter, "uid")) return false;
  try {
    requireTellable(selection, compiled);
    return true;
  } catch (error) {
    if (error instanceof UsageError) return false;
    throw error;
  }
}
