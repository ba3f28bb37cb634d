// The command `tcphup run`.

import { expectedWord } from "../../model/closest.ts";
import { resolveValues } from "../../keepalive/values.ts";
import { keepaliveSysctls } from "../../socket/keepalive_read.ts";
import { HOOKED_SYSCALLS, type HookedSyscall, launch } from "../../run/launch.ts";
import { inheritedEnvironment } from "../../linux/proc/environ.ts";
import { UsageError } from "../../model/errors.ts";
import type { Arguments } from "../flags/arguments.ts";
import { givenValues } from "../flags/keepalive_values.ts";
import { warn } from "../output/terminal.ts";

/** Replaces this process by the program that was given. Throws when that fails, and never returns. */
export function run(args: Arguments): never {
  const on = args.value("on");
  const environment = environmentVariables();
  const { values, debug, warnings } = resolveValues(
    givenValues(args),
    environment,
    keepaliveSysctls()?.tcpKeepaliveTime,
  );
  warnings.forEach(warn);
  launch({
    command: args.afterDoubleDash ?? [],
    values,
    on: on === undefined ? null : momentsOf(on),
    debug: debug || args.has("debug"),
    warn,
  });
}

function momentsOf(text: string): ReadonlySet<HookedSyscall> {
  const syscalls = text.split(",");
  const unknown = syscalls.find((syscall) => !HOOKED_SYSCALLS.includes(syscall as HookedSyscall));
  if (unknown === undefined) return new Set(syscalls as HookedSyscall[]);
  throw new UsageError(`Unknown call "${unknown}" for --on: ${expectedWord(unknown, HOOKED_SYSCALLS)}`);
}

/** Returns the environment that this process was started with. Only the variables of libkeepalive are used. */
function environmentVariables(): Record<string, string> {
  const decoder = new TextDecoder();
  const entries = inheritedEnvironment().map((entry) => decoder.decode(entry));
  return Object.fromEntries(entries.map((entry) => [entry.split("=", 1)[0], entry.slice(entry.indexOf("=") + 1)]));
}
