// Files that tcphup leaves on a host, whole or not at all.

import { isSyscallError } from "../../ffi/errno.ts";
import { readFile } from "../../ffi/files.ts";
import { createFile, makeDirectory, rename, S_IFMT, S_IFREG, setUmask, statx, unlink, write } from "../../ffi/fs.ts";
import { geteuid } from "../../ffi/process.ts";
import { self } from "./proc/process.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Returns how a file begins: null where there is none, and an empty text for what is no regular file. */
export function readBeginning(path: string): string | null {
  try {
    if ((statx(null, path).mode & S_IFMT) !== S_IFREG) return "";
    return decoder.decode(readFile(path, 1));
  } catch (error) {
    if (isSyscallError(error, "ENOENT")) return null;
    throw failure("read", path, error);
  }
}

/** Whether this process may write where files for all users are. */
export function isRoot(): boolean {
  return geteuid() === 0;
}

/**
 * Writes a file that everybody may read, in place of one that is there, and makes the directories that lead to it. Where
 * that fails, what was at `path` is there still.
 */
export function replaceFile(path: string, text: string): void {
  const umask = setUmask(0o022);
  try {
    makeDirectories(directoryOf(path));
    const temporary = `${path}.${self()}`;
    const file = createFile(temporary, 0o666);
    try {
      for (let rest = encoder.encode(text); rest.length > 0;) rest = rest.subarray(write(file, rest));
      rename(temporary, path);
    } catch (error) {
      unlink(temporary);
      throw error;
    } finally {
      file.close();
    }
  } catch (error) {
    throw failure("write", path, error);
  } finally {
    setUmask(umask);
  }
}

/** Returns the error for a file, in one line, where a system call has failed; any other as it is. */
function failure(verb: string, path: string, error: unknown): unknown {
  return isSyscallError(error) ? new Error(`Cannot ${verb} ${path}: ${error.code}`, { cause: error }) : error;
}

function directoryOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/"));
}

function makeDirectories(path: string): void {
  try {
    makeDirectory(path, 0o777);
  } catch (error) {
    if (isSyscallError(error, "EEXIST")) return;
    if (!isSyscallError(error, "ENOENT")) throw error;
    makeDirectories(directoryOf(path));
    makeDirectory(path, 0o777);
  }
}
