// `tcphup run` without a supervisor: a BPF program on a control group of the command's own sets the values.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { Place } from "../harness/attach.ts";
import { goProgram, i386Program } from "../harness/built.ts";
import { DEFAULTS } from "../harness/keepalive.ts";
import { launching, unsupervised } from "../harness/launched.ts";
import type { SpawnOptions } from "../harness/namespace.ts";
import { Dialogue } from "../harness/lines.ts";
import { Peer, python, pythonProgram } from "../harness/peer.ts";
import { commandLine, eventually, type Output, outputOf } from "../harness/process.ts";
import { nginx, redis } from "../harness/servers.ts";
import { withoutSyscall } from "../harness/syscalls.ts";
import { type Need, systemTest } from "../harness/system.ts";
import { TCPHUP } from "../harness/tcphup.ts";

const PORT = 8000;

/** SO_KEEPALIVE, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT, TCP_USER_TIMEOUT: libkeepalive's. */
const SET = [1, 15, 15, 9, 150_000];

const NAME = /^tcphup-run-\d+-\d+$/;

/** A control group for `tcphup run`, in which groups of its own are made. */
class Ground {
  readonly place: Place;
  readonly #directory: string;

  constructor(place: Place) {
    this.place = place;
    this.#directory = place.cgroup.directory;
  }

  /** The command that launches `command`. */
  command(command: readonly string[], flags: readonly string[] = []): string[] {
    return [...TCPHUP, "run", "--debug", ...flags, "--", ...command];
  }

  /** Options of a program that starts in the control group. */
  inside(): SpawnOptions & { within: string[] } {
    return this.place.inside(this.place.cgroup);
  }

  spawn(command: readonly string[], flags: readonly string[] = []): Deno.ChildProcess {
    return this.place.netns.spawn(this.command(command, flags), this.inside());
  }

  /** Runs a command to its end that has no supervisor. Its standard error is without the line that says so. */
  async run(command: readonly string[], flags: readonly string[] = [], options: SpawnOptions = {}): Promise<Output> {
    const inside = this.inside();
    const within = [...inside.within, ...(options.within ?? [])];
    const output = await this.place.netns.run(this.command(command, flags), { ...inside, ...options, within });
    const [way = "", ...lines] = output.stderr.split("\n");
    const expected = `tcphup: the values are set by a BPF program on the control group ${this.place.cgroup.path}/`;
    assert(way.startsWith(expected), output.stderr);
    assertMatch(way.slice(expected.length), NAME);
    return { ...output, stderr: lines.join("\n") };
  }

  /** The standard output of a command that succeeds, and has nothing else to say. */
  async outputOf(command: readonly string[], flags?: readonly string[], options?: SpawnOptions): Promise<string> {
    const { code, stdout, stderr } = await this.run(command, flags, options);
    assertEquals([code, stderr], [0, ""]);
    return stdout;
  }

