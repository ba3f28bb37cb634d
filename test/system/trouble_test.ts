// A host that fails tcphup for a moment: strace makes system calls fail.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { DEFAULTS, reportOf, UNTOUCHED } from "../harness/keepalive.ts";
import { Lines } from "../harness/lines.ts";
import { Namespace } from "../harness/namespace.ts";
import { DOOMED_PORT, makePool, Scene } from "../harness/scene.ts";
import { systemTest } from "../harness/system.ts";
import { PublicCopy, TCPHUP, tcphup } from "../harness/tcphup.ts";
import { Terminal } from "../harness/terminal.ts";

const DOOMED = ["127.0.0.2", `${DOOMED_PORT}`];

/**
 * tcphup with a system call that fails: `sendto:error=ENOBUFS:when=6`. A look at one namespace sends five requests, or three
 * where it finds no TCP socket.
 */
function failing(injection: string, { path, command = TCPHUP }: { path?: string; command?: readonly string[] } = {}) {
  const at = path === undefined ? [] : ["--trace-path", path];
  return ["strace", "-qqq", "--follow-forks", "--output=/dev/null", `--inject=${injection}`, ...at, ...command];
}

const BEGINS = "tcphup: trying again after sendto: ENOBUFS\n";
const PASSES = "tcphup: has passed: sendto: ENOBUFS\n";

systemTest("the look after keepalive was set fails: what was set is reported", ["strace"], async (netns) => {
  const scene = await Scene.make(netns);
  const command = failing("sendto:error=ENOBUFS:when=6");
  const run = await tcphup(["keepalive", ...DOOMED, "--json"], { netns, command, code: 1 });
  const { keepalive_set, error } = reportOf(run);
  assertEquals([keepalive_set, error], [3, "sendto: ENOBUFS"]);
  assertEquals(await scene.doomed.keepalive(), [DEFAULTS, DEFAULTS, DEFAULTS]);
  const text = await tcphup(["keepalive", ...DOOMED, "--off"], { netns, command });
  assertMatch(text.stdout, /turned off keepalive on 3 connections; ended early: sendto: ENOBUFS\n$/);
});

systemTest("the first look fails: nothing is touched, and one line says why", ["strace"], async (netns) => {
  const scene = await Scene.make(netns);
  for (const args of [DOOMED, ["keepalive", ...DOOMED]]) {
    const run = await tcphup([...args, "--json"], { netns, command: failing("sendto:error=ENOBUFS:when=1"), code: 1 });
    assertEquals([run.stdout, run.stderr], ["", "tcphup: sendto: ENOBUFS\n"]);
  }
  assertEquals(await scene.doomed.keepalive(), [UNTOUCHED, UNTOUCHED, UNTOUCHED]);
  await scene.assertUntouched();
});

systemTest(
  "why something may have been missed cannot be found out: what was done is reported",
  ["strace"],
  async (netns) => {
    const scene = await Scene.make(netns);
    const command = failing("openat:error=ENFILE", { path: "/proc/thread-self/status" });
    const run = await tcphup(["--pid", `${scene.client.pid}`, "--dport", `${DOOMED_PORT}`, "--json"], {
      netns,
      command,
      code: 1,
    });
    const { hung_up, error } = run.json();
    assertEquals([hung_up, error], [3, "openat: ENFILE"]);
    await scene.assertHungUp();
  },
);

systemTest(
  "a look fails after connections were found: what may not be seen is reported all the same",
  ["setpriv", "strace"],
  async (netns) => {
    await using copy = await PublicCopy.make();
    await using other = await Namespace.create();
    const { client } = await Scene.make(netns, { user: 54_321 });
    const command = failing("sendto:error=ENOBUFS:when=6", copy);
    const namespaces = ["--netns", `${client.pid}`, "--netns", other.name];
    for (const args of [["keepalive", ...DOOMED], DOOMED]) {
      const run = await tcphup([...args, ...namespaces, "--json"], { netns, user: 54_321, command, code: 1 });
      const { error, unseen } = run.json();
      assertEquals(error, "sendto: ENOBUFS");
      assertMatch(unseen.join("\n"), new RegExp(`1 network namespace may not be entered: ${other.name}`));
    }
  },
);

