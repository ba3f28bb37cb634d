// The torture's judges: that they see lies, harm and halves, and nothing else.

import { assertEquals } from "@std/assert";
import { isInjected, readTrace } from "../scripts/torture/calls.ts";
import { commandNamed, WANTED } from "../scripts/torture/commands.ts";
import { jsonText } from "../src/cli/output/json.ts";
import { changesSince, type Circumstances, judge, judgeKilled } from "../scripts/torture/judge.ts";
import { type Part, type Said, tryAll } from "../scripts/torture/part.ts";
import type { Ended, Seen, View } from "../scripts/torture/world.ts";
import type { KeepaliveSettings } from "../src/model/connection.ts";
import type { Outcome } from "../src/model/result.ts";
import { countOutcomes } from "../src/report/report.ts";
import { UNTOUCHED } from "./harness/keepalive.ts";
import { sampleConnection } from "./harness/sample.ts";

const DOOMED: Seen = {
  address: "127.9.0.1",
  dport: 7001,
  port: 40001,
  end: null,
  client: UNTOUCHED,
  server: UNTOUCHED,
};
const BYSTANDER: Seen = { ...DOOMED, address: "127.9.1.1", port: 40002 };
const BEFORE: View = { pairs: [DOOMED, BYSTANDER], listeners: [UNTOUCHED] };

/** What is seen when the doomed connection, or the bystander, has become something else. */
function view(doomed: Partial<Seen> = {}, bystander: Partial<Seen> = {}): View {
  return { ...BEFORE, pairs: [{ ...DOOMED, ...doomed }, { ...BYSTANDER, ...bystander }] };
}

function ended(given: Partial<Ended> = {}): Ended {
  return { code: 0, signal: null, stdout: "", stderr: "", hung: false, ...given };
}

interface Reported {
  outcome: Outcome;
  after?: KeepaliveSettings;
}

/** A report with the doomed connection, or with none. */
function reporting(given: Reported | null, code: number, own = ["hungUp", "destroyed"] as const): Ended {
  const src = { address: "127.0.0.1", port: DOOMED.port };
  const dst = { address: DOOMED.address, port: DOOMED.dport };
  const connections = given === null ? [] : [{ ...sampleConnection({ src, dst }), ...given }];
  const rest = { interrupted: false, incomplete: [], error: null };
  return ended({ code, stdout: jsonText({ ...countOutcomes(connections, own), ...rest, connections }) });
}

/** How many complaints there are about a command. */
function complaints(name: string, ended: Ended, after: View, how?: Circumstances): number {
  return judge(commandNamed(name), ended, BEFORE, after, how).length;
}

Deno.test("torture: what a report says of a connection has to be true of it", () => {
  const cut = view({ end: "EOF" });
  assertEquals(complaints("hup", reporting({ outcome: "hung-up" }, 0), cut), 0);
  assertEquals(complaints("hup", reporting({ outcome: "hung-up" }, 0), view()), 1);
  assertEquals(complaints("hup", reporting({ outcome: "failed" }, 1), view()), 0);
  assertEquals(complaints("hup", reporting({ outcome: "failed" }, 1), cut), 1);
  assertEquals(complaints("destroy-after", reporting({ outcome: "failed" }, 1), cut), 0);
  assertEquals(complaints("hup", reporting({ outcome: "already-gone" }, 0), view()), 1);
  const gone = { injected: { syscall: "shutdown", errno: "ENOTCONN" } };
  assertEquals(complaints("hup", reporting({ outcome: "already-gone" }, 0), view(), gone), 0);
  const timeout = view({ client: { ...UNTOUCHED, user_timeout_ms: 5000 } });
  assertEquals(complaints("hup", reporting({ outcome: "failed" }, 1), timeout), 1);
});

Deno.test("torture: keepalive is set where it is said to be", () => {
  const own = ["keepaliveSet", "unchanged"] as const as never;
  const set = view({ client: { ...WANTED } });
  assertEquals(complaints("keepalive", reporting({ outcome: "keepalive-set" }, 0, own), set), 0);
  assertEquals(complaints("keepalive", reporting({ outcome: "keepalive-set" }, 0, own), view()), 1);
  const after = {
    enabled: true,
    idleS: WANTED.idle_s,
    intervalS: WANTED.interval_s,
    count: 5,
    userTimeoutMs: WANTED.user_timeout_ms,
  };
  const lie = { outcome: "failed", after } as const;
  assertEquals(complaints("keepalive", reporting(lie, 1, own), set), 1);
});

