// The arguments and the environment that this process was started with, byte by byte.

import { readFile } from "../../../ffi/files.ts";

const NUL = 0;
const decoder = new TextDecoder();

/** The strings of a file of /proc that ends each with a NUL, as bytes: they need not be UTF-8. */
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

/** The environment that this process was started with, `NAME=value` each. */
export function inheritedEnvironment(): Uint8Array[] {
  return readStrings("/proc/self/environ");
}

/** The value of a variable, `undefined` when it is not set. */
export function lookUp(environment: readonly Uint8Array[], name: string): string | undefined {
  return environment.map((entry) => decoder.decode(entry))
    .find((entry) => entry.startsWith(`${name}=`))?.slice(name.length + 1);
}

/**
 * `words` as bytes. Where they are the last arguments of this process they are taken from there: the runtime hands on
 * what is not UTF-8 with replacement characters.
 */
export function rawArguments(words: readonly string[]): Uint8Array[] {
  const raw = readStrings("/proc/self/cmdline").slice(-words.length);
  const same = raw.length === words.length && raw.every((bytes, i) => decoder.decode(bytes) === words[i]);
  return same ? raw : words.map((word) => new TextEncoder().encode(word));
}
