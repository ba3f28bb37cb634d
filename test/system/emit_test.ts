// The emitted configuration before the programs that it is for: YAML parsed, the rest loaded by the real ones.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { parse } from "@std/yaml";
import { pidfdGetfd, pidfdOpen } from "../../ffi/pidfd.ts";
import { getsockopt, IPPROTO_TCP, SO_PROTOCOL, SOL_SOCKET } from "../../ffi/socket.ts";
import { emitKeepaliveConfig } from "../../src/keepalive/emit.ts";
import { read } from "../../src/socket/keepalive_options.ts";
import { type Keepalive, type KeepaliveValues, resolveValues, SYSTEM_VALUES } from "../../src/keepalive/values.ts";
import { Directory } from "../harness/directory.ts";
import { Dialogue } from "../harness/lines.ts";
import { Namespace } from "../harness/namespace.ts";
import { python } from "../harness/peer.ts";
import { eventually, run } from "../harness/process.ts";
import { hostTest, type Need } from "../harness/system.ts";

const LIBKEEPALIVE = resolveValues().values;

const ALL: KeepaliveValues = {
  idleS: 11,
  intervalS: 12,
  count: 3,
  userTimeoutMs: 14_000,
  syncnt: 5,
  maxseg: 1400,
  windowClamp: 17_000,
  deferAcceptS: 7,
};

/** The ends of the kernel's ranges, and values that are the system's: what a program may take differently. */
const SAMPLES: KeepaliveValues[] = [
  LIBKEEPALIVE,
  ALL,
  { ...ALL, idleS: 1, intervalS: 1, count: 1, userTimeoutMs: 1 },
  { ...ALL, idleS: 32767, intervalS: 32767, count: 127, userTimeoutMs: 2147483647 },
  { ...SYSTEM_VALUES, idleS: 20 },
  { ...SYSTEM_VALUES, count: 4 },
];

/** What a program left behind. */
interface Ended {
  code: number;
  /** Standard output, then standard error. */
  output: string;
}

/** Runs a program to its end, whatever that is. */
async function tried(...command: string[]): Promise<Ended> {
  const { code, stdout, stderr } = await run(command, { mayFail: true });
  return { code, output: stdout + stderr };
}

/** What it takes to run something apart. */
const APART = ["root", "unshare", "permission to make namespaces"] as const;

/** Runs a shell script in a network namespace of its own, which ends with it. */
async function triedApart(script: string, ...args: string[]): Promise<Ended> {
  return await tried("unshare", "--net", "sh", "-c", script, "sh", ...args);
}

/** Registers a test that gets a directory of its own. */
function emitTest(needs: readonly Need[], name: string, body: (directory: string) => Promise<void>): void {
  hostTest(name, needs, async () => {
    using directory = new Directory();
    await body(directory.path);
  });
}

function write(directory: string, name: string, text: string): string {
  const path = `${directory}/${name}`;
  Deno.writeTextFileSync(path, text);
  return path;
}

Deno.test("istio: a DestinationRule with tcpKeepalive", () => {
  const rule = (values: KeepaliveValues, service?: string) => parse(emitKeepaliveConfig("istio", values, service));
  assertEquals(rule(LIBKEEPALIVE, "db.shop.svc.cluster.local"), {
    apiVersion: "networking.istio.io/v1",
    kind: "DestinationRule",
    metadata: { name: "tcp-keepalive" },
    spec: {
      host: "db.shop.svc.cluster.local",
      trafficPolicy: { connectionPool: { tcp: { tcpKeepalive: { probes: 9, time: "15s", interval: "15s" } } } },
    },
  });
  const keepalive = (values: Partial<KeepaliveValues>) =>
    // deno-lint-ignore no-explicit-any
    (rule({ ...SYSTEM_VALUES, ...values }) as any).spec.trafficPolicy.connectionPool.tcp.tcpKeepalive;
  assertEquals(keepalive({ idleS: 20 }), { time: "20s" });
  assertEquals(keepalive({}), {});
});

/** A socket option as Envoy has it. */
function option(description: string, level: number, name: number, int_value: number) {
  return { description, level, name, int_value, state: "STATE_PREBIND" };
}

