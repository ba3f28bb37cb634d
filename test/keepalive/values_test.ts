import { assertEquals, assertThrows } from "@std/assert";
import {
  type GivenValues,
  KEEPALIVE_FIELDS,
  KEEPALIVE_NAMES,
  parseValue,
  resolveValues,
  SYSTEM_VALUES,
} from "../../src/keepalive/values.ts";
import { UsageError } from "../../src/model/errors.ts";

const LIBKEEPALIVE = { ...SYSTEM_VALUES, idleS: 15, intervalS: 15, count: 9, userTimeoutMs: 150_000 };

/** The message of the UsageError that `run` throws. */
function refusal(run: () => unknown): string {
  return assertThrows(run, UsageError).message;
}

Deno.test("nothing given: libkeepalive's defaults", () => {
  assertEquals(resolveValues(), { values: LIBKEEPALIVE, debug: false, warnings: [] });
});

Deno.test("the user timeout auto follows idle, interval and count, and 0 leaves the system's", () => {
  const auto = resolveValues({ idleS: 4, intervalS: 2, count: 3, userTimeoutMs: "auto" });
  assertEquals(auto.values.userTimeoutMs, 10_000);
  assertEquals(resolveValues({ userTimeoutMs: 0 }).values.userTimeoutMs, 0);
  const nothing = { idleS: 0, intervalS: 0, count: 0 };
  assertEquals(resolveValues(nothing).values, SYSTEM_VALUES);
});

Deno.test("each value is refused outside the kernel's range, and the range is stated", () => {
  for (const name of KEEPALIVE_NAMES) {
    const { minimum, maximum, unit } = KEEPALIVE_FIELDS[name];
    // Only the value in question is set, so that no other decides.
    const set = (value: number): GivenValues => ({ ...SYSTEM_VALUES, [name]: value });
    assertEquals(resolveValues(set(minimum)).values[name], minimum);
    assertEquals(resolveValues(set(maximum)).values[name], maximum);
    assertEquals(resolveValues(set(0)).values[name], 0);
    const wrong = [maximum + 1, -1, minimum + 0.5, NaN, ...(minimum > 1 ? [minimum - 1] : [])];
    for (const value of wrong) {
      assertEquals(
        refusal(() => resolveValues(set(value))),
        `values.${name} ${value} is out of range: it takes ${minimum} to ${maximum} ${unit}, or 0 to leave the system's value`,
      );
    }
  }
});

Deno.test("a derived user timeout that no int can hold is refused", () => {
  assertEquals(
    refusal(() => resolveValues({ idleS: 32767, intervalS: 32767, count: 127 })),
    "values.userTimeoutMs auto would be 4194176000 milliseconds: it takes at most 2147483647, so give one, or 0 for none",
  );
});

Deno.test("parseValue takes whole numbers and times, and auto for the user timeout alone", () => {
  assertEquals(["15", "15s", "15000ms", "0.25m"].map((text) => parseValue("idleS", text)), [15, 15, 15, 15]);
  assertEquals(["0", "0s"].map((text) => parseValue("idleS", text)), [0, 0]);
  assertEquals(["auto", "30s", "1500ms", "0"].map((text) => parseValue("userTimeoutMs", text)), [
    "auto",
    30_000,
    1500,
    0,
  ]);
  const refusals: [Parameters<typeof parseValue>, string][] = [
    [["idleS", "1500ms"], 'idle "1500ms" is not whole: the kernel counts it in seconds'],
    [["userTimeoutMs", "5000"], 'user-timeout "5000" has no unit: expected 5000ms or 5000s'],
    [["count", ""], 'count "" is not a number: it takes a whole number of probes'],
    [["count", "9s"], 'count "9s" is not a number: it takes a whole number of probes'],
    [
      ["userTimeoutMs", "soon"],
      'Not a time for user-timeout: "soon": expected a number with a unit, such as 500ms, 30s, 5m or 2h, or auto or 0',
    ],
  ];
  for (const [value, message] of refusals) assertEquals(refusal(() => parseValue(...value)), message);
  for (const text of ["-1", "auto", "1.5", "1e3", " 1", "0x10"]) refusal(() => parseValue("idleS", text));
});

