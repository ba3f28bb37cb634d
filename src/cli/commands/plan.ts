// The command `tcphup plan`.

import { effective, type KeepaliveSysctls, KERNEL_DEFAULTS } from "../../keepalive/detection.ts";
import { KEEPALIVE_NAMES, type KeepaliveValues, resolveValues, SYSTEM_VALUES } from "../../keepalive/values.ts";
import { keepaliveSysctls } from "../../socket/keepalive_read.ts";
import { type EmitFormat, emitKeepaliveConfig } from "../../keepalive/emit.ts";
import { planKeepalive, valuesWithin } from "../../keepalive/plan.ts";
import { UsageError } from "../../model/errors.ts";
import { type Arguments, refuseTogether } from "../flags/arguments.ts";
import { DONE } from "../flags/exit_codes.ts";
import { flagName, givenValues } from "../flags/keepalive_values.ts";
import { jsonText } from "../output/json.ts";
import { formatPlan } from "../output/plan.ts";
import { warn, write } from "../output/terminal.ts";
import { parseCount } from "../flags/values.ts";

/** Prints what keepalive values cost, or the values as configuration. Returns the exit code. */
export function planCommand(args: Arguments): number {
  checkConflicts(args);
  const sysctls = currentSysctls();
  const values = valuesOf(args, sysctls);
  const format = args.value("emit");
  if (format !== undefined) {
    write([emitKeepaliveConfig(format as EmitFormat, values)]);
    return DONE;
  }
  const result = planKeepalive({
    values,
    sysctls,
    services: args.parsed("services", parseCount),
    hosts: args.parsed("hosts", parseCount),
    probeBytes: args.parsed("probe-bytes", parseCount),
  });
  write([args.has("json") ? jsonText(result) : formatPlan(result), "\n"]);
  return DONE;
}

function checkConflicts(args: Arguments): void {
  const [surplus] = args.positionals;
  if (surplus !== undefined) throw new UsageError(`Unexpected argument "${surplus}": expected tcphup plan [VALUES]`);
  for (const name of KEEPALIVE_NAMES) refuseTogether(args, "within", flagName(name), "it finds the values");
  for (const name of ["json", "services", "hosts", "probe-bytes"]) {
    refuseTogether(args, "emit", name, "it prints the values as configuration, and nothing of what they cost");
  }
}

/** Reads the sysctls of this network namespace, or takes the defaults of the kernel where /proc/sys cannot be read. */
function currentSysctls(): KeepaliveSysctls {
  const sysctls = keepaliveSysctls();
  if (sysctls === null) warn("/proc/sys/net/ipv4 cannot be read: going by the kernel's defaults");
  return sysctls ?? KERNEL_DEFAULTS;
}

function valuesOf(args: Arguments, sysctls: KeepaliveSysctls): KeepaliveValues {
  const withinMs = args.duration("within");
  if (withinMs !== undefined) return valuesWithin(withinMs / 1000);
  const given = givenValues(args);
  if (given === undefined) {
    const { idleS, intervalS, count } = effective(SYSTEM_VALUES, sysctls);
    return { ...SYSTEM_VALUES, idleS, intervalS, count };
  }
  const { values, warnings } = resolveValues(given, {}, sysctls.tcpKeepaliveTime);
  warnings.forEach(warn);
  return values;
}
