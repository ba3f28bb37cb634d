// The filter, run by an interpreter of classic BPF over calls of every kind of program.

import { assert, assertEquals } from "@std/assert";
import { SECCOMP_RET_ALLOW, SECCOMP_RET_USER_NOTIF, type SyscallAbi, syscallAbis } from "../../ffi/seccomp.ts";
import { compileFilter, HOOKED_SYSCALLS, type HookedSyscall } from "../../src/run/seccomp_filter.ts";

/** What the kernel's interpreter would return for a call, and whether it had to look at more than number and kind. */
function judge(program: Uint8Array, arch: number, nr: number, args: number[] = []): { asks: boolean; looked: boolean } {
  const instructions = new DataView(program.buffer);
  const data = new DataView(new ArrayBuffer(64));
  data.setInt32(0, nr, true);
  data.setUint32(4, arch, true);
  args.forEach((arg, i) => data.setInt32(16 + i * 8, arg, true));
  let accumulator = 0;
  let looked = false;
  for (let i = 0; i < program.length / 8; i++) {
    const k = instructions.getUint32(i * 8 + 4, true);
    switch (instructions.getUint16(i * 8, true)) {
      case 0x20:
        accumulator = data.getUint32(k, true);
        looked ||= k >= 8;
        break;
      case 0x54:
        accumulator = (accumulator & k) >>> 0;
        break;
      case 0x15:
        i += instructions.getUint8(i * 8 + (accumulator === k ? 2 : 3));
        break;
      case 0x06:
        assert(k === SECCOMP_RET_ALLOW || k === SECCOMP_RET_USER_NOTIF);
        return { asks: k === SECCOMP_RET_USER_NOTIF, looked };
      default:
        throw new Error(`instruction ${i} is none that a seccomp filter may have`);
    }
  }
  throw new Error("the program has no end");
}

const MACHINES = ["x86_64", "aarch64"] as const;
const TCP = [2, 1, 0];

function each(test: (numbers: SyscallAbi, all: readonly SyscallAbi[], on: Set<HookedSyscall>) => void): void {
  for (const machine of MACHINES) {
    for (const numbers of syscallAbis(machine)) {
      for (
        const on of [["connect"], ["listen"], ["socket"], ["connect", "listen"], [
          ...HOOKED_SYSCALLS,
        ]] as HookedSyscall[][]
      ) {
        test(numbers, syscallAbis(machine), new Set(on));
      }
    }
  }
}

Deno.test("asks about the calls that it is for, and allows every other by its number alone", () => {
  each((numbers, all, on) => {
    const program = compileFilter(all, on);
    for (let nr = -1; nr < 600; nr++) {
      const syscall = HOOKED_SYSCALLS.find((name) => numbers[name] === nr);
      const { asks, looked } = judge(program, numbers.arch, nr, TCP);
      if (nr === numbers.socketcall) continue;
      assertEquals(asks, syscall !== undefined && on.has(syscall), `call ${nr}`);
      assertEquals(looked, syscall === "socket" && on.has("socket"), `call ${nr}`);
    }
  });
});

Deno.test("x32 has the numbers of x86-64, with a bit that says so", () => {
  const program = compileFilter(syscallAbis("x86_64"), new Set(["connect"]));
  assert(judge(program, 0xc000003e, 42 | 0x40000000).asks);
  assert(!judge(program, 0xc000003e, 43 | 0x40000000).asks);
});

Deno.test("a kind of program that this machine does not run is allowed everything", () => {
  const program = compileFilter(syscallAbis("x86_64"), new Set(HOOKED_SYSCALLS));
  assert(!judge(program, 0xc00000b7, 203, TCP).asks);
  assert(!judge(program, 0, 42, TCP).asks);
});

Deno.test("socket: asks about what will be TCP or MPTCP, whatever the flags", () => {
  each((numbers, all, on) => {
    if (!on.has("socket")) return;
    const program = compileFilter(all, on);
    const asks = (...args: number[]) => judge(program, numbers.arch, numbers.socket, args).asks;
    for (const domain of [2, 10]) {
      for (const protocol of [0, 6, 262]) {
        for (const flags of [0, 0o4000, 0o2000000, 0o2004000]) assert(asks(domain, 1 | flags, protocol));
      }
      assert(!asks(domain, 2, 0), "UDP");
      assert(!asks(domain, 3, 6), "raw");
      assert(!asks(domain, 1, 132), "SCTP");
    }
    assert(!asks(1, 1, 0), "unix");
    assert(!asks(16, 3, 4), "netlink");
  });
});

Deno.test("socketcall: asks by its first argument", () => {
  const i386 = syscallAbis("x86_64")[1]!;
  const asked = (...on: HookedSyscall[]) => {
    const program = compileFilter(syscallAbis("x86_64"), new Set(on));
    return Array.from({ length: 21 }, (_, call) => call).filter((call) => judge(program, i386.arch, 102, [call]).asks);
  };
  assertEquals(asked("connect"), [3]);
  assertEquals(asked("listen"), [4]);
  assertEquals(asked(...HOOKED_SYSCALLS), [1, 3, 4]);
});
