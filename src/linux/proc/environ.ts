// The arguments and the environment that this process was started with, byte by byte.

import { readFile } from "../../../ffi/files.ts";

const NUL = 0;
const decoder = new TextDecoder();

/** Returns the NUL-terminated strings of a file of /proc, as bytes: they need not be UTF-8. */
function readStrings(path: string): Uint8Array[] {
  const bytes = readFile(path);
  const strings: Uint8Array[] = [];
  let start = 0;
  for (let end = bytes.indexOf(NUL); end !== -1; end = bytes.indexOf(NUL, start)) {
    strings.push(bytes.subarray(start, end));
    start = end + 1;
  }
  return strings;
}

/** Returns the environment that this process was started with, each entry as `NAME=value`. */
export function inheritedEnvironment(): Uint8Array[] {
  return readStrings("/proc/self/environ");
}

/** Returns the value of a variable; `undefined` when it is not set. */
export function lookUp(environment: readonly Uint8Array[], name: string): string | undefined {
  return environment.map((entry) => decoder.decode(entry))
    .find((entry) => entry.startsWith(`${name}=`))?.slice(name.length + 1);
}

/**
 * Returns `words` as bytes. When they are the last arguments of this process, the bytes come from /proc/self/cmdline: the
 * runtime replaces bytes that are not UTF-8.
 */
export function rawArguments(words: readonly string[]): Uint8Array[] {
  const raw = readStrings("/proc/self/cmdline").slice(-words.length);
  const same = raw.length === words.length && raw.every((bytes, i) => decoder.decode(bytes) === words[i]);
  return same ? raw : words.map((word) => new TextEncoder().encode(word));
}
