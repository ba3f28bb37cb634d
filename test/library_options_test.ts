// What the library refuses before it touches anything, and how it words that: in options, never in flags.

import { assertEquals, assertInstanceOf, assertMatch, assertRejects, assertThrows } from "@std/assert";
import * as library from "../mod.ts";

type Code = library.UsageErrorCode;

/** Nothing has this address (RFC 5737), so that a run that is not refused finds nothing either. */
const NOBODY: library.Selection = { dst: "192.0.2.1", dport: 9 };

/** What JavaScript can give, though TypeScript would refuse it. */
// deno-lint-ignore no-explicit-any
type Untyped = any;

function assertRefused(error: unknown, code: Code, option: string | undefined, message: RegExp): void {
  assertInstanceOf(error, library.UsageError);
  assertEquals([error.name, error.code, error.option], ["UsageError", code, option], error.message);
  assertMatch(error.message, message);
  assertEquals(/--|\n/.test(error.message), false, error.message);
}

type Case = readonly [options: Untyped, code: Code, option: string | undefined, message: RegExp];

const HANG_UP: readonly Case[] = [
  [
    { pacing: { perSecond: 0 } },
    "out-of-range",
    "pacing.perSecond",
    /^pacing.perSecond 0 is out of range: .* 10000\/s$/,
  ],
  [{ pacing: { perSecond: NaN } }, "out-of-range", "pacing.perSecond", /NaN/],
  [{ pacing: { perSecond: "5" } }, "wrong-type", "pacing.perSecond", /^pacing.perSecond "5" is not a number$/],
  [{ pacing: { overMs: 0 } }, "out-of-range", "pacing.overMs", /expected 1ms to 24 days/],
  [
    { pacing: { perSecond: 5, overMs: 5 } },
    "conflict",
    "pacing.perSecond",
    /pacing.perSecond and pacing.overMs cannot/,
  ],
  [{ pacing: { perSecond: 5, jitter: 1.5 } }, "out-of-range", "pacing.jitter", /expected 0 to 1/],
  [{ pacing: { jitter: 1 } }, "missing-option", "pacing.jitter", /needs pacing.perSecond or pacing.overMs/],
  [{ pacing: {} }, "missing-option", "pacing", /needs pacing.perSecond or pacing.overMs/],
  [{ pacing: { perSeconds: 5 } }, "unknown-option", "pacing.perSeconds", /did you mean "perSecond"\?/],
  [{ pacing: 5 }, "wrong-type", "pacing", /^pacing 5 is not an object$/],
  [{ pacing: { overMs: 5 }, repeat: { forMs: 5 } }, "conflict", "pacing.overMs", /so use pacing.perSecond/],
  [{ max: NaN }, "out-of-range", "max", /^max NaN is out of range: expected a whole number above 0$/],
  [{ max: 0 }, "out-of-range", "max", /max 0/],
  [{ max: 1.5 }, "out-of-range", "max", /max 1.5/],
  [
    { lingerMs: -5 },
    "out-of-range",
    "lingerMs",
    /^lingerMs -5 is out of range: expected whole milliseconds, 0 to 24 days$/,
  ],
  [{ lingerMs: 0.5 }, "out-of-range", "lingerMs", /0.5/],
  [{ lingerMs: 5n }, "wrong-type", "lingerMs", /lingerMs 5 is not a number/],
  [{ waitMs: Infinity }, "out-of-range", "waitMs", /Infinity/],
  [{ destroyAfterMs: -1 }, "out-of-range", "destroyAfterMs", /-1/],
  [{ destroy: true, finOnly: true }, "conflict", "destroy", /^Options destroy and finOnly cannot be used together/],
  [{ destroy: true, lingerMs: 0 }, "conflict", "destroy", /lingerMs/],
  [{ destroy: true, destroyAfterMs: 1 }, "conflict", "destroy", /destroyAfterMs/],
  [{ destroy: true, whenIdle: { idleMs: 1 } }, "conflict", "destroy", /whenIdle/],
  [{ whenIdle: { idleMs: 0 } }, "out-of-range", "whenIdle.idleMs", /1ms/],
  [{ whenIdle: { deadlineMs: 5 } }, "missing-option", "whenIdle.deadlineMs", /needs whenIdle.idleMs/],
  [{ refuse: {} }, "missing-option", "refuse", /^Option refuse needs refuse.forMs or pin or signal or dryRun$/],
  [{ refuse: true }, "wrong-type", "refuse", /^refuse true is not an object$/],
  [{ refuse: { forMs: 0 } }, "out-of-range", "refuse.forMs", /expected 1ms to 24 days/],
  [{ refuse: { ms: 5 } }, "unknown-option", "refuse.ms", /forMs/],
  [{ refuse: { forMs: 5 }, pin: "x" }, "conflict", "pin", /^Options pin and refuse.forMs cannot be used together/],
  [{ refuse: { forMs: 5 }, redirect: { to: "192.0.2.2" } }, "conflict", "refuse", /either fails or goes elsewhere/],
  [{ redirect: { forMs: 5 } }, "missing-option", "redirect", /needs redirect.to/],
  [{ redirect: { to: [], forMs: 5 } }, "empty-list", "redirect.to", /redirect.to is an empty list/],
  [{ redirect: { to: "0.0.0.0", forMs: 5 } }, "malformed", "redirect.to", /^Not an address to connect to: "0.0.0.0"/],
  [
    { redirect: { to: "192.0.2.1", forMs: 5 } },
    "conflict",
    "redirect.to",
    /selected itself: leave it out with not.dst/,
  ],
  [{ redirect: { to: "::1", forMs: 5 } }, "conflict", "redirect.to", /none of the selected addresses is of its family/],
  [{ pin: "x" }, "missing-option", "pin", /needs refuse or redirect/],
  [{ pin: "a/b", refuse: {} }, "malformed", "pin", /cannot be the name of a pin/],
  [{ repeat: { forMs: -1 } }, "out-of-range", "repeat.forMs", /-1/],
  [{ repeat: { everyMs: 100 } }, "missing-option", "repeat.everyMs", /needs repeat.forMs/],
  [{ repeat: { forMs: 100, everyMs: 1 } }, "out-of-range", "repeat.everyMs", /50ms/],
  [{ confirm: true }, "wrong-type", "confirm", /^confirm true is not a function$/],
  [{ onProgress: "x" }, "wrong-type", "onProgress", /function/],
  [{ onWarning: {} }, "wrong-type", "onWarning", /function/],
  [{ signal: new AbortController() }, "wrong-type", "signal", /AbortSignal/],
  [{ dryRun: 1 }, "wrong-type", "dryRun", /^dryRun 1 is not true or false$/],
  [{ dryrun: true }, "unknown-option", "dryrun", /^Unknown option "dryrun": did you mean "dryRun"\?$/],
  [{ constructor: true }, "unknown-option", "constructor", /expected dryRun, /],
  [null, "wrong-type", "options", /^options null is not an object$/],
  ["dryRun", "wrong-type", "options", /"dryRun" is not an object/],
];

