// `tcphup doctor`: what works on this host for this user, tried out on loopback.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { checkHost, type Health } from "../../src/doctor/check_host.ts";
import { assertNoStackTrace, Scene } from "../harness/scene.ts";
import { withoutSyscall } from "../harness/syscalls.ts";
import { hostTest, systemTest } from "../harness/system.ts";
import { assertExit, PublicCopy, TCPHUP, tcphup } from "../harness/tcphup.ts";

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
  const run = await tcphup(["doctor"], { netns, without: ["net_admin"], code: 0 });
  assertMatch(run.stdout, /^limited +SOCK_DESTROY: destroy any connection.*CAP_NET_ADMIN/m);
  assertMatch(run.stdout, /^limited +SOCK_DESTROY: destroy what a program has closed.*CAP_NET_ADMIN/m);
});

systemTest("an unprivileged user is told what needs CAP_SYS_PTRACE", ["setpriv"], async (netns) => {
  await using copy = await PublicCopy.make();
  const run = await tcphup(["doctor"], { netns, user: 65534, ...copy, code: 0 });
  assertMatch(run.stdout, /^ok .*pidfd_getfd: duplicate a descriptor: works$/m);
  assertMatch(run.stdout, /^limited .*pidfd_getfd: of any process: denied for \d+ of \d+ .*: needs CAP_SYS_PTRACE/m);
  assertMatch(
    run.stdout,
    /^limited .*\b\d+ of \d+ processes cannot .*: needs CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH$/m,
  );
  assertNoStackTrace(run.stdout + run.stderr);
});

systemTest("whether processes can be looked into is tried", ["setpriv", "unshare"], async (netns) => {
  // All that it sees in a PID namespace of its own is itself, twice, and two processes of the same user's with all
  // capabilities.
  const script = 'sleep 60 & "$@"';
  const within = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c", script, "sh"];
  const doctor = async (...limits: string[]) => {
    return (await netns.run([...within, ...limits, ...TCPHUP, "doctor"])).stdout;
  };
  assertMatch(await doctor(), /^ok .*: all 4 processes can be looked into$/m);
  const less = ["setpriv", "--bounding-set", "-sys_ptrace", "--inh-caps", "-sys_ptrace", "--"];
  assertMatch(await doctor(...less), /^limited .*: 2 of 4 processes cannot be looked into: needs CAP_SYS_PTRACE$/m);
});

systemTest("a seccomp filter against pidfd_getfd: exit 4, and it names the affected command", [], async (netns) => {
  const within = withoutSyscall("pidfd_getfd", "EPERM");
  const run = await tcphup(["doctor"], { netns, within, code: 4 });
  assertMatch(run.stdout, /pidfd_getfd.*seccomp.*\n.*affects: hup/);
});

systemTest("a seccomp filter that kills at pidfd_getfd kills a process apart, and it says so", [], async (netns) => {
  const within = withoutSyscall("pidfd_getfd", "KILL");
  const run = await tcphup(["doctor"], { netns, within, code: 4 });
  assertMatch(
    run.stdout,
    /^missing +pidfd_getfd: duplicate a descriptor: the process that tries it is killed by a seccomp filter, by SIGSYS\n.*affects: hup/m,
  );
  assertMatch(run.stdout, /^missing +shutdown: hang up: the process that tries it is killed/m);
  // What comes between is tried all the same.
  assertMatch(run.stdout, /^ok +SOCK_DESTROY: destroy any connection: works$/m);
});

hostTest("where no process can be started, and for a library, it tries for itself", [], () => {
  const detailsOf = ({ findings }: Health) =>
    findings.map(({ name, status, detail }) => `${status} ${name}: ${detail}`);
  const alone = "limited pidfd_getfd: duplicate a descriptor: tried on this process alone, which is always allowed to";
  const without = detailsOf(checkHost());
  const withNone = detailsOf(checkHost({ command: ["/nonexistent/tcphup"] }));
  assertEquals([without.includes(alone), withNone.includes(alone)], [true, true]);
  assertEquals(withNone.slice(without.length), [
    "limited run: set keepalive on what a program opens: posix_spawn: ENOENT",
  ]);
  return Promise.resolve();
});

systemTest("a descriptor is duplicated from a process that is no child, as others' are", ["strace"], async (netns) => {
  const strace = ["strace", "--follow-forks", "--quiet=all", "--signal=none", "--trace=pidfd_open,pidfd_getfd"];
  const { stderr } = await tcphup(["doctor"], { netns, command: [...strace, ...TCPHUP] });
  const [, caller, target] = /^\[pid +(\d+)\] pidfd_open\((\d+), 0\)/m.exec(stderr)!;
  // The one that was started first, and is not followed yet, is its parent.
  assert(Number(target) < Number(caller), stderr);
});

systemTest(
  "with capabilities in a user namespace of its own: nothing that they do not reach works",
  ["unshare"],
  async (netns) => {
    const run = await tcphup(["doctor"], { netns, within: ["unshare", "--user", "--map-root-user"], code: 0 });
    assertMatch(
      run.stdout,
      /^limited +pidfd_getfd: of any process: denied for .*: forbidden despite CAP_SYS_PTRACE.*user namespace$/m,
    );
    assertMatch(
      run.stdout,
      /^limited +setns: .*: \d+ of \d+ cannot be entered: needs CAP_SYS_ADMIN in its user namespace as well$/m,
    );
    assertMatch(
      run.stdout,
      /^ok +run: set keepalive on what a program opens: works, by a supervisor: cgroup v2 is not mounted here$/m,
    );
  },
);

systemTest("run is tried, and what keeps it from working is said", [], async (netns) => {
  const works = await tcphup(["doctor"], { netns });
  assertMatch(
    works.stdout,
    /^ok +run: set keepalive on what a program opens: works, by a supervisor: cgroup v2 is not mounted here$/m,
  );
  const within = withoutSyscall("seccomp", "EPERM");
  const run = await tcphup(["doctor"], { netns, within, code: 0 });
  assertMatch(run.stdout, /^limited +run: set keepalive .*seccomp.*\n.*affects: run$/m);
});