systemTest(
  "a namespace that fails after connections were cut does not hide what was done",
  ["strace"],
  async (netns) => {
    const scene = await Scene.make(netns);
    await using other = await Namespace.create();
    const args = [...DOOMED, "--netns", netns.name, "--netns", other.name, "--json"];
    // Each look opens a socket in one and in the other.
    const run = await tcphup(args, { netns, command: failing("socket:error=EAFNOSUPPORT:when=4"), code: 1 });
    const { hung_up, error } = run.json();
    assertEquals(hung_up, 3);
    assertMatch(error!, /^This kernel cannot list TCP sockets/);
    await scene.doomed.assertEnded("EOF");
  },
);

systemTest("hup: a descriptor that is not to be had is asked for again", ["strace"], async (netns) => {
  const scene = await Scene.make(netns);
  const once = await tcphup([...DOOMED, "--json"], {
    netns,
    command: failing("pidfd_getfd:error=ENFILE:when=1..2"),
    code: 0,
  });
  assertEquals(once.json().hung_up, 3);
  await scene.assertHungUp();
});

systemTest("hup: one that is never to be had is reported", ["strace"], async (netns) => {
  const scene = await Scene.make(netns);
  const run = await tcphup([...DOOMED, "--json"], { netns, command: failing("pidfd_getfd:error=ENFILE"), code: 1 });
  assertEquals(run.outcomes(), ["failed", "failed", "failed"]);
  for (const { error } of run.json().connections) {
    assertMatch(error!, /^pid \d+ \(.*\): pidfd_getfd: ENFILE$/);
  }
  await scene.assertUntouched();
});

systemTest("--for outlasts a look that fails, says so once, and when it has passed", ["strace"], async (netns) => {
  const scene = await Scene.make(netns);
  // Under strace, on a busy machine, so many looks take longer than 3 s.
  const command = failing("sendto:error=ENOBUFS:when=7..20");
  const run = await tcphup([...DOOMED, "--for", "8", "--every", "100ms", "--json"], { netns, command, code: 0 });
  assertEquals([run.json().hung_up, run.stderr], [3, BEGINS + PASSES]);
  await scene.assertHungUp();
});

systemTest("--for that never gets to see anything fails", ["strace"], async (netns) => {
  const scene = await Scene.make(netns);
  const command = failing("sendto:error=ENOBUFS");
  const run = await tcphup([...DOOMED, "--for", "1", "--every", "100ms"], { netns, command, code: 1 });
  assertEquals([run.stdout, run.stderr], ["", `${BEGINS}tcphup: sendto: ENOBUFS\n`]);
  await scene.assertUntouched();
});

/** Runs `body` while tcphup watches, with what it says on standard output and on standard error. */
async function whileWatching(
  netns: Namespace,
  command: readonly string[],
  body: (said: Lines, complaints: Lines) => Promise<void>,
): Promise<void> {
  const { stdout, stderr } = netns.spawn([...command, "--watch=100ms", "--json-lines"]);
  await using said = new Lines(stdout);
  await using complaints = new Lines(stderr);
  await body(said, complaints);
}

systemTest("what is printed arrives, though for a moment nobody can wait for it", ["strace"], async (netns) => {
  await Scene.make(netns);
  for (const when of [1, 2, 3, 4, 5]) {
    const command = failing(`poll:error=ENOMEM:when=${when}`);
    const run = await tcphup(["ls", ...DOOMED, "--json"], { netns, command, code: 0 });
    assertEquals(run.json().connections.length, 3);
  }
});

systemTest("keepalive --watch outlasts looks that fail", ["strace"], async (netns) => {
  const scene = await Scene.make(netns);
  const command = [...failing("sendto:error=ENOBUFS:when=1..20"), "keepalive", ...DOOMED];
  await whileWatching(netns, command, async (said, complaints) => {
    assertEquals((await complaints.next(2)).map((line) => `${line}\n`), [BEGINS, PASSES]);
    await said.next(3);
  });
  assertEquals(await scene.doomed.keepalive(), [DEFAULTS, DEFAULTS, DEFAULTS]);
});

