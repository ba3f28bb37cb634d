// What the runtime has changed, as far as the parent's files in /proc tell.

import { assert, assertEquals } from "@std/assert";
import { ignores, lookUp, originalLimit, rawArguments } from "../../src/launch/heritage.ts";

const STATUS = "Name:\tsh\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000004002\n";

Deno.test("ignores: the bit of a signal is its number less one", () => {
  assert(ignores(STATUS, 13), "SIGPIPE");
  assert(ignores(STATUS, 1), "SIGHUP");
  assert(!ignores(STATUS, 2), "SIGINT is caught, not ignored");
  assert(!ignores("Name:\tsh\n", 13));
});

const limits = (soft: string, hard: string) =>
  "Limit                     Soft Limit           Hard Limit           Units     \n" +
  "Max processes             63000                63000                processes \n" +
  `Max open files            ${soft}                 ${hard}               files     \n`;
const RAISED = { soft: 4096n, hard: 4096n };

Deno.test("originalLimit: the parent's soft limit, where the hard one is the same", () => {
  assertEquals(originalLimit(RAISED, limits("1024", "4096")), { soft: 1024n, hard: 4096n });
  assertEquals(originalLimit(RAISED, limits("4096", "4096")), RAISED);
  const unlimited = 0xffffffffffffffffn;
  assertEquals(originalLimit({ soft: 1048575n, hard: unlimited }, limits("256", "unlimited")), {
    soft: 256n,
    hard: unlimited,
  });
});

Deno.test("originalLimit: unknown where the limits were set on the way, or the parent is not seen", () => {
  assertEquals(originalLimit(RAISED, limits("1024", "524288")), null);
  assertEquals(originalLimit({ soft: 1000n, hard: 4096n }, limits("2000", "4096")), null);
  assertEquals(originalLimit(RAISED, null), null);
});

const bytes = (text: string) => new TextEncoder().encode(text);

Deno.test("lookUp: the first variable of that name, and of no longer name", () => {
  const environment = ["PATHS=/no", "PATH=/bin:/a=b", "PATH=/second", "EMPTY="].map(bytes);
  assertEquals(lookUp(environment, "PATH"), "/bin:/a=b");
  assertEquals(lookUp(environment, "EMPTY"), "");
  assertEquals(lookUp(environment, "NONE"), undefined);
});

Deno.test("rawArguments: words that are not this process's own are encoded", () => {
  assertEquals(rawArguments(["no such argument", "é"]), [bytes("no such argument"), bytes("é")]);
});
