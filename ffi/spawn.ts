// Programs: starting one in a child, waiting for it, and turning this process into one.

import { check, cString, lazily } from "./call.ts";
import { host } from "./deno.ts";
import type { Descriptor } from "./descriptor.ts";
import { SyscallError } from "./errno.ts";
import { allocate, cStrings } from "./memory.ts";
import { SIGCHLD, SIGUSR2 } from "./signal.ts";

/** What a child in a session of its own needs. */
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

/** posix_spawn(3) for a child with the environment of this process, which is an address and no buffer of ours. */
const spawnSymbols = lazily({
  posix_spawn: { parameters: ["buffer", "buffer", "buffer", "buffer", "buffer", "usize"], result: "i32" },
});

const waitSymbols = lazily({ waitpid: { parameters: ["i32", "buffer", "i32"], result: "i32" } });

const execSymbols = lazily({ execvpe: { parameters: ["buffer", "buffer", "buffer"], result: "i32" } });

/** What a new process does to its descriptors before its program starts, in this order. */
export type FileAction =
  | { readonly action: "open"; readonly fd: number; readonly path: string; readonly flags: number }
  | { readonly action: "duplicate"; readonly from: Descriptor; readonly to: number }
  | { readonly action: "close"; readonly fd: number };

const POSIX_SPAWN_SETSIGDEF = 0x04;
const POSIX_SPAWN_SETSIGMASK = 0x08;
const POSIX_SPAWN_SETSID = 0x80;
/** More than posix_spawnattr_t, the larger of the two opaque types, takes (336 bytes). */
const OPAQUE_SIZE = 512;
const SIGSET_SIZE = 128;

/** posix_spawn(3) answers with an errno. */
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
    for (const signal of [SIGCHLD, SIGUSR2]) signals[(signal - 1) >> 3] |= 1 << ((signal - 1) & 7);
    checkSpawn(c.posix_spawnattr_setsigdefault(attributes, signals));
    // The mask that SETSIGMASK sets is the empty one that init has put there.
    const flags = POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK;
    checkSpawn(c.posix_spawnattr_setflags(attributes, flags));
    const pid = new Int32Array(1);
    checkSpawn(c.posix_spawn(pid, cString(path), files, attributes, cStrings(args), cStrings(environment)));
    return pid[0];
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
 * posix_spawn(3) of a child in the session and the process group of this process, with its environment and all of its
 * descriptors but those that execve(2) closes.
 *
 * @param path The program, absolute.
 * @param args Its arguments, the name by which it is called among them.
 * @param streams Descriptors that the child has as its standard streams; a stream of the same number stays open.
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
  return pid[0];
}

/** waitpid(2) for a child that ends by itself. Returns its wait status. */
export function wait(pid: number): number {
  const status = new Int32Array(1);
  check("waitpid", waitSymbols().waitpid(pid, status, 0));
  return status[0];
}

const WNOHANG = 1;

/** waitpid(2) with WNOHANG: whether a child has ended. */
export function hasEnded(pid: number): boolean {
  return waitSymbols().waitpid(pid, null, WNOHANG) !== 0;
}

/**
 * execve(2): this process becomes `path`. A file that the kernel does not know how to run goes to /bin/sh, as
 * execvpe(3) and shells have it.
 *
 * @throws {SyscallError} It returns only by failing.
 */
export function execute(path: string, args: readonly Uint8Array[], environment: readonly Uint8Array[]): never {
  check("execve", execSymbols().execvpe(cString(path), cStrings(args), cStrings(environment)));
  throw new Error("execve has returned");
}
