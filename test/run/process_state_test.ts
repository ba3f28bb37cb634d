// What the runtime has changed, as far as /proc tells.

import { assert, assertEquals } from "@std/assert";
import { ignores, inherited, originalLimit, wasIgnored } from "../../src/run/process_state.ts";

const STATUS = "Name:\tsh\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000004002\n";

Deno.test("ignores: the bit of a signal is its number less one", () => {
  assert(ignores(STATUS, 13), "SIGPIPE");
  assert(ignores(STATUS, 1), "SIGHUP");
  assert(!ignores(STATUS, 2), "SIGINT is caught, not ignored");
  assert(!ignores("Name:\tsh\n", 13));
  assert(!ignores(null, 13));
});

Deno.test("wasIgnored: what the process itself says, and of what it catches, what its parent does", () => {
  const own = "SigIgn:\t0000000000000001\nSigCgt:\t0000000000004202\n";
  const parent = "SigIgn:\t0000000000000202\nSigCgt:\t0000000000000000\n";
  const [SIGHUP, SIGINT, SIGUSR1, SIGTERM] = [1, 2, 10, 15];
  const ignored = (parent: string | null) =>
    [SIGHUP, SIGINT, SIGUSR1, SIGTERM].filter((signal) => wasIgnored(signal, own, parent));
  assertEquals(ignored(parent), [SIGHUP, SIGINT, SIGUSR1]);
  assertEquals(ignored(null), [SIGHUP]);
  assertEquals([SIGHUP, SIGINT].map((signal) => wasIgnored(signal, null, parent)), [false, true]);
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

Deno.test("inherited: what was open before the runtime's first event queue, and what it would not open itself", () => {
  const targets: Record<number, string> = {
    0: "/dev/null",
    1: "pipe:[10]",
    2: "pipe:[10]",
    // GNU make's jobserver hands on both ends of a pipe.
    3: "pipe:[11]",
    4: "pipe:[11]",
    5: "anon_inode:[eventpoll]",
    6: "pipe:[12]",
    7: "/dev/zero",
    8: "pipe:[12]",
    9: "socket:[13]",
    10: "anon_inode:[eventfd]",
    11: "pipe:[14]",
    12: "anon_inode:[eventpoll]",
    13: "/dev/null",
  };
  const files = Object.entries(targets).map(([fd, target]) => ({ fd: Number(fd), target }));
  assertEquals(inherited(files), [0, 1, 2, 3, 4, 7, 9, 11]);
});
