import { assertEquals, assertThrows } from "@std/assert";
import { formatDuration, formatMinutes, parseDuration } from "../../src/model/duration.ts";
import { UsageError } from "../../src/model/errors.ts";

Deno.test("formatDuration writes at most two units, and null as never", () => {
  const cases: [number | null, string][] = [
    [null, "never"],
    [0, "0 ms"],
    [200, "200 ms"],
    [999.7, "1 s"],
    [4200, "4.2 s"],
    [45_000, "45 s"],
    [59_960, "1 min"],
    [675_000, "11 min 15 s"],
    [924_600, "15 min 25 s"],
    [3_599_600, "1 h"],
    [7_200_000, "2 h"],
    [7_875_000, "2 h 11 min"],
    [86_399_000, "1 d"],
    [90_000_000, "1 d 1 h"],
  ];
  for (const [ms, text] of cases) assertEquals(formatDuration(ms), text, String(ms));
});

Deno.test("formatMinutes keeps to one unit", () => {
  const cases: [number | null, string][] = [
    [null, "never"],
    [9000, "9 s"],
    [45_000, "45 s"],
    [90_000, "1.5 min"],
    [171_000, "2.85 min"],
    [342_000, "5.7 min"],
    [675_000, "11.25 min"],
    [7_875_000, "131.25 min"],
  ];
  for (const [ms, text] of cases) assertEquals(formatMinutes(ms), text, String(ms));
});

const seconds = (text: string) => parseDuration(text, { label: "--wait", bare: ["s"] });
const either = (text: string) => parseDuration(text, { label: "--linger", bare: ["ms", "s"], longestMs: 2 ** 31 - 1 });

Deno.test("parseDuration reads a number with its unit, the same everywhere", () => {
  const times = { "0": 0, "250ms": 250, "1.5s": 1500, "2m": 120_000, "1h": 3_600_000, "0.5d": 43_200_000 };
  for (const [text, ms] of Object.entries(times)) {
    for (const read of [seconds, either]) assertEquals(read(text), ms, text);
  }
  assertEquals([seconds("5"), seconds("0.25")], [5000, 250]);
});

Deno.test("a time that could be meant in several units is refused, and these are named", () => {
  assertThrows(() => either("5"), UsageError, '--linger "5" has no unit: expected 5ms or 5s');
  assertThrows(() => either("1.5"), UsageError, '--linger "1.5" has no unit: expected 1.5ms or 1.5s');
});

Deno.test("what is no time says what is, and which was meant where that can be told", () => {
  const meant: Record<string, string> = {
    "5 s": "5s",
    "5sec": "5s",
    "5 seconds": "5s",
    "2min": "2m",
    "1.5 hours": "1.5h",
    "3 Days": "3d",
    "200msec": "200ms",
    "200 milliseconds": "200ms",
    "5S": "5s",
  };
  for (const [text, time] of Object.entries(meant)) {
    const error = assertThrows(() => seconds(text), UsageError);
    assertEquals(error.message, `Not a time for --wait: "${text}": did you mean "${time}"?`);
  }
  for (const text of ["", "soon", "-5", "+5", "1e3", "0x10", " 5", ".5", "5.", "5w", "NaN", "1h30m", "5,5s", "s"]) {
    assertThrows(() => seconds(text), UsageError, `"${text}": expected seconds as a number, or a number with a unit`);
    assertThrows(
      () => either(text),
      UsageError,
      `"${text}": expected a number with a unit, such as 500ms, 30s, 5m or 2h`,
    );
  }
  assertThrows(() => either("25d"), UsageError, "up to 24 days");
});
