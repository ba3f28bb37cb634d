// Which capabilities this thread has, and what is said of those that are missing.

import { assert, assertEquals, assertMatch } from "@std/assert";
import {
  explainGetfdDenied,
  explainProcDenied,
  hasCapability,
  yamaForbids,
  yamaScope,
} from "../../../src/linux/proc/permissions.ts";
import { asUnprivileged } from "../../resolve/user.ts";

/** The effective capabilities of this thread, as a mask. */
function effective(): bigint {
  const [, mask] = /^CapEff:\s*([0-9a-f]+)$/m.exec(Deno.readTextFileSync("/proc/thread-self/status"))!;
  return BigInt(`0x${mask}`);
}

/** <linux/capability.h> */
const NUMBERS = {
  CAP_DAC_OVERRIDE: 1n,
  CAP_DAC_READ_SEARCH: 2n,
  CAP_NET_ADMIN: 12n,
  CAP_SYS_PTRACE: 19n,
  CAP_SYS_ADMIN: 21n,
} as const;
const NAMES = Object.keys(NUMBERS) as (keyof typeof NUMBERS)[];

Deno.test("capabilities are the bits of CapEff", () => {
  for (const name of NAMES) assertEquals(hasCapability(name), (effective() & 1n << NUMBERS[name]) !== 0n, name);
});

Deno.test("another user than root has none", () => {
  asUnprivileged(() => assertEquals(NAMES.filter(hasCapability), []));
});

Deno.test("Yama's scope is what the kernel says, 0 without Yama", () => {
  let scope = 0;
  try {
    scope = Number(Deno.readTextFileSync("/proc/sys/kernel/yama/ptrace_scope"));
  } catch (error) {
    assert(error instanceof Deno.errors.NotFound);
  }
  assertEquals(yamaScope(), scope);
});

Deno.test("yamaForbids: from scope 1 on without CAP_SYS_PTRACE, at 3 with it too", () => {
  assertEquals([0, 1, 2, 3].map((scope) => yamaForbids(scope, false)), [false, true, true, true]);
  assertEquals([0, 1, 2, 3].map((scope) => yamaForbids(scope, true)), [false, false, false, true]);
});

Deno.test("what is missing is said in one line, by name", () => {
  assertMatch(explainGetfdDenied(), /^[^\n]*(CAP_SYS_PTRACE|ptrace_scope)[^\n]*$/);
  assertMatch(
    asUnprivileged(explainGetfdDenied),
    /^(needs CAP_SYS_PTRACE(, also .*)?|kernel\.yama\.ptrace_scope is 3.*)$/,
  );
  assertEquals(asUnprivileged(explainProcDenied), "needs CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH");
});
