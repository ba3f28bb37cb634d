// The emitted configuration before the programs that it is for: YAML parsed, the rest loaded by the real ones.

import { assert, assertEquals } from "@std/assert";
// @ts-types="./yaml.d.ts"
import { parse } from "npm:deno-std@1.4.0/yaml/mod.js";
import { emit } from "../../src/keepalive/emit.ts";
import { type KeepaliveValues, resolveValues, SYSTEM_VALUES } from "../../src/keepalive/values.ts";

const LIBKEEPALIVE = resolveValues().values;

const ALL: KeepaliveValues = {
  idle_s: 11,
  interval_s: 12,
  count: 3,
  user_timeout_ms: 14_000,
  syncnt: 5,
  maxseg: 1400,
  window_clamp: 17_000,
  defer_accept_s: 7,
};

/** The ends of the kernel's ranges, and values that are the system's: what a program may take differently. */
const SAMPLES: KeepaliveValues[] = [
  LIBKEEPALIVE,
  ALL,
  { ...ALL, idle_s: 1, interval_s: 1, count: 1, user_timeout_ms: 1 },
  { ...ALL, idle_s: 32767, interval_s: 32767, count: 127, user_timeout_ms: 2147483647 },
  { ...SYSTEM_VALUES, idle_s: 20 },
  { ...SYSTEM_VALUES, count: 4 },
];

interface Run {
  code: number;
  output: string;
}

function run(command: string, ...args: string[]): Run {
  const { code, stdout, stderr } = new Deno.Command(command, { args }).outputSync();
  const decoder = new TextDecoder();
  return { code, output: decoder.decode(stdout) + decoder.decode(stderr) };
}

/** Runs a shell script in a network namespace of its own, which ends with it. */
function runApart(script: string, ...args: string[]): Run {
  return run("unshare", "--net", "sh", "-c", script, "sh", ...args);
}

function found(program: string): boolean {
  return run("sh", "-c", `command -v ${program}`).code === 0;
}

const apart = found("unshare") && runApart("true").code === 0;

/** A test that needs a program; where that is missing, the name says why it is skipped. */
function testWith(program: string, name: string, fn: (directory: string) => void, needsApart = true): void {
  const missing = !found(program) ? program : needsApart && !apart ? "a network namespace of its own" : null;
  Deno.test({
    name: missing === null ? name : `${name} (skipped: ${missing} is missing)`,
    ignore: missing !== null,
    fn() {
      const directory = Deno.makeTempDirSync({ prefix: "tcphup-emit-" });
      try {
        fn(directory);
      } finally {
        Deno.removeSync(directory, { recursive: true });
      }
    },
  });
}

function write(directory: string, name: string, text: string): string {
  const path = `${directory}/${name}`;
  Deno.writeTextFileSync(path, text);
  return path;
}

Deno.test("istio: a DestinationRule with tcpKeepalive", () => {
  const rule = (values: KeepaliveValues, service?: string) => parse(emit("istio", values, service));
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
  assertEquals(keepalive({ idle_s: 20 }), { time: "20s" });
  assertEquals(keepalive({}), {});
});

/** A socket option as Envoy has it. */
function option(description: string, level: number, name: number, int_value: number) {
  return { description, level, name, int_value, state: "STATE_PREBIND" };
}

