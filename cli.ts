#!/usr/bin/env -S deno run --quiet --allow-ffi --no-config --no-lock --no-npm --no-remote --v8-flags=--max-semi-space-size=2,--no-turbofan
/**
 * The command line: `tcphup DEST PORT`. See `tcphup --help`.
 *
 * @module
 */

import { host } from "./ffi/deno.ts";
import { main } from "./src/cli/main.ts";

host.exit(await main(host.args));
