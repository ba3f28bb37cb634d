// Transient errors: when they are reported.

import { assertEquals, assertThrows } from "@std/assert";
import { SyscallError } from "../../ffi/errno.ts";
import { TransientErrors } from "../../src/report/transient_errors.ts";

const [EPERM, ENFILE, EMFILE] = [1, 23, 24];

Deno.test("a transient error is told of once when it begins, and once when it has passed", () => {
  const told: string[] = [];
  const transientErrors = new TransientErrors((text) => told.push(text));
  const attempt = (...errnos: number[]) => {
    for (const errno of errnos) transientErrors.tolerate(new SyscallError("openat", errno));
    transientErrors.endAttempt();
  };
  attempt();
  assertEquals(told, []);
  attempt(ENFILE, EMFILE);
  attempt(EMFILE);
  assertThrows(() => transientErrors.rethrowLast(), SyscallError, "EMFILE");
  assertEquals(told.splice(0), ["trying again after openat: ENFILE"]);
  attempt();
  attempt();
  transientErrors.rethrowLast();
  assertEquals(told.splice(0), ["has passed: openat: ENFILE"]);
  transientErrors.note("pid 812 (postgres): pidfd_getfd: EMFILE");
  assertEquals(told, ["trying again after pid 812 (postgres): pidfd_getfd: EMFILE"]);
});

Deno.test("what does not pass is not tolerated", () => {
  const error = new SyscallError("openat", EPERM);
  assertEquals(assertThrows(() => new TransientErrors().tolerate(error)), error);
});