systemTest("keepalive --watch asks again for a descriptor that was not to be had", ["strace"], async (netns) => {
  const scene = await Scene.make(netns);
  const command = [...failing("pidfd_getfd:error=EMFILE:when=1..12"), "keepalive", ...DOOMED];
  await whileWatching(netns, command, async (said, complaints) => {
    for (const line of await said.next(3)) assertEquals(JSON.parse(line).outcome, "keepalive-set");
    const [begins = "", passes = ""] = await complaints.next(2);
    assertMatch(begins, /^tcphup: trying again after pid \d+ .*: pidfd_getfd: EMFILE$/);
    assertMatch(passes, /^tcphup: has passed: pid \d+ .*: pidfd_getfd: EMFILE$/);
  });
  assertEquals(await scene.doomed.keepalive(), [DEFAULTS, DEFAULTS, DEFAULTS]);
});

systemTest(
  "keepalive --watch sets again what was refused for a moment, and tells all it set",
  ["strace"],
  async (netns) => {
    const scene = await Scene.make(netns);
    // The fourth socket option of all is TCP_KEEPIDLE of a connection; the twentieth that is asked for, one that is read back.
    for (const injection of ["setsockopt:error=ENOBUFS:when=4", "getsockopt:error=ENOMEM:when=20"]) {
      await scene.doomed.setKeepalive(UNTOUCHED);
      await whileWatching(netns, [...failing(injection), "keepalive", ...DOOMED], async (said, complaints) => {
        const told = (await said.next(3)).map((line) => JSON.parse(line).src.port);
        assertEquals(told.sort(), scene.doomed.ports.toSorted());
        assertMatch((await complaints.next(1))[0]!, /^tcphup: trying again after .* ?(ENOBUFS|ENOMEM)/);
      });
      assertEquals(await scene.doomed.keepalive(), [DEFAULTS, DEFAULTS, DEFAULTS]);
    }
  },
);

systemTest(
  "a way back from another namespace that is closed for a moment is tried again",
  ["strace"],
  async (netns) => {
    const scene = await Scene.make(netns);
    await using other = await Namespace.create();
    const args = [...DOOMED, "--netns", netns.name, "--netns", other.name, "--json"];
    // The first setns(2) finds out whether there is a way back, the second enters the other namespace.
    const run = await tcphup(args, { netns, command: failing("setns:error=ENOMEM:when=3"), code: 0 });
    assertEquals(run.json().hung_up, 3);
    await scene.assertHungUp();
  },
);

systemTest("ls --watch outlasts looks that fail", ["strace"], async (netns) => {
  await Scene.make(netns);
  const command = [...failing("sendto:error=ENOBUFS:when=7..20"), "ls", ...DOOMED];
  await whileWatching(netns, command, async (said, complaints) => {
    assertEquals((await complaints.next(2)).map((line) => `${line}\n`), [BEGINS, PASSES]);
    await said.next(9);
  });
});

systemTest("ls --watch on a terminal shows what was seen last, and why", ["strace"], async (netns) => {
  await Scene.make(netns);
  const command = failing("sendto:error=ENOBUFS:when=7..20");
  const terminal = new Terminal(netns, [...command, "ls", ...DOOMED, "--watch=100ms"]);
  await terminal.expect("trying again after sendto: ENOBUFS");
  await terminal.expect("3 connections at");
  await terminal.expect(`127.0.0.2:${DOOMED_PORT}`);
});

systemTest("--for counts what it has cut, and keeps the last of it", [], async (netns) => {
  await makePool(netns, { count: 600, reconnect: true });
  const args = [...DOOMED, "--max", "3500", "--for", "600", "--every", "50ms"];
  const run = await tcphup([...args, "--json"], { netns });
  const { matched, hung_up, already_gone, left_out, max_reached, connections } = run.json();
  assertEquals([hung_up + already_gone, max_reached], [3500, true]);
  assert(left_out >= 1000, `${left_out}`);
  assertEquals(connections.length, matched - left_out);
  const text = await tcphup(args, { netns });
  assertMatch(text.stdout, /\nand \d+ before\nhung up on /);
});

systemTest("so many connections that they are no arguments of a function", [], async (netns) => {
  const { server } = await makePool(netns, { count: 8000 });
  await server.serving(8000);
  // In place of eight times as many: an eighth of the stack. Less is not enough for Deno 2.7 to start.
  const env = { DENO_V8_FLAGS: "--stack-size=120" };
  for (const args of [["any", "--over", "1"], ["keepalive", "any"]]) {
    const run = await tcphup([...args, "--dry-run", "--json"], { netns, env, code: 0 });
    assertEquals(run.json().matched, 16_000);
  }
});