Deno.test("hangUp refuses wrong options, and its promise rejects", async () => {
  for (const [options, ...expected] of HANG_UP) {
    assertRefused(await assertRejects(() => library.hangUp(NOBODY, options)), ...expected);
  }
});

const KEEPALIVE: readonly Case[] = [
  [
    { values: { idleS: 40_000 } },
    "out-of-range",
    "values.idleS",
    /^values.idleS 40000 is out of range: it takes 1 to 32767/,
  ],
  [{ values: { idleS: "15" } }, "wrong-type", "values.idleS", /not a number/],
  [{ values: { idle: 15 } }, "unknown-option", "values.idle", /did you mean "idleS"\?/],
  [{ values: { count: "auto" } }, "wrong-type", "values.count", /not a number/],
  [{ off: true, values: { count: 3 } }, "conflict", "off", /^Options off and values.count cannot be used together/],
  [{ off: true, values: {} }, "conflict", "off", /off and values cannot/],
  [{ off: true, onlyMissing: true }, "conflict", "off", /onlyMissing/],
  [{ listeners: "yes" }, "wrong-type", "listeners", /true or false/],
];

Deno.test("setKeepalive refuses wrong options, and its promise rejects", async () => {
  const cases: readonly Case[] = [...KEEPALIVE, [{ everyMs: 100 }, "unknown-option", "everyMs", /Unknown option/]];
  for (const [options, ...expected] of cases) {
    assertRefused(await assertRejects(() => library.setKeepalive(NOBODY, options)), ...expected);
  }
});

