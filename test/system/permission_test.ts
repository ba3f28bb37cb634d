// What an unprivileged user, a container's seccomp filter or a kernel without a feature leave possible.

import { assert, assertEquals, assertMatch, assertNotMatch } from "@std/assert";
import { Peer } from "../harness/peer.ts";
import {
  assertCountsAddUp,
  assertNoStackTrace,
  assertOneLine,
  assertUsageError,
  DOOMED_PORT,
  Scene,
} from "../harness/scene.ts";
import { withoutSyscall } from "../harness/syscalls.ts";
import { systemTest } from "../harness/system.ts";
import { PublicCopy, TCPHUP, tcphup } from "../harness/tcphup.ts";

/** nobody, and a user who is nobody in particular either. */
const USER = 65534;
const OTHER_USER = 64999;

/** The protocol number of sock_diag. */
const NETLINK_SOCK_DIAG = 4;

systemTest("an unprivileged user hangs up on connections of their own", ["setpriv"], async (netns) => {
  await using copy = await PublicCopy.make();
  const scene = await Scene.make(netns, { user: USER });
  const run = await tcphup(["127.0.0.2", `${DOOMED_PORT}`, "--json"], { netns, user: USER, ...copy, code: 0 });
  assertEquals(run.outcomes(), ["hung-up", "hung-up", "hung-up"]);
  await scene.assertHungUp();
});

systemTest("somebody else's connections are denied: exit 4 when there was nothing else", ["setpriv"], async (netns) => {
  await using copy = await PublicCopy.make();
  const scene = await Scene.make(netns, { user: OTHER_USER });
  const run = await tcphup(["127.0.0.2", `${DOOMED_PORT}`, "--json"], { netns, user: USER, ...copy, code: 4 });
  assertEquals(run.outcomes(), ["denied", "denied", "denied"]);
  assertEquals(run.json().failed, 3);
  assertCountsAddUp(run);
  for (const { error } of run.json().connections) assertMatch(error!, /CAP_SYS_PTRACE/);
  await scene.assertUntouched();

  const text = await tcphup(["127.0.0.2", `${DOOMED_PORT}`], { netns, user: USER, ...copy, code: 4 });
  assertMatch(text.stdout + text.stderr, /3 denied.*CAP_SYS_PTRACE/);
  assertNoStackTrace(text.stdout + text.stderr);
});

systemTest("own connections and somebody else's: exit 1", ["setpriv"], async (netns) => {
  await using copy = await PublicCopy.make();
  const scene = await Scene.make(netns, { user: USER });
  const stranger = Peer.start(netns, { user: OTHER_USER });
  const theirs = await stranger.connect("127.0.0.2", DOOMED_PORT, { count: 2 });
  const run = await tcphup(["127.0.0.2", `${DOOMED_PORT}`, "--json"], { netns, user: USER, ...copy, code: 1 });
  assertEquals({ hung_up: run.json().hung_up, failed: run.json().failed }, { hung_up: 3, failed: 2 });
  assertCountsAddUp(run);
  await scene.assertHungUp();
  await theirs.assertAlive();
});

systemTest("a process of one's own that is not dumpable is denied", ["setpriv"], async (netns) => {
  await using copy = await PublicCopy.make();
  const scene = await Scene.make(netns, { user: USER });
  await scene.client.setDumpable(false);
  const run = await tcphup(["127.0.0.2", `${DOOMED_PORT}`, "--json"], { netns, user: USER, ...copy, code: 4 });
  assertEquals(run.outcomes(), ["denied", "denied", "denied"]);
  await scene.assertUntouched();
});

systemTest("processes that /proc hides may hold what nobody else does", ["setpriv", "unshare"], async (netns) => {
  await using copy = await PublicCopy.make();
  const scene = await Scene.make(netns, { user: OTHER_USER });
  const mount = 'mount -t proc -o hidepid=invisible proc /proc && exec "$@"';
  const options = { netns, user: USER, within: ["unshare", "--mount", "sh", "-c", mount, "sh"], ...copy };
  const run = await tcphup(["127.0.0.2", `${DOOMED_PORT}`, "--json"], { ...options, code: 4 });
  assertEquals(run.outcomes(), ["denied", "denied", "denied"]);
  for (const { error } of run.json().connections) assertMatch(error!, new RegExp(`uid ${OTHER_USER} .*CAP_SYS_PTRACE`));
  const selections = [["--comm", "python3"], ["--not", "--comm", "sshd"]];
  for (const selection of selections) {
    const chosen = await tcphup([...selection, "--dport", `${DOOMED_PORT}`], { ...options, code: 1 });
    assertMatch(chosen.stderr, /^tcphup: \/proc hides processes that may hold what matches .*CAP_SYS_PTRACE/);
  }
  await tcphup(["--comm", "python3", "--dport", "9"], { ...options, code: 0 });
  const everywhere = await tcphup(["ls", "127.0.0.2", `${DOOMED_PORT}`, "--netns", "all"], { ...options, code: 1 });
  assertMatch(everywhere.stderr, /^tcphup: \/proc hides processes, and with them .*CAP_SYS_PTRACE and CAP_SYS_ADMIN$/m);
  assertUsageError(await tcphup(["--pid", `${scene.client.pid}`], options), /No process \d+ that this user may see/);
  assertMatch(
    (await tcphup(["doctor"], options)).stdout,
    /^limited .*processes of other users are hidden .*SYS_PTRACE/m,
  );
  await scene.assertUntouched();
});

