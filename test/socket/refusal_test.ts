// What a failed call says of why nothing was done: it depends on the call.

import { assertEquals, assertMatch } from "@std/assert";
import { SyscallError } from "../../ffi/errno.ts";
import { explainDuplicateError } from "../../src/socket/with_duplicate.ts";

const [EPERM, EINVAL, ENOSYS, ENOBUFS] = [1, 22, 38, 105];

function refusal(syscall: string, errno: number): [outcome: string, message: string] {
  const { outcome, message } = explainDuplicateError(new SyscallError(syscall, errno));
  return [outcome, message];
}

Deno.test("only a thread's pidfd needs a newer kernel", () => {
  const [outcome, message] = refusal("pidfd_open", EINVAL);
  assertEquals(outcome, "unsupported");
  assertMatch(message, /thread.*Linux 6\.9/);
  for (const syscall of ["getsockopt", "setsockopt", "shutdown"]) {
    assertEquals(refusal(syscall, EINVAL), ["failed", `${syscall}: EINVAL`]);
  }
});

Deno.test("only taking a descriptor is a matter of whose process it is", () => {
  const [outcome, message] = refusal("pidfd_getfd", EPERM);
  assertEquals(outcome, "denied");
  assertMatch(message, /CAP_SYS_PTRACE/);
  assertEquals(refusal("setsockopt", EPERM), [
    "denied",
    "setsockopt: EPERM: a seccomp profile, a cgroup's program or a security module forbids it",
  ]);
});

Deno.test("a missing call is the kernel's age only where the call is young", () => {
  assertMatch(refusal("pidfd_getfd", ENOSYS)[1], /Linux 5\.6 and a seccomp profile/);
  assertEquals(refusal("shutdown", ENOSYS), [
    "unsupported",
    "shutdown(2) is missing: needs a seccomp profile that allows it",
  ]);
  assertEquals(refusal("shutdown", ENOBUFS), ["failed", "shutdown: ENOBUFS"]);
});
