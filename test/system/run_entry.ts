// A command line of two commands, `run` and the supervisor's, until cli.ts has them.
import { host } from "../../ffi/deno.ts";
import { resolveValues } from "../../src/keepalive/values.ts";
import { CommandError, launch, type Moment, SUPERVISE, supervise } from "../../src/launch.ts";
import { Unsupported } from "../../src/unsupported.ts";
import { UsageError } from "../../src/usage_error.ts";

const [command, ...args] = host.args;
if (command === SUPERVISE) host.exit(supervise(args));
try {
  const on = new Set((args[0] ?? "").split(",") as Moment[]);
  const { values, debug } = resolveValues({}, { LIBKEEPALIVE_DEBUG: args[1] === "debug" ? "1" : undefined });
  launch({ command: args.slice(2), values, on, debug, warn: (line) => void host.write(2, `tcphup: ${line}\n`) });
} catch (error) {
  host.write(2, `tcphup: ${(error as Error).message}\n`);
  host.exit(
    error instanceof CommandError
      ? error.status
      : error instanceof UsageError
      ? 2
      : error instanceof Unsupported
      ? 4
      : 1,
  );
}
