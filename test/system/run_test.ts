// `tcphup run` with a supervisor: programs of several kinds under it, what they find, and what becomes of them when it fails.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { goProgram, i386Program } from "../harness/built.ts";
import { Directory } from "../harness/directory.ts";
import { keepaliveTimers } from "../harness/keepalive.ts";
import { beside, launching, supervised, unsupervised } from "../harness/launched.ts";
import { Dialogue } from "../harness/lines.ts";
import { Namespace, type SpawnOptions } from "../harness/namespace.ts";
import { Peer, python, pythonProgram } from "../harness/peer.ts";
import { eventually, type Output, outputOf, run } from "../harness/process.ts";
import { withoutSyscall } from "../harness/syscalls.ts";
import { type Need, systemTest } from "../harness/system.ts";
import { PublicCopy, TCPHUP } from "../harness/tcphup.ts";

const PORT = 8000;

/** SO_KEEPALIVE, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT, TCP_USER_TIMEOUT: libkeepalive's, and the kernel's. */
const SET = [1, 15, 15, 9, 150_000];
const UNSET = [0, 7200, 75, 9, 0];

/** The first line of --debug. */
const SUPERVISED = "tcphup: the values are set by a supervisor: --no-bpf\n";

/** Runs a command under `tcphup run` to its end. */
async function launch(
  netns: Namespace,
  command: readonly string[],
  flags: readonly string[] = [],
  options: SpawnOptions = {},
): Promise<Output> {
  return await netns.run(launching(command, flags), options);
}

/** The standard output of a command that succeeds under `tcphup run`. */
async function outputUnder(
  netns: Namespace,
  command: readonly string[],
  flags: readonly string[] = [],
): Promise<string> {
  const { code, stdout, stderr } = await launch(netns, command, flags);
  assertEquals([code, stderr], [0, ""]);
  return stdout;
}

/** Waits until tcphup has become the program of that name. */
async function begun(child: Deno.ChildProcess, name: string): Promise<void> {
  await eventually(`${name} runs`, () => Deno.readTextFileSync(`/proc/${child.pid}/comm`) === `${name}\n`);
}

/** A test with a server that listens on `PORT` of 127.0.0.1, ::1 and all else. */
function servedTest(name: string, needs: readonly Need[], body: (netns: Namespace) => Promise<void>): void {
  systemTest(name, needs, async (netns) => {
    await Peer.start(netns).listen("::", PORT);
    await body(netns);
  });
}

// Which sockets are set, and when.

for (const on of ["connect,listen", "connect", "socket", "socket,connect,listen"]) {
  servedTest(`run --on ${on}: the values are set when connect(2) returns`, ["IPv6"], async (netns) => {
    for (const address of ["127.0.0.1", "::1"]) {
      const seen = await outputUnder(netns, pythonProgram("options.py", address, PORT), ["--on", on]);
      assertEquals(JSON.parse(seen), [SET]);
    }
    assertEquals(JSON.parse(await netns.exec(...pythonProgram("options.py", "127.0.0.1", PORT))), [UNSET]);
  });
}

servedTest("run --on listen: what is accepted has the values, what connects has not", [], async (netns) => {
  const seen = await outputUnder(netns, pythonProgram("options.py", "127.0.0.1", PORT), ["--on", "listen"]);
  assertEquals(JSON.parse(seen), [UNSET]);
  const server = python(`
import socket
for family, address in [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]:
    with socket.socket(family) as listener:
        listener.bind((address, 0))
        listener.listen()
        with socket.create_connection(listener.getsockname()[:2]):
            accepted, _ = listener.accept()
            print(accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))`);
  assertEquals(await outputUnder(netns, server, ["--on", "listen"]), "1\n1\n");
});

systemTest("run --on socket: the values are there before the program does anything", [], async (netns) => {
  const program = python(`
import fcntl, os, socket
KEEPALIVE = socket.SOL_SOCKET, socket.SO_KEEPALIVE
for family in (socket.AF_INET, socket.AF_INET6):
    for flags in (0, socket.SOCK_NONBLOCK, socket.SOCK_CLOEXEC):
        s = socket.socket(family, socket.SOCK_STREAM | flags)
        libc_made = socket.socket(fileno=os.dup(s.fileno()))
        print(s.getsockopt(*KEEPALIVE), s.type == socket.SOCK_STREAM, fcntl.fcntl(s, fcntl.F_GETFL) & os.O_NONBLOCK)
print(socket.socket(socket.AF_INET, socket.SOCK_DGRAM).getsockopt(*KEEPALIVE))
try:
    socket.socket(socket.AF_INET, socket.SOCK_STREAM, 99)
except OSError as error:
    print(error.strerror)`);
  const tcp = "1 True 0\n1 True 2048\n1 True 0\n";
  assertEquals(await outputUnder(netns, program, ["--on", "socket"]), `${tcp}${tcp}0\nProtocol not supported\n`);
});