Deno.test("watchKeepalive refuses wrong options and selections at once", () => {
  const cases: readonly Case[] = [
    ...KEEPALIVE,
    [{ everyMs: 20 }, "out-of-range", "everyMs", /^everyMs 20 is out of range: expected 100ms to 24 days$/],
    [{ onRound: 5 }, "wrong-type", "onRound", /function/],
  ];
  for (const [options, ...expected] of cases) {
    assertRefused(assertThrows(() => library.watchKeepalive(NOBODY, options)), ...expected);
  }
  assertRefused(assertThrows(() => library.watchKeepalive({})), "empty-selection", undefined, /dst or pid/);
});

const CRITERIA: readonly Case[] = [
  [{ dst: "192.0.2.300" }, "malformed", "dst", /^Not an address: "192.0.2.300"/],
  [{ dst: ["192.0.2.1", "192.0.2.1:80"] }, "malformed", "dst", /did you mean { dst: "192.0.2.1", dport: "80" }\?$/],
  [{ dst: "192.0.2.1/8" }, "ambiguous", "dst", /192.0.2.1\/32 or 192.0.0.0\/8/],
  [{ dst: [] }, "empty-list", "dst", /dst is an empty list/],
  [{ dst: null }, "wrong-type", "dst", /dst null is not text$/],
  [{ dst: 5 }, "wrong-type", "dst", /not text/],
  [{ dport: "80,443" }, "malformed", "dport", /did you mean { dport: \["80", "443"\] }\?$/],
  [{ dport: 65_536 }, "out-of-range", "dport", /65536/],
  [{ sport: "no-such-service" }, "not-found", "sport", /no-such-service/],
  [{ dst_port: 80 }, "unknown-option", "dst_port", /did you mean "dport"\?|expected dst, /],
  [{ dports: 80 }, "unknown-option", "dports", /did you mean "dport"\?/],
  [{ state: "open" }, "malformed", "state", /Unknown state/],
  [{ mark: "x" }, "malformed", "mark", /mark/],
  [{ user: "no-such-user" }, "not-found", "user", /no-such-user/],
  [{ interface: "no-such0" }, "not-found", "interface", /no-such0/],
  [{ pid: 0 }, "malformed", "pid", /Not a process/],
  [{ comm: "[z-a]" }, "malformed", "comm", /Not a pattern/],
  [{ dstFile: "/no/such/file" }, "unavailable", "dstFile", /ENOENT/],
  [{ filter: "" }, "malformed", "filter", /Empty filter/],
  [{ idleForMs: 0 }, "out-of-range", "idleForMs", /1ms/],
  [{ silentForMs: 0 }, "out-of-range", "silentForMs", /1ms/],
  [{ stalled: "no" }, "wrong-type", "stalled", /true or false/],
];

const SELECTIONS: readonly Case[] = [
  ...CRITERIA,
  ...CRITERIA.map(([criteria, code, option, message]): Case => {
    return [{ dst: "192.0.2.1", not: criteria }, code, `not.${option}`, message];
  }),
  [{}, "empty-selection", undefined, /^The selection is empty: give a condition, such as dst or pid/],
  [{ not: { pid: 1 } }, "empty-selection", undefined, /empty/],
  ["192.0.2.1", "wrong-type", "selection", /^selection "192.0.2.1" is not an object$/],
  [{ ...NOBODY, not: [] }, "wrong-type", "not", /^not \(a list\) is not an object$/],
  [{ ...NOBODY, version: 5 }, "malformed", "version", /^version 5 is none of 4, 6$/],
  [{ ...NOBODY, version: 6 }, "conflict", "dst", /has no IPv6 address, which version 6 asks for/],
  [{ ...NOBODY, children: true }, "missing-option", "children", /^Option children needs pid or not.pid$/],
  [{ ...NOBODY, missingOk: true }, "missing-option", "missingOk", /^Option missingOk needs cgroup/],
  [{ noKeepalive: true, not: { noKeepalive: true } }, "conflict", "noKeepalive", /give noKeepalive once/],
];

