// What tcphup does with a command line. Commands are loaded when they are called for: starting costs milliseconds.

import { host } from "../../ffi/deno.ts";
import { LibcUnavailable } from "../../ffi/native.ts";
import { CommandError } from "../launch/error.ts";
import { SUPERVISE } from "../launch/duty.ts";
import { FilterError } from "../selection/filter_error.ts";
import { Unsupported } from "../unsupported.ts";
import { UsageError } from "../usage_error.ts";
import { FAILED, UNABLE, USAGE } from "./exit_codes.ts";
import { chooseColour, complainInLines } from "./terminal.ts";
import { VERSION } from "./version.ts";

/** Runs one command line. Returns the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  try {
    if (args.length === 1 && args[0] === "--version") return printVersion();
    if (args[0] === SUPERVISE) return (await import("../supervise.ts")).supervise(args.slice(1));
    // Before anything that takes time.
    if (args.includes("run")) (await import("../launch/restore.ts")).noteSignals();
    const { parseArguments } = await import("./arguments.ts");
    const parsed = parseArguments(args);
    if (parsed.has("version")) return printVersion();
    if (parsed.has("help")) {
      const { commandHelp, generalHelp, helpWidth } = await import("./help.ts");
      host.write(1, parsed.named ? commandHelp(parsed.command, helpWidth()) : generalHelp(helpWidth()));
      return 0;
    }
    chooseColour(parsed.value("color"));
    switch (parsed.command) {
      case "hup":
        return await (await import("./hup.ts")).hup(parsed);
      case "ls":
        return await (await import("./ls.ts")).ls(parsed);
      case "keepalive":
        return await (await import("./keepalive.ts")).keepalive(parsed);
      case "run":
        return (await import("./run.ts")).run(parsed);
      case "plan":
        return (await import("./plan.ts")).planCommand(parsed);
      case "doctor":
        return (await import("./doctor.ts")).doctorCommand(parsed);
      case "completions":
        return (await import("./completions.ts")).completions(parsed);
    }
  } catch (error) {
    return explain(error as Error);
  }
}

function printVersion(): number {
  host.write(1, `tcphup ${VERSION}\n`);
  return 0;
}

/** Says what went wrong, in one line unless it is shown where in the input, and returns the exit code that it deserves. */
function explain(error: Error): number {
  complainInLines(error instanceof FilterError ? error.message.split("\n") : [error.message]);
  if (error instanceof CommandError) return error.status;
  if (error instanceof UsageError) return USAGE;
  if (error instanceof Unsupported || error instanceof LibcUnavailable) return UNABLE;
  return FAILED;
}
