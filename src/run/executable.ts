// Finds the program that a command names, as execvp(3) and shells do.

import { checkExecutable, S_IFMT, S_IFREG, statx, xattrLength } from "../../ffi/fs.ts";
import { attempt, isSyscallError, withFallback } from "../../ffi/errno.ts";
import { CommandError } from "../model/errors.ts";

/** The path that execvp(3) searches without PATH: _CS_PATH of confstr(3) in glibc. */
const DEFAULT_PATH = "/bin:/usr/bin";

const S_ISUID = 0o4000;
const S_ISGID = 0o2000;
const S_IXGRP = 0o10;

/** Returns the path of the program: `name` itself when it contains a slash, else the first executable file in `path`. */
export function findProgram(name: string, path = DEFAULT_PATH): string {
  // An empty name in a directory of PATH would be the directory.
  if (name === "") throw cannotExecute(name, "ENOENT");
  if (name.includes("/")) {
    const error = whyNotExecutable(name);
    if (error === null) return name;
    throw cannotExecute(name, error);
  }
  let refused: string | null = null;
  for (const directory of path.split(":")) {
    const candidate = `${directory === "" ? "." : directory}/${name}`;
    const error = whyNotExecutable(candidate);
    if (error === null) return candidate;
    // A file that may not be executed is reported only when no other is found.
    if (error === "EACCES" && refused === null && attempt(() => statx(null, candidate))) refused = candidate;
  }
  if (refused !== null) throw cannotExecute(refused, "EACCES");
  throw new CommandError(`command "${name}" not found: no directory of PATH has an executable file of that name`, 127);
}

/** Returns the error of a command that is not found (ENOENT, exit code 127) or not executable (any other, 126). */
export function cannotExecute(path: string, code: string): CommandError {
  if (code === "ENOENT") return new CommandError(`command "${path}" not found`, 127);
  const reason = code === "EACCES" ? "it is not an executable file" : code;
  return new CommandError(`command "${path}" cannot be executed: ${reason}`, 126);
}

/** Returns the name of the errno that execve(2) would give; null when the file can be executed. */
function whyNotExecutable(path: string): string | null {
  try {
    checkExecutable(path);
    return (statx(null, path).mode & S_IFMT) === S_IFREG ? null : "EACCES";
  } catch (error) {
    if (isSyscallError(error)) return error.code;
    throw error;
  }
}

/** Names the privileges that execve(2) would give a program without no_new_privs; null for an ordinary program. */
export function privilegesOf(path: string, euid: number): string | null {
  const { mode, uid } = statx(null, path);
  if (mode & S_ISUID && uid !== euid) return "set-user-ID";
  // Without group execution the bit means mandatory locking, inode(7).
  if (mode & S_ISGID && mode & S_IXGRP) return "set-group-ID";
  const hasCapabilities = withFallback(false, () => xattrLength(path, "security.capability") > 0);
  return hasCapabilities ? "given capabilities" : null;
}
