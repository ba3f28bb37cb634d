// Counts, rates and percentages as they are typed.

import { assertEquals, assertThrows } from "@std/assert";
import { parseCount, parsePercentage, parseRate } from "../../../src/cli/flags/values.ts";
import { UsageError } from "../../../src/model/errors.ts";

Deno.test("rates", () => {
  assertEquals(parseRate("rate", "50/s"), 50);
  assertEquals(parseRate("rate", "30/m"), 0.5);
  assertEquals(parseRate("rate", "3600/h"), 1);
  assertEquals(parseRate("rate", "0.5/s"), 0.5);
  for (const text of ["50", "50/", "/s", "-1/s", "50/d", "50/ms", "fast", "", "1e3/s", "50 / s"]) {
    assertThrows(() => parseRate("rate", text), UsageError, "such as 50/s, 20/m or 100/h");
  }
  for (const [text, meant] of [["50/sec", "50/s"], ["20/minute", "20/m"], ["1/hour", "1/h"]] as const) {
    assertThrows(() => parseRate("rate", text), UsageError, `"${text}": did you mean "${meant}"?`);
  }
});

Deno.test("percentages", () => {
  const shares = ["0", "50", "50%", "12.5", "100"].map((text) => parsePercentage("jitter", text));
  assertEquals(shares, [0, 0.5, 0.5, 0.125, 1]);
  for (const text of ["101", "-1", "half", "", "%", "50%%"]) {
    assertThrows(() => parsePercentage("jitter", text), UsageError, `"${text}": expected 0 to 100`);
  }
});

Deno.test("counts", () => {
  assertEquals(parseCount("max", "1"), 1);
  assertEquals(parseCount("max", "007"), 7);
  for (const text of ["-1", "1.5", "1e3", "ten", ""]) {
    assertThrows(() => parseCount("max", text), UsageError, `"${text}": expected a whole number`);
  }
});