systemTest("without /proc/sys, only what goes by it is refused, in one line", ["unshare"], async (netns) => {
  const scene = await Scene.make(netns);
  const within = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /proc/sys && exec "$@"', "sh"];
  for (const args of [["ls", "any", "-k"], ["ls", "any", "--summary"], ["keepalive", "any", "--dry-run"], ["plan"]]) {
    await tcphup(args, { netns, within, code: 0 });
  }
  const run = await tcphup(["-f", "autobound"], { netns, within, code: 4 });
  assertOneLine(run, /autobound .*\/proc\/sys\/net\/ipv4\/ip_local_port_range.*ENOENT/);
  await scene.assertUntouched();
});

systemTest("root without CAP_SYS_PTRACE is denied what is not root's", ["setpriv"], async (netns) => {
  const scene = await Scene.make(netns, { user: USER });
  const options = { netns, without: ["sys_ptrace", "dac_override", "dac_read_search"] };
  const run = await tcphup(["127.0.0.2", `${DOOMED_PORT}`, "--json"], { ...options, code: 4 });
  assertEquals(run.outcomes(), ["denied", "denied", "denied"]);
  for (const { error } of run.json().connections) assertMatch(error!, /CAP_SYS_PTRACE/);
  await scene.assertUntouched();
});

systemTest("an unprivileged user lists everybody's connections", ["setpriv"], async (netns) => {
  await using copy = await PublicCopy.make();
  const scene = await Scene.make(netns, { user: OTHER_USER });
  const run = await tcphup(["ls", "127.0.0.2", `${DOOMED_PORT}`, "--json"], { netns, user: USER, ...copy, code: 0 });
  assertEquals(
    run.json().connections.map(({ uid, owners }) => ({ uid, owners })),
    Array(3).fill({
      uid: OTHER_USER,
      owners: [],
    }),
  );
  await scene.assertUntouched();
});

systemTest("a seccomp filter against pidfd_getfd: denied, and the reason is not a capability", [], async (netns) => {
  const scene = await Scene.make(netns);
  const args = ["127.0.0.2", `${DOOMED_PORT}`, "--json"];
  const within = withoutSyscall("pidfd_getfd", "EPERM");
  const run = await tcphup(args, { netns, within, code: 4 });
  assertEquals(run.outcomes(), ["denied", "denied", "denied"]);
  for (const { error } of run.json().connections) {
    assertMatch(error!, /seccomp/);
    assertNotMatch(error!, /needs CAP_SYS_PTRACE/);
  }
  await scene.assertUntouched();
  const destroyed = await tcphup([...args, "--destroy"], { netns, within, code: 0 });
  assertEquals(destroyed.json().destroyed, 3);
});

for (const name of ["pidfd_open", "pidfd_getfd"] as const) {
  systemTest(`a kernel without ${name}: exit 4, nothing touched`, [], async (netns) => {
    const scene = await Scene.make(netns);
    const options = { netns, within: withoutSyscall(name, "ENOSYS"), code: 4 };
    const run = await tcphup(["127.0.0.2", `${DOOMED_PORT}`, "--json"], options);
    assertEquals(run.outcomes(), ["unsupported", "unsupported", "unsupported"]);
    for (const { error } of run.json().connections) assertMatch(error!, new RegExp(name));
    await scene.assertUntouched();
  });
}

systemTest("a host without sock_diag: exit 4, one line", [], async (netns) => {
  const scene = await Scene.make(netns);
  const within = withoutSyscall("socket", "EPROTONOSUPPORT", `2=${NETLINK_SOCK_DIAG}`);
  for (const name of ["hup", "ls"]) {
    assertOneLine(await tcphup([name, "127.0.0.2", `${DOOMED_PORT}`], { netns, within, code: 4 }), /INET_DIAG/);
  }
  await scene.assertUntouched();
});

// What is compiled has its permissions baked in.
if (TCPHUP.includes("--allow-ffi")) {
  systemTest("without --allow-ffi: exit 4, and it names the flag", [], async (netns) => {
    const command = TCPHUP.filter((arg) => arg !== "--allow-ffi");
    const run = await tcphup(["127.0.0.2", `${DOOMED_PORT}`], { netns, command, code: 4 });
    assertOneLine(run, /--allow-ffi/);
  });
}

systemTest("processes that may not be looked into are counted", ["setpriv"], async (netns) => {
  await using copy = await PublicCopy.make();
  await Scene.make(netns, { user: OTHER_USER });
  const run = await tcphup(["127.0.0.2", `${DOOMED_PORT}`, "--json"], { netns, user: USER, ...copy });
  const { unreadable_processes } = run.json<{ unreadable_processes: number }>();
  assert(unreadable_processes > 0);
});
