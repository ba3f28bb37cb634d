// Programs: starting one in a child, waiting for it, and turning this process into one.

import { check, cString, lazily } from "./call.ts";
import { host } from "./deno.ts";
import type { Descriptor } from "./descriptor.ts";
import { SyscallError } from "./errno.ts";
import { allocate, cStrings } from "./memory.ts";
import { SIGCHLD, SIGUSR2 } from "./signal.ts";

/** posix_spawn(3) for a child in a session of its own. */
const sessionSymbols = lazily({
  posix_spawn: { parameters: ["buffer", "buffer", "buffer", "buffer", "buffer", "buffer"], result: "i32" },
  posix_spawn_file_actions_addopen: { parameters: ["buffer", "i32", "buffer", "i32", "u32"], result: "i32" },
  posix_spawn_file_actions_addclose: { parameters: ["buffer", "i32"], result: "i32" },
  posix_spawn_file_actions_destroy: { parameters: ["buffer"], result: "i32" },
  posix_spawnattr_init: { parameters: ["buffer"], result: "i32" },
  posix_spawnattr_setflags: { parameters: ["buffer", "i32"], result: "i32" },
  posix_spawnattr_setsigdefault: { parameters: ["buffer", "buffer"], result: "i32" },
  posix_spawnattr_destroy: { parameters: ["buffer"], result: "i32" },
});

const fileActionSymbols = lazily({
  posix_spawn_file_actions_init: { parameters: ["buffer"], result: "i32" },
  posix_spawn_file_actions_adddup2: { parameters: ["buffer", "i32", "i32"], result: "i32" },
});

/** posix_spawn(3) for a child with this process's environment, which is an address and no buffer. */
const spawnSymbols = lazily({
  posix_spawn: { parameters: ["buffer", "buffer", "buffer", "buffer", "buffer", "usize"], result: "i32" },
});

const waitSymbols = lazily({ waitpid: { parameters: ["i32", "buffer", "i32"], result: "i32" } });

const execSymbols = lazily({ execvpe: { parameters: ["buffer", "buffer", "buffer"], result: "i32" } });

/** A change to the descriptors of a new process, made before its program starts. */
export type FileAction =
  | { readonly action: "open"; readonly fd: number; readonly path: string; readonly flags: number }
  | { readonly action: "duplicate"; readonly from: Descriptor; readonly to: number }
  | { readonly action: "close"; readonly fd: number };

const POSIX_SPAWN_SETSIGDEF = 0x04;
const POSIX_SPAWN_SETSIGMASK = 0x08;
const POSIX_SPAWN_SETSID = 0x80;
/** Enough for posix_spawnattr_t (336 bytes) and for posix_spawn_file_actions_t, which is smaller. */
const OPAQUE_SIZE = 512;
const SIGSET_SIZE = 128;

/** Throws the errno that functions of posix_spawn(3) return. */
function checkSpawn(error: number): void {
  if (error !== 0) throw new SyscallError("posix_spawn", error);
}

/**
 * posix_spawn(3) of a child in a session of its own, with no signal blocked, and SIGCHLD and SIGUSR2 not ignored.
 *
 * @param path The program, absolute.
 * @returns The child's process id.
 */
export function spawn(
  path: string,
  args: readonly Uint8Array[],
  environment: readonly Uint8Array[],
  actions: readonly FileAction[],
): number {
  const c = sessionSymbols();
  const files = allocate(OPAQUE_SIZE);
  const attributes = allocate(OPAQUE_SIZE);
  checkSpawn(fileActionSymbols().posix_spawn_file_actions_init(files));
  checkSpawn(c.posix_spawnattr_init(attributes));
  try {
    for (const action of actions) addFileAction(files, action);
    const signals = allocate(SIGSET_SIZE);
    for (const signal of [SIGCHLD, SIGUSR2]) signals[(signal - 1) >> 3]! |= 1 << ((signal - 1) & 7);
    checkSpawn(c.posix_spawnattr_setsigdefault(attributes, signals));
    // posix_spawnattr_init(3) has set an empty signal mask.
    const flags = POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK;
    checkSpawn(c.posix_spawnattr_setflags(attributes, flags));
    const pid = new Int32Array(1);
    checkSpawn(c.posix_spawn(pid, cString(path), files, attributes, cStrings(args), cStrings(environment)));
    return pid[0]!;
  } finally {
    c.posix_spawn_file_actions_destroy(files);
    c.posix_spawnattr_destroy(attributes);
  }
}

function addFileAction(files: Uint8Array, action: FileAction): void {
  const c = sessionSymbols();
  switch (action.action) {
    case "open":
      return checkSpawn(c.posix_spawn_file_actions_addopen(files, action.fd, cString(action.path), action.flags, 0));
    case "duplicate":
      return checkSpawn(fileActionSymbols().posix_spawn_file_actions_adddup2(files, action.from.number, action.to));
    case "close":
      return checkSpawn(c.posix_spawn_file_actions_addclose(files, action.fd));
  }
}

/**
 * posix_spawn(3) of a child in this process's session and process group, with its environment and the descriptors that
 * execve(2) leaves open.
 *
 * @param path The program, absolute.
 * @param args Its arguments, from argv[0] on.
 * @param streams Descriptors that become the child's standard streams; a stream of the same number stays open.
 * @returns The child's process id.
 */
export function spawnChild(
  path: string,
  args: readonly Uint8Array[],
  streams: readonly (readonly [from: Descriptor, to: 0 | 1 | 2])[],
): number {
  const files = streams.length === 0 ? null : allocate(OPAQUE_SIZE);
  if (files !== null) checkSpawn(fileActionSymbols().posix_spawn_file_actions_init(files));
  for (const [from, to] of streams) {
    checkSpawn(fileActionSymbols().posix_spawn_file_actions_adddup2(files, from.number, to));
  }
  const pid = new Int32Array(1);
  checkSpawn(spawnSymbols().posix_spawn(pid, cString(path), files, null, cStrings(args), host.environ()));
  return pid[0]!;
}

/** waitpid(2): waits until a child ends. Returns its wait status. */
export function wait(pid: number): number {
  const status = new Int32Array(1);
  check("waitpid", waitSymbols().waitpid(pid, status, 0));
  return status[0]!;
}

const WNOHANG = 1;

/** waitpid(2) with WNOHANG: returns whether a child has ended. */
export function hasEnded(pid: number): boolean {
  return waitSymbols().waitpid(pid, null, WNOHANG) !== 0;
}

/**
 * execvpe(3): replaces this process's program with `path`. A file in a format that the kernel does not know is run by
 * /bin/sh.
 *
 * @throws {SyscallError}
 */
export function execute(path: string, args: readonly Uint8Array[], environment: readonly Uint8Array[]): never {
  check("execve", execSymbols().execvpe(cString(path), cStrings(args), cStrings(environment)));
  throw new Error("execve has returned");
}
