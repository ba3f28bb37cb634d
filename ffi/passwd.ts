// The user database, wherever nsswitch.conf says it is: getpwnam_r(3).

import { cString, lazily } from "./call.ts";

const asking = lazily({
  getpwnam_r: { parameters: ["buffer", "buffer", "buffer", "usize", "buffer"], result: "i32" },
});

/** sizeof(struct passwd): {char *name, *passwd; u32 uid, gid; char *gecos, *dir, *shell} */
const PASSWD_SIZE = 48;
/** What the strings of an entry take: a home directory is up to PATH_MAX long. */
const STRINGS_SIZE = 16 * 1024;

/** The number of the user with this name; null when there is none, or none that can be looked up now. */
export function userId(name: string): number | null {
  const entry = new Uint8Array(PASSWD_SIZE);
  const strings = new Uint8Array(STRINGS_SIZE);
  const found = new BigUint64Array(1);
  asking().getpwnam_r(cString(name), entry, strings, BigInt(strings.length), found);
  return found[0] === 0n ? null : new DataView(entry.buffer).getUint32(16, true);
}
