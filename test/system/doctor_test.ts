// `tcphup doctor`: what works on this host for this user, tried out on loopback.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { pythonProgram } from "../harness/peer.ts";
import { assertExit, assertNoStackTrace, Scene } from "../harness/scene.ts";
import { systemTest } from "../harness/system.ts";
import { PublicCopy, TCPHUP, tcphup } from "../harness/tcphup.ts";

const SYS_PIDFD_GETFD = 438;

systemTest("root: everything is tried, and other connections are left alone", [], async (netns) => {
  const scene = await Scene.make(netns);
  const run = await tcphup(["doctor"], { netns });
  assert(run.code === 0 || run.code === 4, `exit ${run.code}`);
  for (const subject of [/sock_diag/, /MPTCP/i, /pidfd_getfd/, /SOCK_DESTROY/, /namespace/]) {
    assertMatch(run.stdout, subject);
  }
  assertNoStackTrace(run.stdout + run.stderr);
  await scene.assertUntouched();
  assertEquals((await netns.ss("state", "connected", "exclude", "time-wait")).length, 12, "it leaves no socket behind");
});

systemTest("--json: one document", [], async (netns) => {
  const run = await tcphup(["doctor", "--json"], { netns });
  assert(run.code === 0 || run.code === 4, `exit ${run.code}`);
  const document = run.json<{ schema: number; command: string }>();
  assertEquals({ schema: document.schema, command: document.command }, { schema: 1, command: "doctor" });
});

systemTest("without CAP_NET_ADMIN: SOCK_DESTROY is not to be had, and it says why", ["setpriv"], async (netns) => {
  const run = await tcphup(["doctor"], { netns, without: ["net_admin"] });
  assertMatch(run.stdout, /SOCK_DESTROY.*CAP_NET_ADMIN/s);
});

systemTest("an unprivileged user is told what needs CAP_SYS_PTRACE", ["setpriv"], async (netns) => {
  await using copy = await PublicCopy.make();
  const run = await tcphup(["doctor"], { netns, user: 65534, ...copy });
  assert(run.code === 0 || run.code === 4, `exit ${run.code}: ${run.stderr}`);
  assertMatch(run.stdout, /CAP_SYS_PTRACE/);
  assertNoStackTrace(run.stdout + run.stderr);
});

systemTest("a seccomp filter against pidfd_getfd: exit 4", [], async (netns) => {
  const command = [...pythonProgram("without_syscall.py", SYS_PIDFD_GETFD, "EPERM"), ...TCPHUP];
  const run = await tcphup(["doctor"], { netns, command });
  assertExit(run, 4);
  assertMatch(run.stdout, /pidfd_getfd/);
});
