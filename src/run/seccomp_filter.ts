// The seccomp filter of a launched program: a classic BPF program over `struct seccomp_data`, seccomp(2).

import { isSyscallError } from "../../ffi/errno.ts";
import { AF_INET, AF_INET6, IPPROTO_MPTCP, IPPROTO_TCP, SOCK_STREAM } from "../../ffi/socket.ts";
import type { Descriptor } from "../../ffi/descriptor.ts";
import { setNoNewPrivs } from "../../ffi/process.ts";
import {
  installFilter,
  SECCOMP_RET_ALLOW,
  SECCOMP_RET_USER_NOTIF,
  SYS_CONNECT,
  SYS_LISTEN,
  SYS_SOCKET,
  type SyscallAbi,
} from "../../ffi/seccomp.ts";
import { UnsupportedError } from "../model/errors.ts";

/** A system call at which a socket is given its options. */
export type HookedSyscall = "connect" | "listen" | "socket";

/** Every system call that may be hooked. */
export const HOOKED_SYSCALLS: readonly HookedSyscall[] = ["connect", "listen", "socket"];

/** struct seccomp_data {s32 nr; u32 arch; u64 instruction_pointer, args[6]}. Little endian: an int comes first. */
const NR = 0;
const ARCH = 4;
const argument = (index: number) => 16 + index * 8;

/** Operations of <linux/bpf_common.h>. */
const LOAD = 0x20;
const AND = 0x54;
const JUMP_IF_EQUAL = 0x15;
const RETURN = 0x06;

/** The part of socket(2)'s type that is not SOCK_NONBLOCK or SOCK_CLOEXEC. */
const SOCK_TYPE_MASK = 0xf;

interface Instruction {
  readonly code: number;
  readonly k: number;
  /** The label to jump to when equal; null for an instruction that does not jump. */
  readonly target: string | null;
}

/** An assembler of classic BPF with labels. All jumps go forward, as the kernel demands. */
class Assembler {
  readonly #instructions: Instruction[] = [];
  readonly #labels = new Map<string, number>();

  label(name: string): void {
    this.#labels.set(name, this.#instructions.length);
  }

  add(code: number, k: number): void {
    this.#instructions.push({ code, k, target: null });
  }

  ifEqual(k: number, target: string): void {
    this.#instructions.push({ code: JUMP_IF_EQUAL, k, target });
  }

  /** Returns the program as an array of `struct sock_filter` {u16 code; u8 jt, jf; u32 k}. */
  assemble(): Uint8Array {
    const view = new DataView(new ArrayBuffer(this.#instructions.length * 8));
    this.#instructions.forEach(({ code, k, target }, i) => {
      view.setUint16(i * 8, code, true);
      if (target !== null) view.setUint8(i * 8 + 2, this.#labels.get(target)! - i - 1);
      view.setUint32(i * 8 + 4, k, true);
    });
    return new Uint8Array(view.buffer);
  }
}

/**
 * Compiles a filter that notifies the supervisor of the calls of `on`, in every ABI, and allows every other call. Calls
 * that are not hooked are allowed by their number alone, so that the kernel (5.11) caches the answer and does not run
 * the filter.
 */
export function compileFilter(syscallAbis: readonly SyscallAbi[], on: ReadonlySet<HookedSyscall>): Uint8Array {
  const program = new Assembler();
  program.add(LOAD, ARCH);
  syscallAbis.forEach((abi, i) => program.ifEqual(abi.arch, `abi ${i}`));
  program.add(RETURN, SECCOMP_RET_ALLOW);
  syscallAbis.forEach((abi, i) => {
    program.label(`abi ${i}`);
    filterAbi(program, abi, on, `of ${i}`);
  });
  return program.assemble();
}

function filterAbi(program: Assembler, abi: SyscallAbi, on: ReadonlySet<HookedSyscall>, of: string): void {
  program.add(LOAD, NR);
  if (abi.ignoredBits !== 0) program.add(AND, ~abi.ignoredBits);
  if (on.has("connect")) program.ifEqual(abi.connect, `ask ${of}`);
  if (on.has("listen")) program.ifEqual(abi.listen, `ask ${of}`);
  if (on.has("socket")) program.ifEqual(abi.socket, `socket ${of}`);
  if (abi.socketcall !== undefined) program.ifEqual(abi.socketcall, `socketcall ${of}`);
  program.add(RETURN, SECCOMP_RET_ALLOW);
  if (on.has("socket")) filterSocket(program, of);
  if (abi.socketcall !== undefined) filterSocketcall(program, on, of);
  program.label(`ask ${of}`);
  program.add(RETURN, SECCOMP_RET_USER_NOTIF);
}

/** Hooks socket(2) for TCP and MPTCP only. */
function filterSocket(program: Assembler, of: string): void {
  program.label(`socket ${of}`);
  program.add(LOAD, argument(0));
  program.ifEqual(AF_INET, `type ${of}`);
  program.ifEqual(AF_INET6, `type ${of}`);
  program.add(RETURN, SECCOMP_RET_ALLOW);
  program.label(`type ${of}`);
  program.add(LOAD, argument(1));
  program.add(AND, SOCK_TYPE_MASK);
  program.ifEqual(SOCK_STREAM, `protocol ${of}`);
  program.add(RETURN, SECCOMP_RET_ALLOW);
  program.label(`protocol ${of}`);
  program.add(LOAD, argument(2));
  for (const protocol of [0, IPPROTO_TCP, IPPROTO_MPTCP]) program.ifEqual(protocol, `ask ${of}`);
  program.add(RETURN, SECCOMP_RET_ALLOW);
}

/** Hooks socketcall(2) by its first argument. The others are in memory, which a filter cannot read. */
function filterSocketcall(program: Assembler, on: ReadonlySet<HookedSyscall>, of: string): void {
  program.label(`socketcall ${of}`);
  program.add(LOAD, argument(0));
  if (on.has("connect")) program.ifEqual(SYS_CONNECT, `ask ${of}`);
  if (on.has("listen")) program.ifEqual(SYS_LISTEN, `ask ${of}`);
  if (on.has("socket")) program.ifEqual(SYS_SOCKET, `ask ${of}`);
  program.add(RETURN, SECCOMP_RET_ALLOW);
}

/** An installed filter. */
export interface Installed {
  readonly listener: Descriptor;
  /** True when no_new_privs had to be set, because this process has no CAP_SYS_ADMIN. */
  readonly noNewPrivs: boolean;
}

/** Installs `program`, an array of `struct sock_filter`, on the calling thread. */
export function install(program: Uint8Array): Installed {
  try {
    return { listener: installFilter(program), noNewPrivs: false };
  } catch (error) {
    if (!isSyscallError(error, "EACCES")) throw explain(error);
  }
  setNoNewPrivs();
  try {
    return { listener: installFilter(program), noNewPrivs: true };
  } catch (error) {
    throw explain(error);
  }
}

function explain(error: unknown): unknown {
  if (isSyscallError(error, "EBUSY")) {
    return new UnsupportedError(
      "another supervisor already has a seccomp listener here, and the kernel allows one: " +
        "this is inside another tcphup run, or a container whose runtime has one",
      { cause: error },
    );
  }
  if (isSyscallError(error, "EINVAL", "ENOSYS")) {
    return new UnsupportedError(
      "this kernel has no seccomp user notification: Linux 5.9 with CONFIG_SECCOMP_FILTER has",
      { cause: error },
    );
  }
  if (!isSyscallError(error)) return error;
  return new UnsupportedError(`the seccomp filter cannot be installed: ${error.code}`, { cause: error });
}
