// The program for aarch64, on another machine: QEMU translates it and its system calls, all but those of sock_diag.

import { assertEquals, assertMatch } from "@std/assert";
import { run } from "../harness/process.ts";
import { AARCH64_ROOT, hostTest, type Need } from "../harness/system.ts";
import { AARCH64, TCPHUP } from "../harness/tcphup.ts";

const NEEDS: readonly Need[] = ["root", "TCPHUP_AARCH64", "qemu-aarch64", "glibc for aarch64"];

async function emulated(...args: string[]): Promise<{ code: number; stdout: string }> {
  const { code, stdout, stderr } = await run(["qemu-aarch64", "-L", AARCH64_ROOT, AARCH64!, ...args], {
    mayFail: true,
  });
  assertEquals(stderr, "");
  return { code, stdout };
}

hostTest("aarch64: the program is whole", NEEDS, async () => {
  const command = ["plan", "--idle", "20", "--interval", "5", "--count", "3"];
  assertEquals(await emulated(...command), { code: 0, stdout: (await run([...TCPHUP, ...command])).stdout });
});

hostTest("aarch64: it calls libc and the kernel as they want it there", NEEDS, async () => {
  const { code, stdout } = await emulated("doctor");
  // QEMU knows no sock_diag, without which there is nothing to hang up on.
  assertEquals(code, 4);
  assertMatch(stdout, /^missing +sock_diag: list TCP sockets: /m);
  for (const subject of ["/proc: .*", "pidfd_getfd: duplicate .*", "shutdown: .*", "connect.*", "setns: .*"]) {
    assertMatch(stdout, new RegExp(`^(ok|limited) +${subject}`, "m"));
  }
});
