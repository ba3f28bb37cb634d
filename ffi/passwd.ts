// The user database, as nsswitch.conf configures it: getpwnam_r(3).

import { cString, lazily } from "./call.ts";

const passwdSymbols = lazily({
  getpwnam_r: { parameters: ["buffer", "buffer", "buffer", "usize", "buffer"], result: "i32" },
});

/** sizeof(struct passwd): {char *name, *passwd; u32 uid, gid; char *gecos, *dir, *shell} */
const PASSWD_SIZE = 48;
/** Space for the strings of an entry: a home directory is up to PATH_MAX long. */
const STRINGS_SIZE = 16 * 1024;

/** Returns the user id of a name; null when there is no such user, or the lookup fails. */
export function userId(name: string): number | null {
  const entry = new Uint8Array(PASSWD_SIZE);
  const strings = new Uint8Array(STRINGS_SIZE);
  const found = new BigUint64Array(1);
  passwdSymbols().getpwnam_r(cString(name), entry, strings, BigInt(strings.length), found);
  return found[0] === 0n ? null : new DataView(entry.buffer).getUint32(16, true);
}