Deno.test("envoyfilter: socket options by level and number, for listeners and for upstreams", () => {
  const common = [
    option("TCP_USER_TIMEOUT", 6, 18, 14_000),
    option("TCP_KEEPINTVL", 6, 5, 12),
    option("TCP_KEEPCNT", 6, 6, 3),
    option("TCP_KEEPIDLE", 6, 4, 11),
    option("SO_KEEPALIVE", 1, 9, 1),
    option("TCP_WINDOW_CLAMP", 6, 10, 17_000),
    option("TCP_MAXSEG", 6, 2, 1400),
  ];
  const patch = (value: unknown) => ({ operation: "MERGE", value });
  assertEquals(parse(emit("envoyfilter", ALL)), {
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
  assertEquals(parse(emit("kubernetes", ALL)), {
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

testWith("sysctl", "sysctl -p takes the lines, and the namespace has the values", (directory) => {
  for (const values of SAMPLES) {
    const text = emit("sysctl", values);
    const lines = text.split("\n").filter((line) => /^net/.test(line));
    const read = runApart(
      'sysctl -q -p "$1" && shift && sysctl "$@"',
      write(directory, "tcphup.conf", text),
      ...lines.map((line) => line.split(" ")[0]),
    );
    assertEquals(read, { code: 0, output: lines.join("\n") + "\n" });
  }
});

testWith("nginx", "nginx -t takes the directives", (directory) => {
  for (const values of [...SAMPLES, SYSTEM_VALUES]) {
    const text = emit("nginx", values);
    const path = write(
      directory,
      "nginx.conf",
      `pid ${directory}/pid; error_log stderr; events {}\nhttp { access_log off; server {\n${text}} }\n`,
    );
    const { code, output } = runApart('ip link set lo up; nginx -t -c "$1"', path);
    assert(code === 0 && /test is successful/.test(output) && !/warn/.test(output), `${output}\n${text}`);
  }
});

testWith("haproxy", "haproxy -c takes the section, and the words for bind lines", (directory) => {
  const timeouts = "    timeout client 1m\n    timeout connect 1m\n    timeout server 1m\n";
  for (const values of [...SAMPLES, SYSTEM_VALUES]) {
    const text = emit("haproxy", values);
    const bind = /^# +bind :443 (.*)$/m.exec(text)?.[1] ?? "";
    assertEquals(bind === "", values.user_timeout_ms === 0 && values.maxseg === 0);
    const rest =
      `frontend f\n    bind 127.0.0.1:1 ${bind}\n    default_backend b\nbackend b\n    server s 127.0.0.1:2\n`;
    const path = write(directory, "haproxy.cfg", `${text}${timeouts}${rest}`);
    const { code, output } = run("haproxy", "-c", "-f", path);
    assert(code === 0 && !/WARNING|ALERT/.test(output), `${output}\n${text}`);
  }
}, false);

testWith("gofmt", "gofmt has nothing to change in the Go source", (directory) => {
  for (const values of [...SAMPLES, SYSTEM_VALUES]) {
    const path = write(directory, "keepalive.go", emit("go", values));
    assertEquals(run("gofmt", "-e", "-d", path), { code: 0, output: "" });
  }
}, false);

const goVersion = found("go") ? /go1\.(\d+)/.exec(run("go", "version").output)?.[1] : undefined;
const goReason = goVersion === undefined ? "go is missing" : `go 1.${goVersion} has no net.KeepAliveConfig`;
const goFits = goVersion !== undefined && Number(goVersion) >= 23;

Deno.test({
  name: goFits ? "go vet takes the Go source" : `go vet takes the Go source (skipped: ${goReason})`,
  ignore: !goFits,
  fn() {
    const directory = Deno.makeTempDirSync({ prefix: "tcphup-emit-" });
    try {
      write(directory, "go.mod", "module keepalive\n\ngo 1.23\n");
      for (const values of [...SAMPLES, SYSTEM_VALUES]) {
        write(directory, "keepalive.go", emit("go", values));
        const env = { GOFLAGS: "-mod=mod", GOCACHE: `${directory}/cache`, GOTOOLCHAIN: "local" };
        const { code, stderr } = new Deno.Command("go", { args: ["vet", "."], cwd: directory, env }).outputSync();
        assertEquals(code, 0, new TextDecoder().decode(stderr));
      }
    } finally {
      Deno.removeSync(directory, { recursive: true });
    }
  },
});

testWith("sh", "a shell that sources the environment passes it on", (directory) => {
  for (const values of SAMPLES) {
    const path = write(directory, "env", emit("env", values));
    const { output } = run("env", "-i", "sh", "-c", 'set -a; . "$1"; env', "sh", path);
    const environment = Object.fromEntries(output.trimEnd().split("\n").map((line) => line.split("=")));
    assertEquals(resolveValues({}, environment).values, values);
  }
}, false);
