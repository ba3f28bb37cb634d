// Which failures pass, and what is said of them.

import { assertEquals, assertThrows } from "@std/assert";
import { SyscallError } from "../../ffi/errno.ts";
import { Trouble } from "../../src/report/trouble.ts";
import { isPassing, Unsupported } from "../../src/model/errors.ts";

const [EPERM, ENFILE, EMFILE, ENOBUFS] = [1, 23, 24, 105];

Deno.test("what a host is short of passes; what it forbids or lacks does not", () => {
  for (const errno of [ENFILE, EMFILE, ENOBUFS]) assertEquals(isPassing(new SyscallError("openat", errno)), true);
  assertEquals(isPassing(new Unsupported("The list changes too fast", { passing: true })), true);
  for (
    const error of [new SyscallError("openat", EPERM), new Unsupported("No sock_diag"), new TypeError("ENFILE"), "x"]
  ) {
    assertEquals(isPassing(error), false);
  }
});

Deno.test("trouble is told of once when it begins, and once when it is over", () => {
  const told: string[] = [];
  const trouble = new Trouble((text) => told.push(text));
  const attempt = (...errnos: number[]) => {
    for (const errno of errnos) trouble.bear(new SyscallError("openat", errno));
    trouble.conclude();
  };
  attempt();
  assertEquals(told, []);
  attempt(ENFILE, EMFILE);
  attempt(EMFILE);
  assertThrows(() => trouble.end(), SyscallError, "EMFILE");
  assertEquals(told.splice(0), ["trying again after openat: ENFILE"]);
  attempt();
  attempt();
  trouble.end();
  assertEquals(told.splice(0), ["has passed: openat: ENFILE"]);
  trouble.note("pid 812 (postgres): pidfd_getfd: EMFILE");
  assertEquals(told, ["trying again after pid 812 (postgres): pidfd_getfd: EMFILE"]);
});

Deno.test("what does not pass is no trouble to be borne", () => {
  const error = new SyscallError("openat", EPERM);
  assertEquals(assertThrows(() => new Trouble().bear(error)), error);
});
