import { assertEquals } from "@std/assert";
import { formatDuration, formatMinutes } from "../../src/keepalive/duration.ts";

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
