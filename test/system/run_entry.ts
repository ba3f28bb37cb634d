// A command line of two commands, `run` and the supervisor's, until cli.ts has them.

import { host } from "../../ffi/deno.ts";

const [command, ...args] = host.args;
if (command === "supervise") host.exit((await import("../../src/supervise.ts")).supervise(args));

const { inheritedEnvironment } = await import("../../src/launch/heritage.ts");
const { resolveValues } = await import("../../src/keepalive/values.ts");
const { CommandError, launch } = await import("../../src/launch.ts");
const { Unsupported } = await import("../../src/unsupported.ts");
const { UsageError } = await import("../../src/usage_error.ts");

try {
  const end = args.indexOf("--");
  const flags = args.slice(0, end);
  const moments = flags.includes("--on") ? flags[flags.indexOf("--on") + 1] : "connect,listen";
  const environment = inheritedEnvironment().map((entry) => new TextDecoder().decode(entry).split("="));
  const { values, debug } = resolveValues({}, Object.fromEntries(environment));
  launch({
    command: args.slice(end + 1),
    values,
    // deno-lint-ignore no-explicit-any
    on: new Set(moments.split(",")) as any,
    debug: debug || flags.includes("--debug"),
    warn: (line) => void host.write(2, `tcphup: ${line}\n`),
  });
} catch (error) {
  host.write(2, `tcphup: ${(error as Error).message}\n`);
  if (error instanceof CommandError) host.exit(error.status);
  host.exit(error instanceof UsageError ? 2 : error instanceof Unsupported ? 4 : 1);
}