Deno.test("envoyfilter: socket options by level and number, for listeners and for upstreams", () => {
  const common = [
    option("TCP_KEEPINTVL", 6, 5, 12),
    option("TCP_KEEPCNT", 6, 6, 3),
    option("TCP_KEEPIDLE", 6, 4, 11),
    option("SO_KEEPALIVE", 1, 9, 1),
    option("TCP_USER_TIMEOUT", 6, 18, 14_000),
    option("TCP_WINDOW_CLAMP", 6, 10, 17_000),
    option("TCP_MAXSEG", 6, 2, 1400),
  ];
  const patch = (value: unknown) => ({ operation: "MERGE", value });
  assertEquals(parse(emitKeepaliveConfig("envoyfilter", ALL)), {
    apiVersion: "networking.istio.io/v1alpha3",
    kind: "EnvoyFilter",
    metadata: { name: "tcp-keepalive" },
    spec: {
      configPatches: [
        {
          applyTo: "LISTENER",
          match: { context: "SIDECAR_INBOUND" },
          patch: patch({ socket_options: [...common, option("TCP_DEFER_ACCEPT", 6, 9, 7)] }),
        },
        {
          applyTo: "CLUSTER",
          match: { context: "SIDECAR_OUTBOUND" },
          patch: patch({ upstream_bind_config: { socket_options: [...common, option("TCP_SYNCNT", 6, 7, 5)] } }),
        },
      ],
    },
  });
});

Deno.test("kubernetes: sysctls of a pod, whose values are strings", () => {
  assertEquals(parse(emitKeepaliveConfig("kubernetes", ALL)), {
    spec: {
      securityContext: {
        sysctls: [
          { name: "net.ipv4.tcp_keepalive_time", value: "11" },
          { name: "net.ipv4.tcp_keepalive_intvl", value: "12" },
          { name: "net.ipv4.tcp_keepalive_probes", value: "3" },
        ],
      },
    },
  });
});

emitTest(["sysctl", ...APART], "sysctl -p takes the lines, and the namespace has the values", async (directory) => {
  for (const values of SAMPLES) {
    const text = emitKeepaliveConfig("sysctl", values);
    const lines = text.split("\n").filter((line) => /^net/.test(line));
    const read = await triedApart(
      'sysctl -q -p "$1" && shift && sysctl "$@"',
      write(directory, "tcphup.conf", text),
      ...lines.map((line) => line.replace(/ .*/, "")),
    );
    assertEquals(read, { code: 0, output: lines.join("\n") + "\n" });
  }
});

emitTest(
  ["nginx", ...APART],
  "nginx refuses a second listen directive, and a second so_keepalive, as the comment says",
  async (directory) => {
    const [, parameter] = /listen 443 (.*);/.exec(emitKeepaliveConfig("nginx", LIBKEEPALIVE))!;
    const test = async (...servers: string[]) => {
      const http = servers.map((listens) => `server { ${listens} }`).join("\n");
      const text = `pid ${directory}/pid; error_log stderr; events {}\nhttp { access_log off; ${http} }\n`;
      return (await triedApart('ip link set lo up; nginx -t -c "$1"', write(directory, "nginx.conf", text))).output;
    };
    assertMatch(await test(`listen 443 ${parameter};`, "listen 443; server_name a;"), /test is successful/);
    assertMatch(await test(`listen 443; listen 443 ${parameter};`), /duplicate/);
    assertMatch(
      await test(`listen 443 ${parameter};`, `listen 443 ${parameter}; server_name a;`),
      /duplicate listen options/,
    );
  },
);

emitTest(["nginx", ...APART], "nginx -t takes the directives", async (directory) => {
  for (const values of [...SAMPLES, SYSTEM_VALUES]) {
    const text = emitKeepaliveConfig("nginx", values);
    const path = write(
      directory,
      "nginx.conf",
      `pid ${directory}/pid; error_log stderr; events {}\nhttp { access_log off; server {\n${text}} }\n`,
    );
    const { code, output } = await triedApart('ip link set lo up; nginx -t -c "$1"', path);
    assert(code === 0 && /test is successful/.test(output) && !/warn/.test(output), `${output}\n${text}`);
  }
});

/** What a configuration of HAProxy has before tcphup comes: a section with a mode and timeouts. */
const HAPROXY_DEFAULTS =
  "defaults\n    mode tcp\n    timeout client 1m\n    timeout connect 1m\n    timeout server 1m\n";

/** A whole configuration with the lines in its own defaults section: from a port of 127.0.0.1 to the next. */
function haproxyConfiguration(values: KeepaliveValues, port: number): string {
  const text = emitKeepaliveConfig("haproxy", values);
  const words = (line: string) => new RegExp(`^# At the end of each ${line} line: (.*)$`, "m").exec(text)?.[1] ?? "";
  return HAPROXY_DEFAULTS + text +
    `frontend f\n    bind 127.0.0.1:${port} ${words("bind")}\n    default_backend b\n` +
    `backend b\n    server s 127.0.0.1:${port + 1} ${words("server")}\n`;
}

