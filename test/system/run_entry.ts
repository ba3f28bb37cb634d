// A command line of two commands, `run` and the supervisor's, until cli.ts has them.

import { host } from "../../ffi/deno.ts";
import { resolveValues } from "../../src/keepalive/values.ts";
import { CommandError, launch, type Moment, SUPERVISE } from "../../src/launch.ts";
import { inheritedEnvironment } from "../../src/launch/heritage.ts";
import { supervise } from "../../src/supervise.ts";
import { Unsupported } from "../../src/unsupported.ts";
import { UsageError } from "../../src/usage_error.ts";

const [command, ...args] = host.args;
try {
  if (command === SUPERVISE) host.exit(supervise(args));
  const end = args.indexOf("--");
  const flags = args.slice(0, end);
  const moments = flags.includes("--on") ? flags[flags.indexOf("--on") + 1] : "connect,listen";
  const environment = inheritedEnvironment().map((entry) => new TextDecoder().decode(entry).split("="));
  const { values, debug } = resolveValues({}, Object.fromEntries(environment));
  launch({
    command: args.slice(end + 1),
    values,
    on: new Set(moments.split(",") as Moment[]),
    debug: debug || flags.includes("--debug"),
    warn: (line) => void host.write(2, `tcphup: ${line}\n`),
  });
} catch (error) {
  host.write(2, `tcphup: ${(error as Error).message}\n`);
  if (error instanceof CommandError) host.exit(error.status);
  host.exit(error instanceof UsageError ? 2 : error instanceof Unsupported ? 4 : 1);
}
