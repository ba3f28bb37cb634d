// The live addresses from a file that a controller writes, such as consul-template or a script of keepalived.
//
// The file is read at every look, however it was written: replaced by rename(2), through a link, or in place. Watching by
// inotify(7) would miss links and file systems of other hosts.

import { isSyscallError } from "../../ffi/errno.ts";
import { readFile } from "../../ffi/files.ts";
import { S_IFMT, S_IFREG, statx } from "../../ffi/fs.ts";
import { type Answer, canonicalAddress, familyOf } from "./departures.ts";
import type { Look, Source } from "./source.ts";

/** A larger file is no list of addresses. */
const MAX_BYTES = 1024 * 1024;

/** Reads a file of live addresses. */
export class LiveFile implements Source {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  look(): Promise<Look> {
    const result = this.#read();
    const problems = new Map(typeof result === "string" ? [[this.#path, result]] : []);
    return Promise.resolve({ answer: typeof result === "string" ? null : result, problems });
  }

  /** Reads the file. Returns the answer, or why there is none. */
  #read(): Answer | string {
    try {
      // Opening a pipe would wait for its writer.
      if ((statx(null, this.#path).mode & S_IFMT) !== S_IFREG) return "it is no file";
      const bytes = readFile(this.#path, MAX_BYTES);
      if (bytes.length > MAX_BYTES) return `it is larger than ${MAX_BYTES / 1024 ** 2} MiB`;
      return parseLiveAddresses(new TextDecoder().decode(bytes));
    } catch (error) {
      if (!isSyscallError(error)) throw error;
      return error.code;
    }
  }

  close(): void {}
}

/**
 * Parses the text of such a file: an address a line, where a `#` starts a comment. Returns what is wrong when a line is no
 * address, when there is none, and when the last line does not end: it may be the first half of a longer one.
 */
export function parseLiveAddresses(text: string): Answer | string {
  const lines = text.split("\n");
  if (lines.pop() !== "") return "its last line does not end, as in a file that is only half written";
  const addresses: string[] = [];
  for (const [i, line] of lines.entries()) {
    const word = line.replace(/#.*/, "").trim();
    if (word === "") continue;
    const address = canonicalAddress(word);
    if (address === null) return `line ${i + 1} is no address`;
    addresses.push(address);
  }
  if (addresses.length === 0) return "it has no address";
  const addressesOf = (family: keyof Answer) => [...new Set(addresses.filter((one) => familyOf(one) === family))];
  return { ipv4: addressesOf("ipv4"), ipv6: addressesOf("ipv6") };
}