Deno.test("each function refuses a wrong selection", async () => {
  for (const [selection, code, option, message] of SELECTIONS) {
    const expected = [code, option, message] as const;
    assertRefused(await assertRejects(() => library.hangUp(selection)), ...expected);
    assertRefused(await assertRejects(() => library.setKeepalive(selection)), ...expected);
    assertRefused(assertThrows(() => library.watchKeepalive(selection)), ...expected);
    assertRefused(assertThrows(() => library.listConnections(selection)), ...expected);
  }
});

Deno.test("what no function can do to the states selected is refused in the words of the options", async () => {
  const states: library.Selection = { state: "time-wait" };
  const hangUp = await assertRejects(() => library.hangUp(states));
  assertRefused(hangUp, "conflict", "state", /time-wait takes destroy$/);
  const keepalive = await assertRejects(() => library.setKeepalive(states));
  assertRefused(keepalive, "conflict", "state", /listeners take listeners/);
  const listeners = await assertRejects(() => library.setKeepalive(NOBODY, { listeners: true }));
  assertRefused(listeners, "conflict", "listeners", /with listeners the destination is any.*\(sport, src, pid/);
});

Deno.test("listConnections, planKeepalive, emitKeepaliveConfig and checkHost refuse wrong options", () => {
  const values = { idleS: 15, intervalS: 15, count: 9 };
  const calls: [() => unknown, Code, string, RegExp][] = [
    [() => library.listConnections(NOBODY, { tcpInfo: 1 } as Untyped), "wrong-type", "tcpInfo", /true or false/],
    [() => library.listConnections(NOBODY, { tcp_info: true } as Untyped), "unknown-option", "tcp_info", /"tcpInfo"/],
    [() => library.planKeepalive({ values, hosts: 0 }), "out-of-range", "hosts", /whole number above 0/],
    [() => library.planKeepalive({ values: { idleS: -1 } }), "out-of-range", "values.idleS", /32767/],
    [() => library.planKeepalive({ sysctls: {} as Untyped, probe: 1 } as Untyped), "unknown-option", "probe", /Bytes/],
    [() => library.emitKeepaliveConfig("ini" as Untyped, values), "malformed", "format", /Unknown format "ini"/],
    [() => library.emitKeepaliveConfig("nginx", { count: 128 }), "out-of-range", "values.count", /127/],
    [() => library.valuesWithin(2), "out-of-range", "withinS", /from 3 on/],
    [() => library.checkHost({ command: ["tcphup"] }), "malformed", "command", /absolute path/],
    [() => library.checkHost({ command: "tcphup" } as Untyped), "malformed", "command", /absolute path/],
    [() => library.checkHost({ command: [5] } as Untyped), "wrong-type", "command", /not text/],
  ];
  for (const [call, ...expected] of calls) assertRefused(assertThrows(call), ...expected);
});

Deno.test("an error that stands for another one says which", () => {
  const error = assertThrows(() => library.listConnections({ dstFile: "/no/such/file" }));
  assertInstanceOf(error, library.UsageError);
  assertInstanceOf(error.cause, library.SyscallError);
  assertEquals([error.cause.code, error.value], ["ENOENT", "/no/such/file"]);
});

Deno.test("an error has the name of its class", () => {
  const errors = [
    new library.UsageError(""),
    new library.UnsupportedError(""),
    new library.LibcUnavailableError(""),
    new library.SyscallError("open", 2),
  ];
  for (const error of errors) assertEquals(error.name, error.constructor.name);
});
