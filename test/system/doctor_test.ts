// `tcphup doctor`: what works on this host for this user, tried out on loopback.

import { assertEquals, assertMatch } from "@std/assert";
import { pythonProgram } from "../harness/peer.ts";
import { assertExit, assertNoStackTrace, Scene } from "../harness/scene.ts";
import { systemTest } from "../harness/system.ts";
import { PublicCopy, TCPHUP, tcphup } from "../harness/tcphup.ts";

const SYS_PIDFD_GETFD = 438;

systemTest("root: everything is tried, and other connections are left alone", [], async (netns) => {
  const scene = await Scene.make(netns);
  const text = await tcphup(["doctor"], { netns });
  for (const subject of [/sock_diag/, /MPTCP/, /pidfd_getfd/, /SOCK_DESTROY/, /AF_UNSPEC/, /namespaces/]) {
    assertMatch(text.stdout, subject);
  }
  assertNoStackTrace(text.stdout + text.stderr);
  const run = await tcphup(["doctor", "--json"], { netns });
  const { schema, command, ok } = run.json<{ schema: number; command: string; ok: boolean }>();
  assertEquals({ schema, command }, { schema: 1, command: "doctor" });
  assertExit(run, ok ? 0 : 4);
  assertExit(text, ok ? 0 : 4);
  await scene.assertUntouched();
  assertEquals((await netns.ss("state", "connected", "exclude", "time-wait")).length, 12, "it leaves no socket behind");
});

systemTest("without CAP_NET_ADMIN: SOCK_DESTROY is not to be had, and it says why", ["setpriv"], async (netns) => {
  const run = await tcphup(["doctor"], { netns, without: ["net_admin"] });
  assertExit(run, 0);
  assertMatch(run.stdout, /^limited +SOCK_DESTROY: abort any connection.*CAP_NET_ADMIN/m);
  assertMatch(run.stdout, /^limited +SOCK_DESTROY: abort what a program has closed.*CAP_NET_ADMIN/m);
});

systemTest("an unprivileged user is told what needs CAP_SYS_PTRACE", ["setpriv"], async (netns) => {
  await using copy = await PublicCopy.make();
  const run = await tcphup(["doctor"], { netns, user: 65534, ...copy });
  assertExit(run, 0);
  assertMatch(run.stdout, /^limited .*of other users' processes: .*CAP_SYS_PTRACE/m);
  assertMatch(
    run.stdout,
    /^limited .*\b\d+ of \d+ processes cannot .*: needs CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH$/m,
  );
  assertNoStackTrace(run.stdout + run.stderr);
});

systemTest("whether processes can be looked into is tried", ["setpriv", "unshare"], async (netns) => {
  // All that it sees in a PID namespace of its own is itself, and a process of the same user's with all capabilities.
  const script = 'sleep 60 & "$@"';
  const within = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c", script, "sh"];
  const doctor = async (...limits: string[]) => {
    return (await netns.run([...within, ...limits, ...TCPHUP, "doctor"])).stdout;
  };
  assertMatch(await doctor(), /^ok .*: all 3 processes can be looked into$/m);
  const less = ["setpriv", "--bounding-set", "-sys_ptrace", "--inh-caps", "-sys_ptrace", "--"];
  assertMatch(await doctor(...less), /^limited .*: 2 of 3 processes cannot be looked into: needs CAP_SYS_PTRACE$/m);
});

systemTest("a seccomp filter against pidfd_getfd: exit 4, and it names the affected command", [], async (netns) => {
  const command = [...pythonProgram("without_syscall.py", SYS_PIDFD_GETFD, "EPERM"), ...TCPHUP];
  const run = await tcphup(["doctor"], { netns, command });
  assertExit(run, 4);
  assertMatch(run.stdout, /pidfd_getfd.*seccomp.*\n.*affects: hup/);
});