systemTest(
  "run --on socket: a descriptor is inherited by the next program unless it was to be closed",
  [],
  async (netns) => {
    const program = python(`
import ctypes
libc = ctypes.CDLL(None)
for flags in (0, 0o2000000):
    fd = libc.socket(2, 1 | flags, 0)
    print(libc.fcntl(fd, 1))`);
    assertEquals(await outputUnder(netns, program, ["--on", "socket"]), "0\n1\n");
  },
);

systemTest("run --on socket: a program that may open no more descriptors is told so", [], async (netns) => {
  const program = python(`
import resource, socket
resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
try:
    socket.socket()
except OSError as error:
    print(error.strerror)`);
  assertEquals(await outputUnder(netns, program, ["--on", "socket"]), "Too many open files\n");
});

servedTest("run: what the program sets itself, later, stays", [], async (netns) => {
  const program = (when: string) =>
    python(`
import socket
s = socket.socket()
choose = lambda: s.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 77)
${when === "before" ? "choose()" : ""}
s.connect(("127.0.0.1", ${PORT}))
${when === "after" ? "choose()" : ""}
print(s.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE))`);
  assertEquals(await outputUnder(netns, program("after")), "77\n");
  assertEquals(await outputUnder(netns, program("before")), "15\n", "as with libkeepalive");
  assertEquals(await outputUnder(netns, program("before"), ["--on", "socket"]), "77\n");
});