Deno.test("libkeepalive's variables are read by its names and units", () => {
  const environment = {
    TCP_KEEPIDLE: "2",
    TCP_KEEPINTVL: "3",
    TCP_KEEPCNT: "4",
    TCP_USER_TIMEOUT: "9000",
    TCP_SYNCNT: "5",
    TCP_MAXSEG: "1400",
    TCP_WINDOW_CLAMP: "9999",
    TCP_DEFER_ACCEPT: "7",
    LIBKEEPALIVE_DEBUG: "",
    PATH: "/bin",
  };
  assertEquals(resolveValues({}, environment), {
    values: {
      idleS: 2,
      intervalS: 3,
      count: 4,
      userTimeoutMs: 9000,
      syncnt: 5,
      maxseg: 1400,
      windowClamp: 9999,
      deferAcceptS: 7,
    },
    debug: true,
    warnings: [],
  });
});

Deno.test("TCP_USER_TIMEOUT below 0 derives, 0 leaves the system's", () => {
  const timeout = (text: string) => resolveValues({}, { TCP_USER_TIMEOUT: text, TCP_KEEPIDLE: "1" });
  assertEquals(timeout("-1").values.userTimeoutMs, 136_000);
  assertEquals(timeout("-20").values.userTimeoutMs, 136_000);
  assertEquals(timeout("0").values.userTimeoutMs, 0);
  assertEquals(timeout("-1").warnings, []);
});

Deno.test("a variable is read as atoi(3) reads it, with a warning where that is not what it says", () => {
  const cases: [string, number, string | null][] = [
    ["15", 15, null],
    ["0", 0, null],
    ["15s", 15, `TCP_KEEPIDLE="15s" is read as 15`],
    [" +7", 7, `TCP_KEEPIDLE=" +7" is read as 7`],
    ["", 0, `TCP_KEEPIDLE="" is read as 0, which leaves the system's value`],
    ["soon", 0, `TCP_KEEPIDLE="soon" is read as 0, which leaves the system's value`],
    ["-3", 0, `TCP_KEEPIDLE="-3" is read as 0, which leaves the system's value`],
  ];
  for (const [text, idleS, warning] of cases) {
    const resolved = resolveValues({ userTimeoutMs: 0 }, { TCP_KEEPIDLE: text });
    assertEquals(resolved.values.idleS, idleS, text);
    assertEquals(resolved.warnings, warning === null ? [] : [warning]);
  }
});

Deno.test("a variable outside the range is refused by its own name", () => {
  assertEquals(
    refusal(() => resolveValues({}, { TCP_KEEPCNT: "200" })),
    "TCP_KEEPCNT=200 is out of range: it takes 1 to 127 probes, or 0 to leave the system's value",
  );
});

Deno.test("what is given wins over a variable, which is then not even looked at", () => {
  const resolved = resolveValues({ idleS: 5, count: 0 }, {
    TCP_KEEPIDLE: "99999",
    TCP_KEEPCNT: "soon",
    TCP_KEEPINTVL: "2",
  });
  assertEquals(resolved.values, { ...LIBKEEPALIVE, idleS: 5, intervalS: 2, count: 0, userTimeoutMs: 5000 });
  assertEquals(resolved.warnings, []);
});

Deno.test("a user timeout shorter than idle is allowed, with a warning that says what it means", () => {
  assertEquals(resolveValues({ userTimeoutMs: 14_999 }).warnings.length, 1);
  assertEquals(resolveValues({ userTimeoutMs: 15_000 }).warnings, []);
  assertEquals(resolveValues({ userTimeoutMs: 5000 }).warnings, [
    "user-timeout 5 s is shorter than idle 15 s: the count is ignored, an idle connection is dropped after one " +
    "unanswered probe, and one with data in flight after 5 s",
  ]);
});

Deno.test("where idle is the system's, the warning compares with the system's", () => {
  const given = { idleS: 0, userTimeoutMs: 60_000 };
  assertEquals(resolveValues(given).warnings.length, 1);
  assertEquals(resolveValues(given, {}, 60).warnings, []);
});