emitTest(["haproxy"], "haproxy -c takes the lines, and the words for bind and server lines", async (directory) => {
  for (const values of [...SAMPLES, SYSTEM_VALUES]) {
    const configuration = haproxyConfiguration(values, 1);
    const { code, output } = await tried("haproxy", "-c", "-f", write(directory, "haproxy.cfg", configuration));
    assert(code === 0 && !/WARNING|ALERT/.test(output), `${output}\n${configuration}`);
  }
});

emitTest(
  ["haproxy"],
  "haproxy -c refuses the lines as a file of their own, which would have no effect",
  async (directory) => {
    const lines = write(directory, "lines.cfg", emitKeepaliveConfig("haproxy", LIBKEEPALIVE));
    const own = write(directory, "own.cfg", `${HAPROXY_DEFAULTS}listen l\n    bind 127.0.0.1:1\n`);
    for (const files of [[lines, own], [own, lines]]) {
      const { code, output } = await tried("haproxy", "-c", ...files.flatMap((file) => ["-f", file]));
      assertEquals(code, 1);
      assertMatch(output, /out of section/);
    }
  },
);

emitTest(["haproxy"], "haproxy -c takes each side's lines in the section of that side", async (directory) => {
  const lines = emitKeepaliveConfig("haproxy", LIBKEEPALIVE).split("\n");
  const side = (name: string) => lines.filter((line) => /^ /.test(line) && line.includes(name)).join("\n");
  const configuration =
    `${HAPROXY_DEFAULTS}frontend f\n    bind 127.0.0.1:1\n    default_backend b\n${side("clitcpka")}\n` +
    `backend b\n    server s 127.0.0.1:2\n${side("srvtcpka")}\n`;
  const { code, output } = await tried("haproxy", "-c", "-f", write(directory, "haproxy.cfg", configuration));
  assert(code === 0 && !/WARNING|ALERT/.test(output), `${output}\n${configuration}`);
});

/** What is set on the TCP sockets of a process that have keepalive on. */
function keepalives(pid: number): Keepalive[] {
  const pidfd = pidfdOpen(pid);
  const all: Keepalive[] = [];
  for (const { name } of Deno.readDirSync(`/proc/${pid}/fd`)) {
    if (!Deno.readLinkSync(`/proc/${pid}/fd/${name}`).startsWith("socket:")) continue;
    const duplicate = pidfdGetfd(pidfd, Number(name));
    const isTcp = getsockopt(duplicate, SOL_SOCKET, SO_PROTOCOL) === IPPROTO_TCP;
    if (isTcp && read(duplicate).enabled) all.push(read(duplicate));
    duplicate.close();
  }
  pidfd.close();
  return all;
}

/** Connects to a port of 127.0.0.1, as soon as something listens there, says a word and stays. */
const CLIENT = `
import socket, sys, time
while True:
    try:
        client = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
        break
    except ConnectionRefusedError:
        time.sleep(0.02)
client.send(b"word")
print("connected", flush=True)
sys.stdin.read()
`;

/** Listens on a port of 127.0.0.1, and tells when something has connected. */
const SERVER = `
import socket, sys
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("listening", flush=True)
client, _ = server.accept()
print(client.recv(4).decode(), flush=True)
sys.stdin.read()
`;

const LIVE = { ...SYSTEM_VALUES, idleS: 111, intervalS: 12, count: 3, userTimeoutMs: 147_000, maxseg: 1000 };
const SET = { enabled: true, idleS: 111, intervalS: 12, count: 3, userTimeoutMs: 147_000 };

emitTest(
  ["iproute2", "python3", "haproxy", ...APART],
  "haproxy sets the values towards the client and the server",
  async (directory) => {
    const path = write(directory, "haproxy.cfg", haproxyConfiguration(LIVE, 8081));
    await using netns = await Namespace.create();
    await using server = new Dialogue(netns.spawn(python(SERVER, "8082")), "the server");
    await server.line();
    const haproxy = netns.spawn(["haproxy", "-db", "-q", "-f", path]);
    await using client = new Dialogue(netns.spawn(python(CLIENT, "8081")), "the client");
    assertEquals([await client.line(), await server.line()], ["connected", "word"]);
    // Data has come through, so that both connections are made.
    assertEquals(keepalives(haproxy.pid), [SET, SET]);
  },
);

