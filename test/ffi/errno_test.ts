// The names of errnos, compared with those that another table of the kernel's headers has.

import { assert, assertEquals } from "@std/assert";
import { constants } from "node:os";
import { errnoName, isSyscallError, SyscallError } from "../../ffi/errno.ts";

/** Names that share their number with one that is commoner. */
const ALIASES = ["EWOULDBLOCK", "ENOTSUP"];

Deno.test("every errno that the runtime knows has its name", () => {
  const known = Object.entries(constants.errno).filter(([name]) => !ALIASES.includes(name));
  assert(known.length > 70, `only ${known.length} errnos to compare with`);
  for (const [name, number] of known) assertEquals(errnoName(number), name);
});

Deno.test("no two errnos have the same name", () => {
  const names = Array.from({ length: 133 }, (_, i) => errnoName(i + 1));
  assertEquals(new Set(names).size, names.length);
  // What <asm-generic/errno.h> leaves out, since EWOULDBLOCK and EDEADLOCK are other numbers' names.
  assertEquals(names.filter((name) => name.startsWith("errno")), ["errno 41", "errno 58"]);
});

Deno.test("an errno without a name is its number", () => {
  assertEquals([0, 134, 512, 4095].map(errnoName), ["errno 0", "errno 134", "errno 512", "errno 4095"]);
});

Deno.test("a failed call says which one it was and why", () => {
  const error = new SyscallError("pidfd_getfd", 1);
  assertEquals(error.message, "pidfd_getfd: EPERM");
  assertEquals([error.name, error.syscall, error.errno, error.code], ["SyscallError", "pidfd_getfd", 1, "EPERM"]);
});

Deno.test("a failed call is told from other errors, and by its code", () => {
  const error: unknown = new SyscallError("recv", 105);
  assert(isSyscallError(error));
  assert(isSyscallError(error, "EAGAIN", "ENOBUFS"));
  assert(!isSyscallError(error, "EAGAIN"));
  assert(!isSyscallError(new Error("recv: ENOBUFS")));
  assert(!isSyscallError({ code: "ENOBUFS" }, "ENOBUFS"));
  assert(!isSyscallError(null));
});
