// What becomes of a family under `tcphup run` when its supervisor is stuck, astray or cannot start.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { launching, supervised, unsupervised, watcher } from "../harness/launched.ts";
import { Dialogue } from "../harness/lines.ts";
import type { Namespace } from "../harness/namespace.ts";
import { PYTHON } from "../harness/needs.ts";
import { Peer, python } from "../harness/peer.ts";
import { commandLine, eventually, outputOf } from "../harness/process.ts";
import { withoutSyscall } from "../harness/syscalls.ts";
import { systemTest } from "../harness/system.ts";
import { PublicCopy } from "../harness/tcphup.ts";

const PORT = 8000;

/** Answers each line of standard input with SO_KEEPALIVE of a new connection, or why there is none. */
const CLIENT = `
import socket, sys
for line in sys.stdin:
    try:
        with socket.create_connection(("127.0.0.1", ${PORT})) as s:
            print(s.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), flush=True)
    except OSError as error:
        print(error.strerror, flush=True)`;

/** A client under `tcphup run` that connects when it is told to. */
class Client {
  readonly #program: Dialogue;

  constructor(netns: Namespace) {
    this.#program = new Dialogue(netns.spawn(launching(python(CLIENT))), "the client");
  }

  /** What it says of one more connection. */
  async connect(): Promise<string> {
    await this.#program.tell("");
    return await this.#program.line();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program.end();
  }
}

/** strace(1), once it has taken hold of the supervisor. */
async function straced(netns: Namespace, pid: number, ...options: string[]): Promise<Deno.ChildProcess> {
  const child = netns.spawn(["strace", "--quiet=all", "-f", "-o", "/dev/null", ...options, "-p", String(pid)]);
  await eventually("strace", () => !/^TracerPid:\t0$/m.test(Deno.readTextFileSync(`/proc/${pid}/status`)));
  return child;
}

async function end(child: Deno.ChildProcess): Promise<void> {
  try {
    child.kill("SIGKILL");
  } catch {
    // It ends with what it traces.
  }
  await outputOf(child, ["strace"]);
}

systemTest("run: over a call in which the supervisor is stuck no other waits for long", ["strace"], async (netns) => {
  await Peer.start(netns).listen("127.0.0.1", PORT);
  let tracer: Deno.ChildProcess;
  {
    await using client = new Client(netns);
    assertEquals(await client.connect(), "1");
    const { supervisor } = await supervised(netns);
    tracer = await straced(netns, supervisor, "-e", "inject=setsockopt:delay_enter=600s");
    assertEquals(await client.connect(), "0", "the call itself goes on as it is");
    assertEquals(await client.connect(), "1");
    assert(commandLine(supervisor).length > 0, "the stuck one is left behind");
  }
  await end(tracer);
  await unsupervised(netns);
});

systemTest("run: a supervisor that is stopped is replaced when a call comes", [], async (netns) => {
  await Peer.start(netns).listen("127.0.0.1", PORT);
  let stopped: number;
  {
    await using client = new Client(netns);
    assertEquals(await client.connect(), "1");
    stopped = (await supervised(netns)).supervisor;
    await eventually("a watcher", async () => await watcher(netns) !== undefined);
    Deno.kill(stopped, "SIGSTOP");
    await eventually("its stop", () => Deno.readTextFileSync(`/proc/${stopped}/status`).includes("State:\tT"));
    assertEquals(await client.connect(), "1");
  }
  // It has been ended already, and learns of it now.
  Deno.kill(stopped, "SIGCONT");
  await unsupervised(netns);
});

systemTest("run: after its first call a command has a watcher, and before it none", [], async (netns) => {
  await Peer.start(netns).listen("127.0.0.1", PORT);
  {
    await using client = new Client(netns);
    await supervised(netns);
    assertEquals(await watcher(netns), undefined);
    await client.connect();
    await eventually("a watcher", async () => await watcher(netns) !== undefined);
  }
  await unsupervised(netns);
});

const NR_ioctl = Deno.build.arch === "x86_64" ? 16 : 29;

systemTest("run: the supervisor waits where it receives, which leaves signals the least time", [], async (netns) => {
  await Peer.start(netns).listen("127.0.0.1", PORT);
  await using client = new Client(netns);
  await client.connect();
  const { supervisor } = await supervised(netns);
  await eventually("ioctl(2) with SECCOMP_IOCTL_NOTIF_RECV", () => {
    const [nr, , request] = Deno.readTextFileSync(`/proc/${supervisor}/syscall`).split(" ");
    return Number(nr) === NR_ioctl && Number(request) === 0xc0502100;
  });
});

systemTest("run: a socket lingers as its program has it, unless it is connected again", [], async (netns) => {
  await Peer.start(netns).listen("127.0.0.1", PORT);
  const program = `
import socket, struct
s = socket.socket()
lingers = lambda: struct.unpack("ii", s.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8))
s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 30))
s.connect(("127.0.0.1", ${PORT}))
print(*lingers())
try:
    s.connect(("127.0.0.1", ${PORT}))
except OSError as error:
    print(error.strerror)
print(lingers()[0])`;
  const output = await netns.exec(...launching(python(program)));
  assertEquals(output, "1 30\nTransport endpoint is already connected\n0\n");
});

