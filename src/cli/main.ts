// The entry of the command line. A command is loaded when it is called, since loading all would take milliseconds.

import { host } from "../../ffi/deno.ts";
import { LibcUnavailableError } from "../../ffi/native.ts";
import { ENGINE } from "../front/command.ts";
import { SUPERVISE } from "../run/supervisor_config.ts";
import { CommandError, UnsupportedError, UsageError } from "../model/errors.ts";
import { FilterError } from "../select/ss/lexer.ts";
import { DONE, FAILED, UNABLE, USAGE } from "./flags/exit_codes.ts";
import type { Arguments } from "./flags/arguments.ts";
import type { Command } from "./flags/flag.ts";
import { chooseColor, warnLines } from "./output/terminal.ts";
import { VERSION } from "./flags/version.ts";

/** Words that may choose a command without a watched process. A command line with one of them is parsed first. */
const PARSED_FIRST = ["run", "plan", "unpin", "doctor", "completions", "help", "--help", "-h", "--version", "-V"];

/** Commands that run in a process of their own, which this one watches: see ../front/front.ts. */
const WATCHED: readonly Command[] = ["hup", "ls", "keepalive", "follow"];

/** The words of which none is in the command line of a hang-up. */
const UNHURRIED: readonly string[] = WATCHED.filter((command) => command !== "hup");

/** Runs one command line. Returns the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  try {
    if (args.length === 1 && args[0] === "--version") return printVersion();
    if (args[0] === SUPERVISE) return (await import("../run/supervise.ts")).supervise(args.slice(1));
    if (args[0] === ENGINE) {
      (await import("../front/engine.ts")).becomeEngine(args[1]);
      return await dispatch(args.slice(2), false);
    }
    // Without such a word no parser is loaded here: the watched process parses its command line itself.
    if (args.length === 0 || args.some((word) => PARSED_FIRST.includes(word))) return await dispatch(args, true);
    return await watchOver(args) ?? await dispatch(args, false);
  } catch (error) {
    return reportError(error as Error);
  }
}

async function watchOver(args: readonly string[]): Promise<number | null> {
  if (!args.some((word) => UNHURRIED.includes(word))) (await import("../front/priority.ts")).hurry();
  return await (await import("../front/front.ts")).watchOver(args);
}

/** @param mayWatch Runs a command of `WATCHED` in a process of its own. */
async function dispatch(args: readonly string[], mayWatch: boolean): Promise<number> {
  // Signals come first, since Deno begins to catch some of them half a second after its start.
  if (args.includes("run")) (await import("../run/process_state.ts")).recordSignals();
  const { parseArguments } = await import("./flags/arguments.ts");
  const parsed = parseArguments(args);
  if (parsed.has("version")) return printVersion();
  if (parsed.has("help")) {
    const { commandHelp, generalHelp, helpWidth } = await import("./flags/help_text.ts");
    host.write(1, parsed.named ? commandHelp(parsed.command, helpWidth()) : generalHelp(helpWidth()));
    return DONE;
  }
  chooseColor(parsed.value("color"));
  if (mayWatch && WATCHED.includes(parsed.command)) {
    const code = await watchOver(args);
    if (code !== null) return code;
  }
  try {
    return await call(parsed);
  } catch (error) {
    if (error instanceof UsageError) (await import("./flags/wording.ts")).wordInFlags(error, parsed);
    throw error;
  }
}

async function call(parsed: Arguments): Promise<number> {
  if (parsed.has("no-bpf")) (await import("../front/policy.ts")).avoidBpf();
  switch (parsed.command) {
    case "hup":
      return await (await import("./commands/hup.ts")).hup(parsed);
    case "ls":
      return await (await import("./commands/ls.ts")).ls(parsed);
    case "keepalive":
      return await (await import("./commands/keepalive.ts")).keepalive(parsed);
    case "follow":
      return await (await import("./commands/follow.ts")).follow(parsed);
    case "run":
      return (await import("./commands/run.ts")).run(parsed);
    case "plan":
      return (await import("./commands/plan.ts")).planCommand(parsed);
    case "unpin":
      return (await import("./commands/unpin.ts")).unpin(parsed);
    case "doctor":
      return (await import("./commands/doctor.ts")).doctorCommand(parsed);
    case "completions":
      return (await import("./commands/completions.ts")).completions(parsed);
  }
}

function printVersion(): number {
  host.write(1, `tcphup ${VERSION}\n`);
  return DONE;
}

/** Prints an error: a line, or for a filter also the place in it. Returns the exit code. */
function reportError(error: Error): number {
  warnLines(error instanceof FilterError ? error.message.split("\n") : [error.message]);
  if (error instanceof CommandError) return error.status;
  if (error instanceof UsageError) return USAGE;
  if (error instanceof UnsupportedError || error instanceof LibcUnavailableError) return UNABLE;
  return FAILED;
}
