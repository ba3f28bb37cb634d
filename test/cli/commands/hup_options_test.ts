// The options that the flags of hup become, and the flags that are refused together.

import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { parseArguments } from "../../../src/cli/flags/arguments.ts";
import { wordInFlags } from "../../../src/cli/flags/wording.ts";
import { hangUpOptions } from "../../../src/cli/commands/hup_options.ts";
import { type HangUpOptions, validateHangUpOptions } from "../../../src/act/hang_up_options.ts";
import { UsageError } from "../../../src/model/errors.ts";

function options(...flags: string[]): HangUpOptions {
  return hangUpOptions(parseArguments(["192.0.2.1", ...flags]));
}

Deno.test("without flags nothing is asked for", () => {
  const { max, pacing, whenIdle, repeat, finOnly, verify } = options();
  assertEquals([max, pacing, whenIdle, repeat], [undefined, undefined, undefined, undefined]);
  assertEquals([finOnly, verify], [false, false]);
});

Deno.test("pacing", () => {
  assertEquals(options("--rate", "50/s").pacing, { perSecond: 50, overMs: undefined, jitter: undefined });
  assertEquals(options("--over", "30s", "--jitter", "100").pacing, { perSecond: undefined, overMs: 30_000, jitter: 1 });
  assertEquals(options("--over", "2m", "--jitter=0%").pacing, { perSecond: undefined, overMs: 120_000, jitter: 0 });
});

Deno.test("idle moments", () => {
  const idleMs = 200;
  assertEquals(options("--when-idle", "200ms").whenIdle, { idleMs, deadlineMs: undefined, leaveBusy: undefined });
  assertEquals(options("--when-idle=200ms", "--deadline", "5", "--leave-busy").whenIdle, {
    idleMs,
    deadlineMs: 5000,
    leaveBusy: true,
  });
  assertEquals(options("--when-idle=200ms", "--deadline", "0").whenIdle?.deadlineMs, 0);
});

Deno.test("going on", () => {
  assertEquals(options("--for", "2m").repeat, { forMs: 120_000, everyMs: undefined });
  assertEquals(options("--for", "5", "--every", "100ms").repeat, { forMs: 5000, everyMs: 100 });
});

const REFUSED: [flags: string[], says: string][] = [
  [["--destroy", "--destroy-after", "1"], "--destroy and --destroy-after cannot be used together"],
  [["--destroy", "--fin-only"], "--destroy and --fin-only cannot be used together"],
  [["--destroy", "--linger", "1ms"], "--destroy and --linger cannot be used together"],
  [["--destroy", "--when-idle", "1ms"], "--destroy and --when-idle cannot be used together"],
  [["--rate", "1/s", "--over", "1"], "--rate and --over cannot be used together"],
  [["--over", "1", "--for", "1"], "--over and --for cannot be used together"],
  [["--interactive", "--quiet"], "--interactive and --quiet cannot be used together"],
  [["--jitter", "5"], "--jitter needs --rate or --over"],
  [["--deadline", "5"], "--deadline needs --when-idle"],
  [["--leave-busy"], "--leave-busy needs --when-idle"],
  [["--every", "100ms"], "--every needs --for"],
  [["--max", "0"], '--max "0" is out of range: expected a whole number above 0'],
  [["--max", "many"], '--max: "many"'],
  [["--rate", "50"], '--rate: "50"'],
  [["--rate", "1/s", "--jitter", "200"], '--jitter: "200"'],
  [["--rate", "20000/s"], '--rate "20000/s" is out of range: expected 1/h to 10000/s'],
  [["--rate", "0.5/h"], '--rate "0.5/h" is out of range: expected 1/h to 10000/s'],
  [["--over", "0"], '--over "0" is out of range: expected 1ms to 24 days'],
  [["--when-idle", "0ms"], '--when-idle "0ms" is out of range: expected 1ms to 24 days'],
  [["--for", "0"], '--for "0" is out of range: expected 1ms to 24 days'],
  [["--for", "1", "--every", "10ms"], '--every "10ms" is out of range: expected 50ms to 24 days'],
  [["--deadline", "soon", "--when-idle", "1ms"], '--deadline: "soon"'],
];

for (const [flags, says] of REFUSED) {
  Deno.test(`${flags.join(" ")} is refused`, () => {
    const args = parseArguments(["192.0.2.1", ...flags]);
    const error = assertThrows(() => validateHangUpOptions(hangUpOptions(args)), UsageError);
    wordInFlags(error, args);
    assertStringIncludes(error.message, says);
  });
}