servedTest("run: strace sees no setsockopt(2), and SO_KEEPALIVE on", ["strace"], async (netns) => {
  const client = pythonProgram("options.py", "127.0.0.1", PORT);
  const { code, stderr } = await launch(netns, ["strace", "-f", "-e", "trace=network", ...client]);
  assertEquals(code, 0, stderr);
  // Which descriptor it is depends on what this process has left open.
  assertMatch(stderr, /connect\((\d+), .* = 0\n.*getsockopt\(\1, SOL_SOCKET, SO_KEEPALIVE, \[1\], \[4\]\) = 0\n/);
  assert(!stderr.includes("setsockopt"), stderr);
});

/** The keepalive timer that ss(8) shows for the one connection to `PORT`, in seconds; null when there is none. */
async function keepaliveTimer(netns: Namespace): Promise<number | null> {
  const filter = ["state", "established", "dport", "=", String(PORT)];
  await eventually("a connection", async () => (await netns.ss(...filter)).length > 0);
  return (await keepaliveTimers(netns, ...filter))[0]!;
}

async function timerOf(netns: Namespace, command: readonly string[]): Promise<number | null> {
  const child = netns.spawn(command);
  const timer = await keepaliveTimer(netns);
  child.kill("SIGTERM");
  await outputOf(child, command);
  return timer;
}

servedTest("run: a static program's connection has a keepalive timer (busybox nc)", ["busybox"], async (netns) => {
  const nc = ["busybox", "nc", "127.0.0.1", String(PORT)];
  assertEquals(await timerOf(netns, nc), null);
  const timer = await timerOf(netns, launching(nc));
  assert(timer !== null && timer <= 15, String(timer));
});

servedTest("run: what the Go compiler makes, static, that calls the kernel itself", ["go"], async (netns) => {
  using go = await goProgram("options.go");
  const client = [go.program, `127.0.0.1:${PORT}`];
  assertEquals(JSON.parse(await netns.exec(...client))[0][0], 0);
  assertEquals(JSON.parse(await outputUnder(netns, client)), [SET]);
});

servedTest("run: curl's keepalive is ours, not the minute that it chooses", ["curl"], async (netns) => {
  const curl = ["curl", "--silent", "--no-buffer", "--max-time", "60", `telnet://127.0.0.1:${PORT}`];
  const own = await timerOf(netns, curl);
  assert(own !== null && own > 15 && own <= 60, String(own));
  const timer = await timerOf(netns, launching(curl));
  assert(timer !== null && timer <= 15, String(timer));
});

servedTest("run: all processes of a shell pipeline", [], async (netns) => {
  const client = pythonProgram("options.py", "127.0.0.1", PORT);
  const script = `"$@" | cat; (nohup sh -c '"$@"' sh "$@" 2>/dev/null) | cat`;
  const seen = await outputUnder(netns, ["sh", "-c", script, "sh", ...client]);
  assertEquals(JSON.parse(seen.replace("][", ",")), [SET, SET]);
});

systemTest("run: a forking server's connections have keepalive timers in its children", [], async (netns) => {
  const server = netns.spawn(launching(python(`
import socketserver
class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.recv(1)
class Server(socketserver.ForkingTCPServer):
    allow_reuse_address = True
Server(("127.0.0.1", ${PORT}), Handler).serve_forever()`)));
  await eventually("the server listens", async () => (await netns.ss("-l")).length === 1);
  const client = Peer.start(netns);
  await client.connect("127.0.0.1", PORT, { count: 3 });
  const timers = await eventually("three connections", async () => {
    const accepted = await netns.ss("-o", "state", "established", "sport", "=", String(PORT));
    return accepted.length === 3 && accepted;
  });
  for (const timer of timers) assertMatch(timer, /timer:\(keepalive,(14|15)/);
  await client.end();
  server.kill("SIGTERM");
  await server.status;
  await unsupervised(netns);
});

servedTest("run: many threads, blocking and not, thousands of connections", [], async (netns) => {
  const seen = JSON.parse(await outputUnder(netns, pythonProgram("options.py", "127.0.0.1", PORT, 100, 32)));
  assertEquals(seen.length, 3200);
  assertEquals(new Set(seen.map(String)), new Set([SET.join()]));
});

servedTest("run: a thread with descriptors of its own", ["Linux 6.9"], async (netns) => {
  const program = python(`
import ctypes, os, socket, threading
CLONE_FILES = 0x400
def work():
    assert ctypes.CDLL(None).unshare(CLONE_FILES) == 0
    with socket.create_connection(("127.0.0.1", ${PORT})) as s:
        print(s.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
thread = threading.Thread(target=work)
thread.start()
thread.join()`);
  assertEquals(await outputUnder(netns, program), "1\n");
});

servedTest("run: calls on what is not TCP end as they would", [], async (netns) => {
  const program = python(`
import os, socket
def attempt(what, call):
    try:
        print(what, call())
    except OSError as error:
        print(what, error.strerror)
name = b"\\0tcphup"  # abstract: of this network namespace, and no file
server = socket.socket(socket.AF_UNIX)
server.bind(name)
attempt("listen unix", server.listen)
attempt("connect unix", lambda: socket.socket(socket.AF_UNIX).connect(name))
attempt("connect nothing", lambda: socket.socket(socket.AF_UNIX).connect(name + b"-"))
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
attempt("connect udp", lambda: udp.connect(("127.0.0.1", 9)))
print(udp.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
attempt("listen udp", udp.listen)
closed = socket.socket()
os.close(closed.fileno())
attempt("connect closed", lambda: closed.connect(("127.0.0.1", ${PORT})))
r, w = os.pipe()
os.dup2(r, closed.fileno())
attempt("connect pipe", lambda: closed.connect(("127.0.0.1", ${PORT})))
attempt("connect refused", lambda: socket.create_connection(("127.0.0.1", 1)))`);
  const without = await netns.exec(...program);
  for (const on of ["connect,listen", "socket"]) assertEquals(await outputUnder(netns, program, ["--on", on]), without);
});

servedTest("run: MPTCP, where the kernel refuses one option, which --debug tells", ["MPTCP"], async (netns) => {
  const program = python(`
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
s.connect(("127.0.0.1", ${PORT}))
print(s.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), s.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE))`);
  assertEquals(await outputUnder(netns, program), "1 15\n");
  const { code, stdout, stderr } = await launch(netns, program, ["--debug"]);
  assertEquals([code, stdout], [0, "1 15\n"]);
  assertEquals(stderr, `${SUPERVISED}tcphup: connect: TCP_USER_TIMEOUT 150000: ENOPROTOOPT\n`);
});

servedTest("run: --debug waits for nobody who does not read it", ["MPTCP"], async (netns) => {
  const caller = `
import os, subprocess, sys
reading, writing = os.pipe()
os.set_blocking(writing, False)
try:
    while True:
        os.write(writing, bytes(1024))
except BlockingIOError:
    os.set_blocking(writing, True)
subprocess.run(sys.argv[1:], stderr=writing, check=True)`;
  const program = python(`
import socket
socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262).connect(("127.0.0.1", ${PORT}))
print("connected")`);
  assertEquals(await netns.exec(...python(caller, ...launching(program, ["--debug"]))), "connected\n");
  await unsupervised(netns);
});

systemTest("run: the supervisor's command is not for people", [], async (netns) => {
  const { code, stderr } = await netns.run([...TCPHUP, "supervise"]);
  assertEquals([code, stderr], [2, "tcphup: supervise is not a command to type: tcphup run starts it\n"]);
});

for (const on of ["connect,listen", "socket"]) {
  systemTest(`run --on ${on}: a program in another network namespace`, ["unshare"], async (netns) => {
    const program = python(`
import os, socket
with socket.create_server(("127.0.0.1", 0)) as listener:
    s = socket.create_connection(listener.getsockname())
    print(s.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))`);
    const apart = ["unshare", "--net", "sh", "-c", 'ip link set lo up; exec "$@"', "sh", ...program];
    assertEquals(await outputUnder(netns, apart, ["--on", on]), "1\n");
  });

  servedTest(`run --on ${on}: a program in another pid, user and mount namespace`, ["unshare"], async (netns) => {
    const client = pythonProgram("options.py", "127.0.0.1", PORT);
    for (const namespaces of [["--pid", "--fork", "--mount-proc"], ["--user", "--map-root-user"]]) {
      assertEquals(JSON.parse(await outputUnder(netns, ["unshare", ...namespaces, ...client], ["--on", on])), [SET]);
    }
  });

  servedTest(`run --on ${on}: a program that has become another user`, ["setpriv"], async (netns) => {
    const program = python(`
import os, socket
s = socket.create_connection(("127.0.0.1", ${PORT}))
print(s.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), os.fstat(s.fileno()).st_uid)`);
    const demoted = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", ...program];
    assertEquals(await outputUnder(netns, demoted, ["--on", on]), "1 65534\n");
  });
}

servedTest("run: a 32-bit program, static, that makes its calls in a child of vfork(2)", ["IA-32"], async (netns) => {
  using i386 = await i386Program(PORT);
  assertEquals((await netns.run([i386.program])).code, 0);
  assertEquals((await launch(netns, [i386.program])).code, 3);
  assertEquals((await launch(netns, [i386.program], ["--on", "socket"])).code, 3);
});

servedTest("run: libkeepalive's variables, and LIBKEEPALIVE_DEBUG", ["MPTCP"], async (netns) => {
  const env = { TCP_KEEPIDLE: "7", TCP_KEEPCNT: "3", TCP_KEEPINTVL: "5", TCP_USER_TIMEOUT: "0", TCP_SYNCNT: "2" };
  const { stdout } = await launch(netns, pythonProgram("options.py", "127.0.0.1", PORT), [], { env });
  assertEquals(JSON.parse(stdout), [[1, 7, 5, 3, 0]]);
  const mptcp = python(
    `import socket; socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262).connect(("127.0.0.1", ${PORT}))`,
  );
  const { stderr } = await launch(netns, mptcp, [], { env: { LIBKEEPALIVE_DEBUG: "" } });
  assertEquals(stderr, `${SUPERVISED}tcphup: connect: TCP_USER_TIMEOUT 150000: ENOPROTOOPT\n`);
});

systemTest("run: with the values, a program's read from a silent peer fails; without, it waits", [], async (netns) => {
  await using other = await Namespace.create();
  await netns.link(other, ["10.1.0.1/24"], ["10.1.0.2/24", "10.1.0.9/24"]);
  await Peer.start(other).listen("0.0.0.0", PORT);
  const program = python(`
import socket
s = socket.create_connection(("10.1.0.9", ${PORT}))
print("connected", flush=True)
try:
    s.recv(1)
except OSError as error:
    print(error.strerror)`);
  const env = { TCP_KEEPIDLE: "1", TCP_KEEPINTVL: "1", TCP_KEEPCNT: "2" };
  const without = netns.spawn(program);
  const under = netns.spawn(launching(program), { env });
  await eventually("two connections", async () => (await netns.ss("state", "established")).length === 2);
  await netns.silence("10.1.0.9", other);
  assertEquals((await outputOf(under, program)).stdout, "connected\nConnection timed out\n");
  assertEquals((await netns.ss("state", "established")).length, 1);
  without.kill("SIGTERM");
  assertEquals((await outputOf(without, program)).stdout, "connected\n");
});

// The command is tcphup's process.

systemTest("run: the command has tcphup's process id and parent, and its end is its own", [], async (netns) => {
  const child = netns.spawn(launching(["sh", "-c", 'echo $$ $PPID; read -r signal; kill -s "$signal" $$; exit 7']));
  await using shell = new Dialogue(child, "sh");
  assertEquals(await shell.line(), `${child.pid} ${Deno.pid}`);
  await shell.tell("USR1");
  assertEquals((await child.status).signal, "SIGUSR1");
  assertEquals((await launch(netns, ["sh", "-c", "exit 7"])).code, 7);
  await unsupervised(netns);
});

systemTest("run: the command has no child that it has not made", [], async (netns) => {
  const program = python(`
import os
try:
    os.wait()
except ChildProcessError as error:
    print(error.strerror)`);
  assertEquals(await outputUnder(netns, program), "No child processes\n");
});

systemTest("run: ^C ends the command, and the supervisor with it", [], async (netns) => {
  const terminal = python(
    `
import os, pty, sys
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
os.read(terminal, 1)
os.write(terminal, b"\\x03")
print(os.WTERMSIG(os.waitpid(pid, 0)[1]))`,
    ...launching(["sh", "-c", "echo; exec sleep 1000"]),
  );
  assertEquals((await netns.exec(...terminal)).trim(), "2");
  await unsupervised(netns);
});

systemTest("run: the command finds what it would have found", [], async (netns) => {
  const caller = `
import os, resource, signal, subprocess, sys
pipe, limit = sys.argv[1] == "ignored", int(sys.argv[2])
signal.signal(signal.SIGPIPE, signal.SIG_IGN if pipe else signal.SIG_DFL)
signal.signal(signal.SIGUSR1, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_SETMASK, {signal.SIGWINCH})
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
os.dup2(os.open("/dev/zero", os.O_RDONLY), 7)
os.umask(0o27)
os.nice(3)
subprocess.run(sys.argv[3:], restore_signals=False, pass_fds=[7], check=True)`;
  const under = async (command: string[], pipe: string) => await netns.exec(...python(caller, pipe, 300, ...command));
  const self = (...names: string[]) => ["cat", ...names.map((name) => `/proc/self/${name}`)];
  for (const pipe of ["ignored", "default"]) {
    for (
      const command of [
        self("limits", "environ", "cgroup", "oom_score_adj", "timerslack_ns", "fdinfo/0", "fdinfo/1", "fdinfo/2"),
        ["ls", "-l", "/proc/self/cwd", "/proc/self/root", "/proc/self/ns/net", "/proc/self/ns/pid", "/proc/self/fd/7"],
        ["ls", "/proc/self/fd"],
        ["nice"],
      ]
    ) {
      const seen = await under(launching(command), pipe);
      assertEquals(comparable(seen), comparable(await under(command, pipe)));
    }
    const status = self("status");
    assertEquals(inherited(await under(launching(status), pipe)), inherited(await under(status, pipe)));
    const groups = async (command: string[]) => (await under(command, pipe)).split(" ").slice(4, 8);
    assertEquals(await groups(launching(self("stat"))), await groups(self("stat")), "pgrp, session, tty, tpgid");
  }
});

/** What programs print, without the times of `ls -l` and the inodes of pipes. */
function comparable(listing: string): string {
  return listing.replaceAll(/ \w{3} +\d+ \d\d:\d\d /g, " ").replaceAll(/^ino:.*$/gm, "");
}

/** Node forgets, when it starts, which signals were blocked. */
const UNBLOCKS_SIGNALS = TCPHUP[0].endsWith("/node");
/** glibc keeps signals 32 and 33 for itself. */
const NOT_COMPARED = 0x180000000n;

/** The lines of /proc/PID/status about what a program inherits. */
function inherited(status: string): string[] {
  const fields = /^(Umask|Uid|Gid|Groups|Threads|Sig(Pnd|Blk|Ign|Cgt)|ShdPnd|Cap|NoNewPrivs|Cpus_allowed|Mems_allowed)/;
  const lines = status.split("\n").filter((line) => fields.test(line));
  const compared = lines.filter((line) => !(UNBLOCKS_SIGNALS && line.startsWith("SigBlk")));
  assert(UNBLOCKS_SIGNALS || lines.includes("SigBlk:\t0000000008000000"), "SIGWINCH was to be blocked");
  return compared.map((line) => {
    return line.startsWith("Sig") ? line.replace(/\S+$/, (mask) => String(BigInt(`0x${mask}`) & ~NOT_COMPARED)) : line;
  });
}

systemTest("run: arguments and variables that are not UTF-8 arrive as they are", [], async (netns) => {
  // Deno before 2.9.6 refuses such an argument, and what it compiles panics at one, before they come to tcphup.
  const throughDeno = `exec "$@" "$(printf 'a\\377b')"`;
  const deno = await run(["sh", "-c", throughDeno, "sh", Deno.execPath(), "eval", "0"], { mayFail: true });
  if (deno.code !== 0) assertMatch(deno.stderr, /invalid UTF-8/);
  const refused = TCPHUP.length === 1 || deno.code !== 0;
  const script = `BYTES=$(printf 'a\\377b') && export BYTES && "$@" ${refused ? "é" : '"$BYTES"'}`;
  const command = ["sh", "-c", 'printf "%s %s" "$BYTES" "$1" | od -An -tx1', "sh"];
  const bytes = await netns.exec("sh", "-c", script, "sh", ...launching(command));
  assertEquals(bytes, ` 61 ff 62 20 ${refused ? "c3 a9" : "61 ff 62"}\n`);
});

systemTest("run: standard output ends with the command, whoever of its family lives on", [], async (netns) => {
  const script = "exec 7<&0; echo begun; sleep 1000 <&- >/dev/null 2>&1 7<&- & echo $!";
  const { code, stdout } = await launch(netns, ["sh", "-c", script]);
  assertEquals(code, 0);
  const [, sleeper] = /^begun\n(\d+)\n$/.exec(stdout)!;
  assert(await beside(netns) !== null, "the supervisor stays for the one that lives on");
  Deno.kill(Number(sleeper), "SIGTERM");
  await unsupervised(netns);
});

systemTest("run: a pipe that the command has inherited ends when the command closes it", [], async (netns) => {
  const caller = `
import os, subprocess, sys
reading, writing = os.pipe()
os.dup2(writing, 9)
os.close(writing)
child = subprocess.Popen([*sys.argv[1:], "exec 9>&-; exec sleep 1000"], pass_fds=[9])
os.close(9)
print(os.read(reading, 1))
child.kill()`;
  assertEquals(await netns.exec(...python(caller, ...launching(["sh", "-c"]))), "b''\n");
  await unsupervised(netns);
});

systemTest("run: a script without an interpreter goes to /bin/sh", [], async (netns) => {
  using directory = new Directory();
  const file = `${directory.path}/file`;
  await Deno.writeTextFile(file, 'echo "script $1"\n', { mode: 0o755 });
  await Deno.chmod(file, 0o755);
  assertEquals(await outputUnder(netns, [file, "argument"]), "script argument\n");
});

systemTest("run: no command, none of that name, one that is no program", [], async (netns) => {
  const file = await Deno.makeTempFile({ prefix: "tcphup-test-" });
  const outcome = async (...command: string[]) => {
    const { code, stdout, stderr } = await launch(netns, command);
    assertEquals(stdout, "");
    return [code, stderr];
  };
  assertEquals(await outcome(), [2, "tcphup: No command to run: expected tcphup run [VALUES] [--] COMMAND [ARG...]\n"]);
  assertEquals(await outcome(""), [127, 'tcphup: command "" not found\n']);
  assertEquals(await outcome("no-such-command"), [
    127,
    'tcphup: command "no-such-command" not found: no directory of PATH has an executable file of that name\n',
  ]);
  assertEquals(await outcome(file), [
    126,
    `tcphup: command "${file}" cannot be executed: it is not an executable file\n`,
  ]);
  await Deno.remove(file);
  await unsupervised(netns);
});

// The supervisor, and its end.

servedTest("run: a supervisor that is killed is started anew, and no call is lost", [], async (netns) => {
  const program = pythonProgram("storm.py", 8);
  const child = netns.spawn(launching(program));
  // As long as tcphup waits for the supervisor, the end of that is the end of the command too.
  await begun(child, program[0]!.split("/").at(-1)!);
  let current = await supervised(netns);
  for (let round = 0; round < 3; round++) {
    // Long enough to be in the midst of it.
    await new Promise((resolve) => setTimeout(resolve, 300));
    // Without a processor for a second, another one has taken its place.
    current = await supervised(netns);
    Deno.kill(current.supervisor, "SIGKILL");
    const next = await supervised(netns, current);
    assertEquals(next.keeper, current.keeper);
    current = next;
  }
  await new Promise((resolve) => setTimeout(resolve, 300));
  await child.stdin.close();
  const { code, stdout, stderr } = await outputOf(child, ["storm.py"]);
  assertEquals([code, stderr], [0, ""]);
  const { connections, unset, errors } = JSON.parse(stdout);
  assert(connections > 0);
  assertEquals([unset, errors], [0, []]);
  await unsupervised(netns);
});

servedTest("run: what ends a session or a service does not end the supervisor", [], async (netns) => {
  const client = pythonProgram("options.py", "127.0.0.1", PORT);
  const child = netns.spawn(launching(["sh", "-c", 'read -r line; "$@"; echo; read -r line', "sh", ...client]));
  await begun(child, "sh");
  const command = new Dialogue(child, "sh");
  const { keeper, supervisor } = await supervised(netns);
  for (const signal of ["SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM"] as const) {
    Deno.kill(keeper, signal);
    Deno.kill(supervisor, signal);
  }
  await command.tell("connect");
  assertEquals(JSON.parse(await command.line()), [SET]);
  assertEquals(await supervised(netns), { keeper, supervisor });
  await command.end();
  await unsupervised(netns);
});

systemTest("run: a command whose supervisor cannot be started anew is killed", [], async (netns) => {
  using directory = new Directory();
  const bundle = `${directory.path}/tcphup.js`;
  const cli = new URL("../../cli.ts", import.meta.url).pathname;
  await run([Deno.execPath(), "bundle", "--quiet", "--output", bundle, cli]);
  const tcphup = [Deno.execPath(), "run", "--allow-ffi", bundle];
  const child = netns.spawn(launching(["sh", "-c", "exec sleep 1000"], [], tcphup));
  await begun(child, "sleep");
  const { supervisor } = await supervised(netns);
  await Deno.remove(bundle);
  Deno.kill(supervisor, "SIGKILL");
  assertEquals((await child.status).signal, "SIGKILL");
  await Promise.all([child.stdin.close(), child.stdout.cancel(), child.stderr.cancel()]);
  await unsupervised(netns);
});

servedTest("run: with the supervisor and its keeper killed, connect(2) fails with ENOSYS", [], async (netns) => {
  const program = python(`
import socket, sys
sys.stdin.read()
try:
    socket.create_connection(("127.0.0.1", ${PORT}))
except OSError as error:
    print(error.strerror)`);
  const child = netns.spawn(launching(program));
  await begun(child, "python3");
  const { keeper, supervisor } = await supervised(netns);
  Deno.kill(keeper, "SIGKILL");
  Deno.kill(supervisor, "SIGKILL");
  await unsupervised(netns);
  await child.stdin.close();
  assertEquals((await outputOf(child, program)).stdout, "Function not implemented\n");
});

// Who may, and who may not.

const NOBODY = 65534;

servedTest("run: an unprivileged user's own programs", ["setpriv"], async (netns) => {
  await using copy = await PublicCopy.make();
  const tcphup = copy.command;
  const client = pythonProgram("options.py", "127.0.0.1", PORT);
  for (const on of ["connect,listen", "socket"]) {
    const options = { user: NOBODY, env: copy.env, cwd: copy.cwd };
    const { code, stdout, stderr } = await netns.run(launching(client, ["--on", on], tcphup), options);
    assertEquals([code, stderr], [0, ""]);
    assertEquals(JSON.parse(stdout), [SET]);
  }
});

systemTest(
  "run: without CAP_SYS_ADMIN, no_new_privs is set, and said of a set-uid program",
  ["setpriv"],
  async (netns) => {
    await using copy = await PublicCopy.make();
    const options = { user: NOBODY, env: copy.env, cwd: copy.cwd };
    const tcphup = copy.command;
    const status = await netns.run(launching(["grep", "NoNewPrivs", "/proc/self/status"], [], tcphup), options);
    assertEquals([status.stdout, status.stderr], ["NoNewPrivs:\t1\n", ""]);
    const file = `${copy.cwd}/set-uid`;
    await Deno.copyFile("/bin/true", file);
    await Deno.chmod(file, 0o4755);
    const setUid = await netns.run(launching([file], [], tcphup), options);
    assertEquals(setUid.code, 0);
    assertEquals(
      setUid.stderr,
      `tcphup: "${file}" is set-user-ID, which has no effect: without CAP_SYS_ADMIN the kernel wants no_new_privs set\n`,
    );
    assertEquals((await launch(netns, [file])).stderr, "", "root needs no no_new_privs");
  },
);

servedTest(
  "run: a program that lets nobody look into it goes on unset, which --debug tells",
  ["setpriv"],
  async (netns) => {
    const program = python(`
import ctypes, socket
PR_SET_DUMPABLE = 4
ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
s = socket.create_connection(("127.0.0.1", ${PORT}))
print(s.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))`);
    const options = { without: ["sys_ptrace"] };
    const { code, stdout, stderr } = await launch(netns, program, ["--debug"], options);
    assertEquals([code, stdout], [0, "0\n"]);
    assertMatch(stderr.replace(SUPERVISED, ""), /^tcphup: thread \d+: pidfd_getfd: EPERM\n$/);
  },
);

servedTest("run: where pidfd_getfd(2) is forbidden, nothing starts; --on socket does without it", [], async (netns) => {
  const client = pythonProgram("options.py", "127.0.0.1", PORT);
  const denied = async (...flags: string[]) =>
    await launch(netns, client, flags, { within: withoutSyscall("pidfd_getfd", "EPERM") });
  const { code, stdout, stderr } = await denied();
  assertEquals([code, stdout], [4, ""]);
  assertMatch(stderr, /^tcphup: the command's sockets cannot be duplicated: .*; --on socket does not duplicate any\n$/);
  assertEquals(JSON.parse((await denied("--on", "socket")).stdout), [SET]);
  await unsupervised(netns);
});

systemTest("run: where seccomp(2) is forbidden, nothing starts", [], async (netns) => {
  const options = { within: withoutSyscall("seccomp", "EPERM") };
  const { code, stdout, stderr } = await launch(netns, ["echo", "started"], [], options);
  assertEquals([code, stdout], [4, ""]);
  assertEquals(stderr, "tcphup: the seccomp filter cannot be installed: EPERM\n");
  await unsupervised(netns);
});

systemTest("run: inside another one, nothing starts", [], async (netns) => {
  const { code, stdout, stderr } = await launch(netns, launching(["echo", "started"]));
  assertEquals([code, stdout], [4, ""]);
  assertMatch(stderr, /^tcphup: another supervisor already has a seccomp listener here, .*\n$/);
  await unsupervised(netns);
});

systemTest("run: without /bin/sh, nothing starts", ["unshare"], async (netns) => {
  const shell = await Deno.realPath("/bin/sh");
  const script = `import os, subprocess, sys
subprocess.run(["mount", "--bind", "/dev/null", "${shell}"], check=True)
os.execvp(sys.argv[1], sys.argv[1:])`;
  const command = ["unshare", "--mount", ...python(script, ...launching(["echo", "started"]))];
  const { code, stdout, stderr } = await netns.run(command);
  assertEquals([code, stdout], [4, ""]);
  assertEquals(stderr, "tcphup: /bin/sh, which looks after the supervisor, cannot be started: EACCES\n");
});

systemTest("launch: a program that does not know what `supervise` is starts nothing", [], async (netns) => {
  using directory = new Directory();
  const source = new URL("../../src/", import.meta.url);
  await Deno.writeTextFile(
    `${directory.path}/main.ts`,
    `import { launch } from "${source}run/launch.ts";
     import { SYSTEM_VALUES } from "${source}keepalive/values.ts";
     if (Deno.args[0] === "supervise") throw new Error("not here");
     const options = { values: SYSTEM_VALUES, on: new Set(["connect"] as const), debug: false, warn: () => {} };
     try {
       launch({ command: ["echo", "started"], ...options });
     } catch (error) {
       console.log((error as Error).name, (error as Error).message);
     }`,
  );
  const { stdout } = await netns.run([
    Deno.execPath(),
    "run",
    "--no-check",
    "--allow-ffi",
    `${directory.path}/main.ts`,
  ]);
  assertEquals(stdout, "UnsupportedError the supervisor did not start: --debug shows what it says\n");
  await unsupervised(netns);
});
