// The command `tcphup doctor`.

import { host } from "../../../ffi/deno.ts";
import { checkHost, type Finding, PROBES_ARGUMENT, runProbes } from "../../doctor/check_host.ts";
import type { Arguments } from "../flags/arguments.ts";
import { DONE, UNABLE } from "../flags/exit_codes.ts";
import type { DoctorDocument } from "../output/documents.ts";
import { jsonText } from "../output/json.ts";
import { print, style, type Tone, write } from "../output/terminal.ts";
import { UsageError } from "../../model/errors.ts";

const TONES: Record<Finding["status"], Tone> = { ok: "good", limited: "odd", missing: "bad" };

/** Examines the host and prints what was found. Returns the exit code. */
export function doctorCommand(args: Arguments): number {
  const [surplus, ...rest] = args.positionals;
  if (surplus === PROBES_ARGUMENT) {
    runProbes(rest, (text) => print([text]));
    return DONE;
  }
  if (surplus !== undefined) throw new UsageError(`Unexpected argument "${surplus}": expected tcphup doctor [--json]`);
  const health = checkHost({ command: host.selfCommand });
  const document: DoctorDocument = { schema: 1, command: "doctor", ...health };
  if (args.has("json")) write([jsonText(document), "\n"]);
  else {
    const conclusion = health.ok ? "connections can be hung up on" : "connections cannot be hung up on here";
    print([...health.findings.flatMap(describe), conclusion]);
  }
  return health.ok ? DONE : UNABLE;
}

function describe({ name, status, detail, affects }: Finding): string[] {
  const line = `${style(TONES[status], status.padEnd(7))}  ${name}: ${detail}`;
  return status === "ok" ? [line] : [line, `         affects: ${affects.join(", ")}`];
}