Deno.test("torture: the exit code fits, and nothing is left out", () => {
  assertEquals(complaints("hup", reporting({ outcome: "failed" }, 0), view()), 1);
  assertEquals(complaints("hup", reporting(null, 0), view()), 1);
  assertEquals(complaints("hup", ended({ code: 1, stderr: "tcphup: sendto: EIO\n" }), view()), 0);
  assertEquals(complaints("hup", ended({ code: 1 }), view()), 1);
  assertEquals(complaints("hup", ended({ code: 1, stderr: "tcphup: sendto: EIO\n" }), view({ end: "EOF" })), 1);
});

Deno.test("torture: bystanders, hangs, stack traces and strange signals are seen", () => {
  const good = reporting({ outcome: "hung-up" }, 0);
  assertEquals(complaints("hup", good, view({ end: "EOF" }, { end: "EOF" })), 1);
  assertEquals(complaints("hup", good, { ...view({ end: "EOF" }), listeners: [{ ...WANTED }] }), 1);
  assertEquals(complaints("hup", { ...good, stderr: "thread panicked at" }, view({ end: "EOF" })), 1);
  assertEquals(complaints("hup", ended({ hung: true }), view()), 1);
  assertEquals(complaints("hup", ended({ signal: "SIGSEGV" }), view()), 1);
});

Deno.test("torture: after a kill connections live as they were, or have been cut", () => {
  assertEquals(judgeKilled(commandNamed("hup"), BEFORE, view({ end: "EOF" })), []);
  assertEquals(
    judgeKilled(commandNamed("hup"), BEFORE, view({ client: { ...UNTOUCHED, user_timeout_ms: 5000 } })).length,
    1,
  );
  const half = { client: { ...UNTOUCHED, idle_s: WANTED.idle_s } };
  assertEquals(judgeKilled(commandNamed("keepalive"), BEFORE, view(half)), []);
  assertEquals(
    judgeKilled(commandNamed("keepalive"), BEFORE, view({ client: { ...half.client, enabled: true } })).length,
    1,
  );
  assertEquals(changesSince(BEFORE, view({ end: "EOF" })).length, 1);
});

Deno.test("torture: a watch tries again what passes, and tells what it does", () => {
  const patient = (errno: string) =>
    ({ injected: { syscall: "pidfd_getfd", errno }, signal: "SIGINT", unhurried: true }) as const;
  const told = (outcome: Outcome) => {
    const { connections } = JSON.parse(reporting({ outcome }, 0).stdout);
    return ended({ stdout: JSON.stringify(connections[0]) + "\n" });
  };
  assertEquals(complaints("watch", told("failed"), view(), patient("EPERM")), 0);
  assertEquals(complaints("watch", told("failed"), view(), patient("EMFILE")), 1);
  assertEquals(complaints("watch", told("keepalive-set"), view({ client: { ...WANTED } }), patient("EMFILE")), 0);
  assertEquals(complaints("watch", ended(), view({ client: { ...WANTED } }), patient("EMFILE")), 1);
});

Deno.test("torture: the calls of tcphup are told from those of its runtime", () => {
  const trace = `
10    execve("/x/tcphup", ["/x/tcphup"], 0x7ff /* 3 vars */) = 0
10    openat(AT_FDCWD, "/proc/self/maps", O_RDONLY) = 3
10    getppid() = 9
10    getppid( <unfinished ...>
11    openat(AT_FDCWD, "/sys/devices", O_RDONLY) = 4
10    <... getppid resumed>) = 9
10    openat(AT_FDCWD, "/proc", O_RDONLY <unfinished ...>
11    read(4, "0-1", 1024) = 3
10    <... openat resumed>) = -1 EIO (Input/output error) (INJECTED)
10    write(4, "\\1\\0\\0\\0\\0\\0\\0\\0", 8) = 8
10    execve("/bin/sh", ["sh"], 0x7ff) = 0
10    openat(AT_FDCWD, "/etc/ld.so.cache", O_RDONLY) = 3
`;
  const own = readTrace(trace, "/x/tcphup").filter(({ own }) => own);
  assertEquals(own.map(({ name, when }) => `${name} ${when}`), ["openat 2", "execve 2"]);
  assertEquals(own.map(isInjected), [true, false]);
});

Deno.test("torture: what fails is tried again, and counts when it fails again", async () => {
  const verdicts = [["bad"], ["bad"], ["bad"], [], [], null];
  const part: Part = {
    figures: { cuts: 7 },
    names: () => [],
    try: () => Promise.resolve(verdicts.shift()!),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  const said: Said[] = [];
  await tryAll(part, ["a", "b", "c", "d"], Infinity, (line) => said.push(line));
  const tally = { tried: 3, failed: 1, unstable: 1, missed: 1, figures: { cuts: 7 } };
  assertEquals(said.filter(({ kind }) => kind !== "trying"), [
    { kind: "failed", name: "a", wrong: ["bad"] },
    { kind: "unstable", name: "b", wrong: ["bad"] },
    { kind: "tally", tally },
  ]);
});