emitTest(["iproute2", "python3", "nginx", ...APART], "nginx sets the values on what it accepts", async (directory) => {
  const path = write(
    directory,
    "nginx.conf",
    `pid ${directory}/pid; error_log stderr; daemon off; master_process off; events {}\n` +
      `http { access_log off; server {\n${emitKeepaliveConfig("nginx", LIVE).replace("443", "127.0.0.1:8081")}} }\n`,
  );
  await using netns = await Namespace.create();
  const nginx = netns.spawn(["nginx", "-c", path]);
  await using client = new Dialogue(netns.spawn(python(CLIENT, "8081")), "the client");
  await client.line();
  // The listener has them from the start, and what it accepts inherits them.
  const set = { ...SET, userTimeoutMs: 0 };
  const both = await eventually("an accepted connection", () => {
    const found = keepalives(nginx.pid);
    return found.length > 1 && found;
  });
  assertEquals(both, [set, set]);
});

emitTest(["gofmt"], "gofmt has nothing to change in the Go source", async (directory) => {
  for (const values of [...SAMPLES, SYSTEM_VALUES]) {
    const path = write(directory, "keepalive.go", emitKeepaliveConfig("go", values));
    assertEquals(await tried("gofmt", "-e", "-d", path), { code: 0, output: "" });
  }
});

/** What net has since Go 1.23, for a compiler of before: `go vet -overlay` takes the files of the values for the keys. */
async function overlayOfNet(directory: string): Promise<Record<string, string>> {
  const dial = `${(await tried("go", "env", "GOROOT")).output.trim()}/src/net/dial.go`;
  const source = Deno.readTextFileSync(dial);
  if (source.includes("KeepAliveConfig")) return {};
  const later =
    source.replaceAll(/^type (?:Dialer|ListenConfig) struct \{/gm, "$&\n\tKeepAliveConfig KeepAliveConfig") +
    "\ntype KeepAliveConfig struct {\n\tEnable bool\n\tIdle, Interval time.Duration\n\tCount int\n}\n";
  return { [dial]: write(directory, "dial.go.later", later) };
}

emitTest(["go"], "go vet takes the Go source", async (directory) => {
  // With cgo, go needs a C compiler.
  const env = { GOCACHE: `${directory}/cache`, GOTOOLCHAIN: "local", CGO_ENABLED: "0" };
  const overlay = write(directory, "overlay.json", JSON.stringify({ Replace: await overlayOfNet(directory) }));
  const vet = async () =>
    (await run(["go", "vet", `-overlay=${overlay}`, "."], { cwd: directory, env, mayFail: true })).stderr;
  const [, version] = /go(1\.\d+)/.exec((await tried("go", "version")).output)!;
  write(directory, "go.mod", `module keepalive\n\ngo ${version}\n`);
  for (const values of [...SAMPLES, SYSTEM_VALUES]) {
    write(directory, "keepalive.go", emitKeepaliveConfig("go", values));
    assertEquals(await vet(), "");
  }
  write(directory, "keepalive.go", emitKeepaliveConfig("go", LIBKEEPALIVE).replace("Interval:", "Intervall:"));
  assertMatch(await vet(), /unknown field/);
});

/** Calls userTimeout for a socket of a protocol, and says what it returns and what the socket has then. */
const CALLER = `
func main() {
	for _, protocol := range []int{syscall.IPPROTO_TCP, 262} {
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK, protocol)
		if protocol == 262 && err == syscall.EPROTONOSUPPORT {
			fmt.Println("<nil> 0")
			continue
		} else if err != nil {
			panic(err)
		}
		raw, err := os.NewFile(uintptr(fd), "socket").SyscallConn()
		if err != nil {
			panic(err)
		}
		err = userTimeout("tcp4", "", raw)
		value, _ := syscall.GetsockoptInt(fd, syscall.IPPROTO_TCP, 0x12)
		fmt.Println(err, value)
	}
}
`;

emitTest(["go"], "Go: a user timeout is no failure of what listens with MPTCP, which has none", async (directory) => {
  const text = emitKeepaliveConfig("go", LIVE);
  const source = `package main\n\nimport (\n"fmt"\n"os"\n"syscall"\n)\n${text.slice(text.indexOf("\n// userTimeout"))}`;
  const path = write(directory, "main.go", source + CALLER);
  const { code, output } = await tried("env", `GOCACHE=${directory}/cache`, "GOTOOLCHAIN=local", "go", "run", path);
  assertEquals(output, "<nil> 147000\n<nil> 0\n");
  assertEquals(code, 0);
});

emitTest([], "a shell that sources the environment passes it on", async (directory) => {
  for (const values of SAMPLES) {
    const path = write(directory, "env", emitKeepaliveConfig("env", values));
    const { output } = await tried("env", "-i", "sh", "-c", 'set -a; . "$1"; env', "sh", path);
    const environment = Object.fromEntries(output.trimEnd().split("\n").map((line) => line.split("=")));
    assertEquals(resolveValues({}, environment).values, values);
  }
});