  /** The control groups that are there, those inside of others behind them. */
  groups(path = ""): string[] {
    const entries = [...Deno.readDirSync(this.#directory + path)].filter(({ isDirectory }) => isDirectory);
    return entries.flatMap(({ name }) => [`${path}/${name}`, ...this.groups(`${path}/${name}`)]).sort();
  }

  async makeGroup(path: string): Promise<void> {
    await Deno.mkdir(this.#directory + path);
  }

  /** Ends all that is in the control group, and removes the groups inside of it. */
  async clear(): Promise<void> {
    await Deno.writeTextFile(`${this.#directory}/cgroup.kill`, "1");
    const events = () => Deno.readTextFileSync(`${this.#directory}/cgroup.events`);
    await eventually("the end of all that is in it", () => events().includes("populated 0"));
    for (const path of this.groups().reverse()) await Deno.remove(this.#directory + path);
  }
}

function groundTest(name: string, needs: readonly Need[], body: (ground: Ground) => Promise<void>): void {
  const all: Need[] = ["cgroup v2", "unshare", "permission to use BPF", ...needs];
  systemTest(`run by a control group: ${name}`, all, async (netns) => {
    await using place = await Place.make(netns);
    const ground = new Ground(place);
    try {
      await body(ground);
    } finally {
      await ground.clear();
    }
  });
}

/** A test with a server that listens on `PORT` of 127.0.0.1, ::1 and all else. */
function servedTest(name: string, needs: readonly Need[], body: (ground: Ground) => Promise<void>): void {
  groundTest(name, needs, async (ground) => {
    await Peer.start(ground.place.netns).listen("::", PORT);
    await body(ground);
  });
}

/** The options of a listener, a connection to it, and what it accepts; each before the program has done anything to it. */
const ENDS = `
import json, socket, sys
OPTIONS = [(1, 9), (6, 4), (6, 5), (6, 6), (6, 18), (6, 10), (6, 2)]
show = lambda s: [s.getsockopt(level, name) for level, name in OPTIONS]
for address in sys.argv[1:]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as listener:
        client = socket.create_connection(listener.getsockname()[:2])
        accepted, _ = listener.accept()
        print(json.dumps([show(s) for s in (listener, client, accepted)]))
`;

// Which sockets are set, and when.

for (
  const flags of [
    [],
    ["--on", "connect,listen"],
    ["--idle", "20", "--interval", "0", "--user-timeout", "0"],
    ["--window-clamp", "20000", "--maxseg", "1000", "--syncnt", "3"],
  ]
) {
  groundTest(`a listener, what connects, what is accepted, as with a supervisor: ${flags.join(" ")}`, [
    "IPv6",
  ], async (ground) => {
    const program = python(ENDS, "127.0.0.1", "::1");
    const { stdout } = await ground.place.netns.run(launching(program, flags), ground.inside());
    assertEquals(await ground.outputOf(program, flags), stdout);
    assertEquals(stdout.split("\n").length, 3);
    assert(JSON.parse(stdout.split("\n")[0]!).every(([keepalive]: number[]) => keepalive === 1), stdout);
  });
}

servedTest("what a program sets before it connects is replaced, what it sets later stays", [], async (ground) => {
  const program = python(`
import socket
for early in (True, False):
    with socket.socket() as s, socket.socket() as listener:
        choose = lambda s: (s.setsockopt(6, 4, 77), s.setsockopt(1, 9, 0))
        if early: choose(s), choose(listener)
        s.connect(("127.0.0.1", ${PORT}))
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        if not early: choose(s), choose(listener)
        with socket.create_connection(listener.getsockname()), listener.accept()[0] as accepted:
            print([[one.getsockopt(1, 9), one.getsockopt(6, 4)] for one in (s, listener, accepted)])`);
  const outcome = "[[1, 15], [1, 15], [1, 15]]\n[[0, 77], [0, 77], [0, 77]]\n";
  assertEquals((await ground.place.netns.run(launching(program))).stdout, outcome);
  assertEquals(await ground.outputOf(program), outcome);
});

servedTest("static and 32-bit programs, Go's and busybox", ["go", "IA-32", "busybox"], async (ground) => {
  using go = await goProgram("options.go");
  assertEquals(JSON.parse(await ground.outputOf([go.program, `127.0.0.1:${PORT}`])), [SET]);
  using i386 = await i386Program(PORT);
  assertEquals((await ground.run([i386.program])).code, 3);
  const nc = ground.spawn(["busybox", "nc", "127.0.0.1", String(PORT)]);
  const [connection] = await eventually("a connection", async () => {
    const found = await ground.place.netns.ss("-o", "state", "established", "dport", "=", String(PORT));
    return found.length > 0 && found;
  });
  assertMatch(connection!, /timer:\(keepalive,1[45]/);
  nc.kill("SIGTERM");
  await outputOf(nc, ["nc"]);
});

servedTest("many threads, blocking and not, thousands of connections", [], async (ground) => {
  const seen = JSON.parse(await ground.outputOf(pythonProgram("options.py", "127.0.0.1", PORT, 100, 32)));
  assertEquals(seen.length, 3200);
  assertEquals(new Set(seen.map(String)), new Set([SET.join()]));
});

servedTest("all processes of a shell pipeline, other users, other namespaces", ["setpriv"], async (ground) => {
  const client = pythonProgram("options.py", "127.0.0.1", PORT);
  const pipeline = `"$@" | cat; (nohup setsid sh -c '"$@"' sh "$@" 2>/dev/null) | cat`;
  const seen = await ground.outputOf(["sh", "-c", pipeline, "sh", ...client]);
  assertEquals(JSON.parse(seen.replace("][", ",")), [SET, SET]);
  const demoted = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
  for (const around of [demoted, ["unshare", "--pid", "--fork"], ["unshare", "--user"], ["unshare", "--cgroup"]]) {
    assertEquals(JSON.parse(await ground.outputOf([...around, ...client])), [SET]);
  }
  const apart = ["unshare", "--net", "sh", "-c", 'ip link set lo up; exec "$@"', "sh", ...python(ENDS, "127.0.0.1")];
  assertEquals(JSON.parse(await ground.outputOf(apart)).map((end: number[]) => end[0]), [1, 1, 1]);
});

groundTest(
  "MPTCP: its subflows have the values, and the socket itself does not show them",
  ["MPTCP"],
  async (ground) => {
    const program = python(`
import socket, subprocess
with socket.socket(2, 1, 262) as listener:
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    port = str(listener.getsockname()[1])
    s = socket.socket(2, 1, 262)
    s.connect(listener.getsockname())
    accepted, _ = listener.accept()
    print([one.getsockopt(1, 9) for one in (s, accepted)], flush=True)
    subprocess.run(["ss", "-tnoH", "sport", "=", port, "or", "dport", "=", port])`);
    const [own, ...subflows] = (await ground.outputOf(program)).trim().split("\n");
    assertEquals([own, subflows.length], ["[0, 0]", 2]);
    for (const subflow of subflows) assertMatch(subflow, /timer:\(keepalive,1[45]/);
  },
);

/** Waits for a connection, and returns the keepalive of both of its ends: who connects, who accepts. */
async function keepaliveOf({ place }: Ground, port: number) {
  return await eventually("a connection", async () => {
    const filter = `dport = :${port} or sport = :${port}`;
    const list = await place.tcphup(["ls", "any", "--filter", filter, "--state", "estab", "--keepalive", "--json"]);
    const ends = list.json().connections.sort((one) => one.dst.port === port ? -1 : 1);
    return ends.length === 2 && ends.map(({ keepalive }) => keepalive);
  });
}

groundTest("redis-cli, and what redis-server accepts", ["redis-server"], async (ground) => {
  const { netns } = ground.place;
  const within = [...ground.inside().within, ...TCPHUP, "run", "--"];
  await using _server = await redis(netns, "127.0.0.2", ["--tcp-keepalive", "0"], { within });
  const client = ground.spawn(["redis-cli", "-h", "127.0.0.2", "subscribe", "channel"], ["--user-timeout", "33s"]);
  const [connecting, accepted] = await keepaliveOf(ground, 6379);
  // Once it is connected, redis-cli sets the other values itself.
  assertEquals([connecting?.user_timeout_ms, accepted], [33_000, DEFAULTS]);
  client.kill("SIGTERM");
  await outputOf(client, ["redis-cli"]);
});

groundTest("nginx, which forks, and curl", ["nginx", "curl"], async (ground) => {
  const within = [...ground.inside().within, ...TCPHUP, "run", "--"];
  const http = "server { listen 127.0.0.2:8080; }";
  await using _server = await nginx(ground.place.netns, "127.0.0.2:8080", http, { within });
  const curl = ground.spawn(["curl", "--no-keepalive", "telnet://127.0.0.2:8080"]);
  assertEquals(await keepaliveOf(ground, 8080), [DEFAULTS, DEFAULTS]);
  curl.kill("SIGTERM");
  await outputOf(curl, ["curl"]);
});

// The command is tcphup's process, and nothing is beside it.

groundTest(
  "the same process and parent, its own end, no child, no descriptor, no new restriction",
  [],
  async (ground) => {
    const { netns } = ground.place;
    const child = ground.spawn(["sh", "-c", 'echo $$; read -r signal; kill -s "$signal" $$']);
    await using shell = new Dialogue(child, "sh");
    assertEquals(await shell.line(), `${child.pid}`);
    assert(!(await netns.pids()).some((pid) => commandLine(pid).includes("supervise")), "no supervisor");
    await shell.tell("USR1");
    assertEquals((await child.status).signal, "SIGUSR1");
    assertEquals((await ground.run(["sh", "-c", "exit 7"])).code, 7);
    const status =
      "grep -E '^(NoNewPrivs|Seccomp|Cap|Uid)' /proc/self/status; ls -l /proc/self/fd | grep -E 'bpf|cgroup|socket'; ulimit -a; env; pwd; ps -o tty= $$";
    const bare = await netns.run(["sh", "-c", status], ground.inside());
    assertEquals(await ground.outputOf(["sh", "-c", status]), bare.stdout);
    const wait = python("import os\ntry: os.wait()\nexcept ChildProcessError as error: print(error.strerror)");
    assertEquals(await ground.outputOf(wait), "No child processes\n");
  },
);

groundTest("what cannot be executed leaves no group behind", [], async (ground) => {
  const file = await Deno.makeTempFile({ prefix: "tcphup-test-" });
  await Deno.writeTextFile(file, "#!/no/such/interpreter\n");
  await Deno.chmod(file, 0o755);
  assertEquals(await ground.run([file]), { code: 127, stdout: "", stderr: `tcphup: command "${file}" not found\n` });
  assertEquals(ground.groups(), []);
  await Deno.remove(file);
});

// Nested, left behind, killed.

servedTest("inside of another run, the inner values count", [], async (ground) => {
  const client = pythonProgram("options.py", "127.0.0.1", PORT);
  const idleOf = async (command: readonly string[], options: SpawnOptions = {}) => {
    const { code, stdout, stderr } = await ground.run(command, ["--idle", "10"], options);
    assertEquals(code, 0, stderr);
    return [JSON.parse(stdout)[0][1], stderr];
  };
  const [inner, said] = await idleOf(ground.command(client, ["--idle", "20"]));
  assertEquals(inner, 20);
  assertMatch(said, new RegExp(`by a BPF program on the control group ${ground.place.cgroup.path}/.*/tcphup-run-`));
  assertEquals(await idleOf(launching(client, ["--idle", "30"])), [30, ""]);
  // One that may not leave the group of the outer one says so.
  const confined = ["unshare", "--mount", "sh", "-c", 'umount --all --lazy --types cgroup2; exec "$@"', "sh"];
  assertEquals(await idleOf([...confined, ...launching(client, ["--idle", "40"])]), [
    10,
    "tcphup: the values of the tcphup run outside of this one count\n",
  ]);
  await unsupervised(ground.place.netns);
});

groundTest("a group that is left behind is removed by the next run, and no other", [], async (ground) => {
  const NOBODY = 0x3fffff; // Above kernel.pid_max.
  const abandoned = [`/tcphup-run-${NOBODY}-1`, `/tcphup-run-${NOBODY}-1/tcphup-run-${NOBODY}-2`];
  const others = ["/tcphup-run-x", `/tcphup-run-${Deno.pid}-1`, `/tcphup-run-${NOBODY}-3`, "/another"];
  for (const path of [...abandoned, ...others]) await ground.makeGroup(path);
  // One that is no run's, in a group of a run that has ended.
  await ground.makeGroup(`/tcphup-run-${NOBODY}-3/x`);
  const sleeper = ground.spawn(["sh", "-c", "sleep 1000 >/dev/null 2>&1 & echo $!"]);
  const { stdout: pid } = await outputOf(sleeper, ["sh"]);
  const populated = ground.groups().find((path) => path.startsWith(`/tcphup-run-${sleeper.pid}-`))!;
  await ground.outputOf(["true"]);
  const left = ground.groups();
  assertEquals(left.filter((path) => abandoned.includes(path)), []);
  for (const path of [...others, `/tcphup-run-${NOBODY}-3/x`, populated]) assert(left.includes(path), path);
  Deno.kill(Number(pid), "SIGKILL");
  await eventually("the sleeper's end", () => commandLine(Number(pid)).length === 0);
  await ground.outputOf(["true"]);
  assert(!ground.groups().includes(populated));
});

groundTest("killed at any instant, tcphup leaves an empty group at most", ["strace"], async (ground) => {
  const instants = ["bpf:when=2", "bpf:when=3", "bpf:when=4", "listen", "connect", "execve"];
  for (const instant of instants) {
    const [call = "", when = "when=1"] = instant.split(":");
    const strace = ["strace", "-f", "--quiet=all", "-o", "/dev/null", "-e", `inject=${call}:signal=SIGKILL:${when}`];
    const within = [...ground.inside().within, ...strace];
    const killed = await ground.place.netns.run(ground.command(["echo", "begun"]), { within });
    assertEquals(killed.stdout, "", instant);
    const left = ground.groups();
    assertEquals(left.length, 1, instant);
    const { stdout, stderr } = await ground.place.netns.run(launching(["echo", "begun"]), ground.inside());
    assertEquals([stdout, stderr], ["begun\n", ""], instant);
    assertEquals(await ground.outputOf(["echo", "begun"]), "begun\n", instant);
    assertEquals(ground.groups().filter((path) => left.includes(path)), [], instant);
  }
});

groundTest("several at once do not remove each other's groups", [], async (ground) => {
  const client = 'for i in 1 2 3 4 5 6 7 8; do "$@" & done; wait';
  const { stdout, stderr } = await ground.place.netns.run(
    ["sh", "-c", client, "sh", ...ground.command(["grep", "0::", "/proc/self/cgroup"])],
    ground.inside(),
  );
  const groups = stdout.trim().split("\n");
  assertEquals([groups.length, new Set(groups).size], [8, 8], stderr);
  for (const group of groups) assertMatch(group.split("/").at(-1)!, NAME);
});

groundTest(
  "programs of the host's on outer groups go on, and where they would not, a supervisor serves",
  [],
  async (ground) => {
    const { netns, cgroup } = ground.place;
    // Of the host's, one that allows others beside it.
    await using _attached = await ground.place.attach(["any", "--idle", "99", "--only-new"]);
    const ends = python(ENDS, "127.0.0.1");
    const [, connected, accepted] = JSON.parse(await ground.outputOf(ends));
    assertEquals([connected[1], accepted[1]], [15, 99], "as with a supervisor, it sets what is accepted anew");
    for (const [flags, why] of [["0", "bpf.*EPERM|BPF is denied"], ["1", "would give way"]] as const) {
      await ground.makeGroup(`/host-${flags}`);
      const directory = `${cgroup.directory}/host-${flags}`;
      const attach = await netns.run(pythonProgram("attach_sock_ops.py", directory, flags), ground.place.inside());
      assertEquals([attach.code, attach.stderr], [0, ""]);
      const inside = ["sh", "-c", `echo $$ >${directory}/cgroup.procs && exec "$@"`, "sh"];
      const { code, stderr } = await netns.run(ground.command(ends), {
        within: [...ground.place.inside().within, ...inside],
      });
      assertEquals(code, 0);
      assertMatch(stderr, new RegExp(`^tcphup: the values are set by a supervisor: .*(${why})`));
      assertEquals(ground.groups().filter((path) => path.startsWith(`/host-${flags}/`)), []);
    }
  },
);

// Where it cannot be done, a supervisor does it.

for (
  const [name, needs, { flags = [], without, within = [], command }, why] of [
    ["--no-bpf", [], { flags: ["--no-bpf"] }, /--no-bpf/],
    ["--on socket", [], { flags: ["--on", "socket"] }, /--on socket/],
    ["--on connect", [], { flags: ["--on", "connect"] }, /--on connect/],
    ["--defer-accept", [], { flags: ["--defer-accept", "3"] }, /TCP_DEFER_ACCEPT/],
    ["without CAP_BPF", ["setpriv"], { without: ["bpf", "sys_admin"] }, /BPF is denied: needs CAP_BPF$/],
    [
      "without CAP_NET_ADMIN",
      ["setpriv"],
      { without: ["net_admin", "sys_admin"] },
      /BPF is denied: needs CAP_NET_ADMIN$/,
    ],
    ["a read-only cgroup v2", [], {
      within: ["unshare", "--mount", "sh", "-c", 'mount -o remount,bind,ro "$0" && exec "$@"', "MOUNT"],
    }, /a control group of its own cannot be had: mkdir: EROFS/],
    ["no cgroup v2", [], {
      within: ["unshare", "--mount", "sh", "-c", 'umount --all --lazy --types cgroup2; exec "$@"', "sh"],
    }, /cgroup v2 is not mounted here/],
    ["a control group that is the command's to manage", [], {
      within: python(
        "import os, sys; os.setxattr(sys.argv[1], 'trusted.delegate', b'1'); os.execvp(sys.argv[2], sys.argv[2:])",
        "GROUP",
      ),
    }, /is the command's to manage \(Delegate=\)$/],
    ["loopback that is down", [], {
      within: ["unshare", "--net"],
      command: ["echo", JSON.stringify([SET])],
    }, /loopback is down/],
    ["a seccomp filter", [], {
      within: withoutSyscall("acct", "EPERM"),
    }, /a seccomp filter is in force here/],
    ["no room for a further group", [], {
      within: [
        "sh",
        "-c",
        'echo 0 >"$0$(sed s/^0:://p -n /proc/self/cgroup)/cgroup.max.descendants" && exec "$@"',
        "MOUNT",
      ],
    }, /a control group of its own cannot be had: mkdir: EAGAIN/],
  ] as [string, Need[], { flags?: string[]; without?: string[]; within?: string[]; command?: string[] }, RegExp][]
) {
  servedTest(`${name}: a supervisor serves`, needs, async (ground) => {
    const inside = ground.inside();
    const { directory, path } = ground.place.cgroup;
    const places: Record<string, string> = { MOUNT: directory.slice(0, -path.length), GROUP: directory };
    const client = command ?? pythonProgram("options.py", "127.0.0.1", PORT);
    const { code, stdout, stderr } = await ground.place.netns.run(ground.command(client, flags), {
      without,
      within: [...inside.within, ...within.map((word) => places[word] ?? word)],
    });
    assertEquals(code, 0, stderr);
    const [way = "", ...rest] = stderr.split("\n");
    assert(way.startsWith("tcphup: the values are set by a supervisor: "), stderr);
    assertMatch(way, why);
    assertEquals([rest.filter((line) => !line.includes("descriptors stays")), JSON.parse(stdout)], [[""], [SET]]);
    assertEquals(ground.groups(), []);
  });
}

servedTest("doctor says who would set the values, and leaves no group behind", [], async (ground) => {
  const doctor = async (within: string[] = []) => {
    const { stdout } = await ground.place.tcphup(["doctor"], {
      within: [...ground.inside().within, ...within],
    });
    return /^.*run: set keepalive.*$/m.exec(stdout)?.[0] ?? stdout;
  };
  const { path } = ground.place.cgroup;
  assertMatch(await doctor(), new RegExp(`^ok .*: works, by a BPF program on the control group ${path}/tcphup-run-`));
  assertEquals(ground.groups(), []);
  const filtered = await doctor(withoutSyscall("acct", "EPERM"));
  assertMatch(filtered, /^ok .*: works, by a supervisor: a seccomp filter is in force here/);
});