systemTest("run --on socket: a supervisor that cannot go back to its namespace ends, and the next is there", [
  "strace",
  "unshare",
], async (netns) => {
  const maker = `
import socket, subprocess, sys
SO_NETNS_COOKIE = 71
netns = lambda: print(socket.socket().getsockopt(socket.SOL_SOCKET, SO_NETNS_COOKIE, 8).hex(), flush=True)
if len(sys.argv) > 1:
    netns()
    sys.exit()
netns()
sys.stdin.readline()
subprocess.run(["unshare", "--net", sys.executable, *sys.orig_argv[1:], "elsewhere"])
netns()`;
  const child = netns.spawn(launching(python(maker), ["--on", "socket"]));
  await eventually("a watcher", async () => await watcher(netns) !== undefined);
  const { supervisor } = await supervised(netns);
  const tracer = await straced(netns, supervisor, "-e", "inject=setns:error=ENOMEM:when=2");
  await child.stdin.close();
  const { stdout } = await outputOf(child, ["python3"]);
  await end(tracer);
  const [before, elsewhere, after] = stdout.trim().split("\n");
  assert(before !== elsewhere);
  assertEquals(after, before);
  await unsupervised(netns);
});

systemTest("run: where a filter kills at what it needs, it says so, and nothing starts", [], async (netns) => {
  const killed = async (call: "pidfd_getfd" | "seccomp", ...flags: string[]) =>
    await netns.run(launching(["echo", "started"], flags), { within: withoutSyscall(call, "KILL") });
  for (const call of ["pidfd_getfd", "seccomp"] as const) {
    const { code, stdout, stderr } = await killed(call);
    assertEquals([code, stdout], [4, ""]);
    assertMatch(stderr, new RegExp(`^tcphup: a seccomp filter kills whoever calls ${call}\\(2\\), .*\n$`));
  }
  assertEquals((await killed("pidfd_getfd", "--on", "socket")).stdout, "started\n");
  await unsupervised(netns);
});

systemTest("run: where files may have no length, it says so, and nothing starts", [], async (netns) => {
  const limited = ["sh", "-c", 'ulimit -f 0; exec "$@"', "sh", ...launching(["echo", "started"])];
  const { code, stdout, stderr } = await netns.run(limited);
  assertEquals([code, stdout], [4, ""]);
  assertMatch(stderr, /^tcphup: RLIMIT_FSIZE \(LimitFSIZE= of a unit\) is too low for the supervisor: .*\n$/);
  await unsupervised(netns);
});

systemTest("run: the processes beside the command keep nothing of its environment", [], async (netns) => {
  const child = netns.spawn(launching(["sleep", "1000"]), { env: { SECRET: "x", TCP_KEEPIDLE: "7" } });
  const { keeper, supervisor } = await supervised(netns);
  for (const pid of [keeper, supervisor]) {
    const environment = Deno.readTextFileSync(`/proc/${pid}/environ`);
    assert(!/SECRET|TCP_KEEPIDLE/.test(environment), environment);
  }
  child.kill("SIGTERM");
  await outputOf(child, ["sleep"]);
  await unsupervised(netns);
});

/** Makes two sockets, and tells of the first. */
const MAKE_SOCKET = `
import socket
first, second = socket.socket(), socket.socket()
print(first.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))`;

systemTest("run --on socket: of the first process that goes without the values it tells, and of no more", [
  "setpriv",
], async (netns) => {
  await using copy = await PublicCopy.make();
  const options = { user: 65534, env: copy.env, cwd: copy.cwd };
  const undumpable = `
import ctypes
PR_SET_DUMPABLE = 4
ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)${MAKE_SOCKET}`;
  const command = launching(python(undumpable), ["--on", "socket"], copy.command);
  const { code, stdout, stderr } = await netns.run(command, options);
  assertEquals([code, stdout], [0, "0\n"]);
  assertMatch(
    stderr,
    /^tcphup: thread \d+: may not be looked into: needs CAP_SYS_PTRACE: its sockets have not got the values; .*\n$/,
  );
  await unsupervised(netns);
});

systemTest(
  "run --on socket: standard error ends with the command, whoever of its family lives on",
  [],
  async (netns) => {
    for (const call of ["", `${PYTHON} -c 'import socket; socket.socket()';`]) {
      const script = `${call} sleep 1000 <&- >/dev/null 2>&1 & echo $!`;
      const { code, stdout, stderr } = await netns.run(launching(["sh", "-c", script], ["--on", "socket"]));
      assertEquals([code, stderr], [0, ""]);
      Deno.kill(Number(stdout), "SIGTERM");
      await unsupervised(netns);
    }
  },
);
