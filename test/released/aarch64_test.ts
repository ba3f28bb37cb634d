// The program for aarch64, on another machine: QEMU translates it and its system calls, all but those of sock_diag.

import { assertEquals, assertMatch } from "@std/assert";
import { run } from "../harness/process.ts";
import { AARCH64_ROOT } from "../harness/needs.ts";
import { hostTest, type Need } from "../harness/system.ts";
import { AARCH64 } from "../harness/tcphup.ts";

const NEEDS: readonly Need[] = ["root", "TCPHUP_AARCH64", "qemu-aarch64", "glibc for aarch64"];

hostTest("aarch64: the program calls libc and the kernel as they want it there", NEEDS, async () => {
  const command = ["qemu-aarch64", "-L", AARCH64_ROOT, AARCH64!, "doctor"];
  const { code, stdout, stderr } = await run(command, { mayFail: true });
  // QEMU knows no sock_diag, without which there is nothing to hang up on.
  assertEquals([code, stderr], [4, ""]);
  assertMatch(stdout, /^missing +sock_diag: list TCP sockets: /m);
  // Nor does the kernel start a program of another machine's: it tries for itself, with what it may do in any case.
  assertMatch(stdout, /^limited +pidfd_getfd: duplicate a descriptor: tried on this process alone/m);
  assertMatch(stdout, /^(ok|limited) +pidfd_getfd: of any process: (works|denied) for \d+/m);
  assertMatch(stdout, /^(ok|limited) +setns: enter other network namespaces: (works for all|there is none|\d+ of) /m);
  for (const subject of ["shutdown:", "connect"]) assertMatch(stdout, new RegExp(`^ok +${subject}`, "m"));
});
