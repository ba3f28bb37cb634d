// Writes keepalive values as configuration of programs that set keepalive themselves: one emitter for each format.

import { TCP_USER_TIMEOUT } from "../../ffi/socket.ts";
import { expectedWord } from "../model/closest.ts";
import { UsageError } from "../model/errors.ts";
import { type SocketPhase, type Step, steps } from "./socket_options.ts";
import {
  type GivenValues,
  KEEPALIVE_FIELDS,
  KEEPALIVE_NAMES,
  type KeepaliveName,
  type KeepaliveValues,
  resolveValues,
} from "./values.ts";

/** Writes one format. Values that the format cannot express are named in a comment. */
interface Emitter {
  readonly can: readonly KeepaliveName[];
  /** The start of a line of comment. Default `#`. */
  readonly comment?: string;
  write(values: KeepaliveValues, service: string): string[];
}

const PROBES: readonly KeepaliveName[] = ["idleS", "intervalS", "count"];

/** The sysctls of tcp(7) that stand for values, in the order of that page. */
const SYSCTLS: readonly [KeepaliveName, string][] = [
  ["idleS", "net.ipv4.tcp_keepalive_time"],
  ["intervalS", "net.ipv4.tcp_keepalive_intvl"],
  ["count", "net.ipv4.tcp_keepalive_probes"],
  ["syncnt", "net.ipv4.tcp_syn_retries"],
];

/** Returns the values that are not left to the system, each with its sysctl. */
function sysctls(values: KeepaliveValues, names: readonly KeepaliveName[], format: string): [string, number][] {
  const chosen = SYSCTLS.filter(([name]) => names.includes(name) && values[name] !== 0);
  if (chosen.length > 0) return chosen.map(([name, sysctl]) => [sysctl, values[name]]);
  const labels = names.map((name) => KEEPALIVE_FIELDS[name].label).join(", ");
  throw new UsageError(`there is nothing to write as ${format}: ${labels} are all left to the system`, {
    code: "missing-option",
    option: "values",
  });
}

const sysctl: Emitter = {
  can: [...PROBES, "syncnt"],
  write: (values) => [
    "# For a file of /etc/sysctl.d, of which the last by name counts. Each network namespace has its own, and only sockets",
    "# whose program sets SO_KEEPALIVE obey.",
    ...sysctls(values, sysctl.can, "sysctl").map(([name, value]) => `${name} = ${value}`),
  ],
};

const kubernetes: Emitter = {
  can: PROBES,
  write: (values) => [
    "# For the spec of a pod, or of a pod template: into the securityContext that is there. These sysctls are safe since",
    "# Kubernetes 1.29; before, the kubelet must allow them (--allowed-unsafe-sysctls=net.ipv4.tcp_keepalive_*). Only",
    "# sockets whose program sets SO_KEEPALIVE obey.",
    "spec:",
    "  securityContext:",
    "    sysctls:",
    ...sysctls(values, PROBES, "kubernetes").flatMap(([name, value]) => [
      `      - name: ${name}`,
      `        value: "${value}"`,
    ]),
  ],
};

/** Returns `lines` below `key`; an empty mapping when there are none. */
function mapping(key: string, lines: string[]): string[] {
  return lines.length === 0 ? [`${key}: {}`] : [`${key}:`, ...lines.map((line) => `  ${line}`)];
}

function indent(depth: number, lines: string[]): string[] {
  return lines.map((line) => " ".repeat(depth) + line);
}

/** Returns `text`; nothing for a value that is left to the system. */
function unlessSystem(value: number, text: string): string[] {
  return value === 0 ? [] : [text];
}

const istio: Emitter = {
  can: PROBES,
  write: ({ idleS, intervalS, count }, service) => [
    "# Connections that sidecars open to this host. Istio applies one DestinationRule to a host, the most specific: where",
    "# there is one, add the connectionPool to that. A user timeout takes an EnvoyFilter.",
    "apiVersion: networking.istio.io/v1",
    "kind: DestinationRule",
    "metadata:",
    "  name: tcp-keepalive",
    "spec:",
    `  host: ${JSON.stringify(service)}`,
    "  trafficPolicy:",
    "    connectionPool:",
    "      tcp:",
    ...indent(
      8,
      mapping("tcpKeepalive", [
        ...unlessSystem(count, `probes: ${count}`),
        ...unlessSystem(idleS, `time: ${idleS}s`),
        ...unlessSystem(intervalS, `interval: ${intervalS}s`),
      ]),
    ),
  ],
};

/** Steps as `socket_options` of Envoy, with Linux's numbers. A socket is not bound yet when they are set. */
function socketOptions(values: KeepaliveValues, phase: SocketPhase): string[] {
  return steps(values, phase).flatMap(({ option, level, name, value }: Step) => [
    `- description: ${option}`,
    `  level: ${level}`,
    `  name: ${name}`,
    `  int_value: ${value}`,
    "  state: STATE_PREBIND",
  ]);
}

/** One patch of an EnvoyFilter, which merges `value` into everything that it applies to. */
function envoyPatch(applyTo: string, context: string, value: string[]): string[] {
  return [
    `- applyTo: ${applyTo}`,
    "  match:",
    `    context: ${context}`,
    "  patch:",
    "    operation: MERGE",
    "    value:",
    ...indent(6, value),
  ];
}

const envoyfilter: Emitter = {
  can: KEEPALIVE_NAMES,
  write: (values) => [
    "# Levels and names are those of Linux. For a gateway write GATEWAY as the context of both.",
    "apiVersion: networking.istio.io/v1alpha3",
    "kind: EnvoyFilter",
    "metadata:",
    "  name: tcp-keepalive",
    "spec:",
    "  configPatches:",
    "    # Connections that the sidecar accepts: they inherit what the listener has.",
    ...indent(4, envoyPatch("LISTENER", "SIDECAR_INBOUND", mapping("socket_options", socketOptions(values, "listen")))),
    "    # Connections that it opens. Without a source address this needs Envoy 1.25.",
    ...indent(
      4,
      envoyPatch(
        "CLUSTER",
        "SIDECAR_OUTBOUND",
        mapping("upstream_bind_config", mapping("socket_options", socketOptions(values, "connect"))),
      ),
    ),
  ],
};

/** HAProxy's keepalive keywords for one side, `cli` or `srv`. */
function haproxySide(side: "cli" | "srv", { idleS, intervalS, count }: KeepaliveValues): string[] {
  return [
    `option ${side}tcpka`,
    ...unlessSystem(idleS, `${side}tcpka-idle ${idleS}s`),
    ...unlessSystem(intervalS, `${side}tcpka-intvl ${intervalS}s`),
    ...unlessSystem(count, `${side}tcpka-cnt ${count}`),
  ];
}

const haproxy: Emitter = {
  can: [...PROBES, "userTimeoutMs", "maxseg"],
  write(values) {
    const { userTimeoutMs, maxseg } = values;
    const timeout = unlessSystem(userTimeoutMs, `tcp-ut ${userTimeoutMs}ms`);
    const bind = [...timeout, ...unlessSystem(maxseg, `mss ${maxseg}`)];
    return [
      "# For the defaults section that is there: a second one would not add to it, but take its place. Or the cli lines",
      "# for each frontend, the srv lines for each backend, and both for each listen section.",
      ...indent(4, haproxySide("cli", values)),
      ...indent(4, haproxySide("srv", values)),
      ...(bind.length === 0 ? [] : [`# At the end of each bind line: ${bind.join(" ")}`]),
      // HAProxy 2.6 takes tcp-ut on a default-server line too, but then sets nothing.
      ...timeout.map((words) => `# At the end of each server line: ${words}`),
    ];
  },
};

/** Writes a time for nginx; empty for a value that is left to the system. */
function nginxSeconds(value: number): string {
  return value === 0 ? "" : `${value}s`;
}

const nginx: Emitter = {
  can: PROBES,
  write({ idleS, intervalS, count }) {
    const values = [nginxSeconds(idleS), nginxSeconds(intervalS), count || ""].join(":");
    return [
      "# so_keepalive goes into the listen directive that is there, of one server block for each address and port: nginx",
      "# refuses a second one.",
      `listen 443 so_keepalive=${values === "::" ? "on" : values};`,
      "# Connections to upstreams: on or off, with the values of net.ipv4.tcp_keepalive_*. fastcgi_pass and grpc_pass have",
      "# directives of their own: fastcgi_socket_keepalive, grpc_socket_keepalive.",
      "proxy_socket_keepalive on;",
    ];
  },
};

/** Writes a time.Duration. −1 leaves it to the system; 0 would be Go's own default. */
function goSeconds(value: number): string {
  return value === 0 ? "-1" : `${value} * time.Second`;
}

function goConfig({ idleS, intervalS, count }: KeepaliveValues): string[] {
  return [
    "// Config needs Go 1.23.",
    "var Config = net.KeepAliveConfig{",
    "\tEnable:   true,",
    `\tIdle:     ${goSeconds(idleS)},`,
    `\tInterval: ${goSeconds(intervalS)},`,
    `\tCount:    ${count || -1},`,
    "}",
  ];
}

function goUserTimeout(userTimeoutMs: number): string[] {
  return [
    "",
    "// userTimeout sets TCP_USER_TIMEOUT, in milliseconds. MPTCP, with which Go listens since 1.24, does not have it: for",
    "// what is accepted it takes ListenConfig.SetMultipathTCP(false).",
    "func userTimeout(network, _ string, conn syscall.RawConn) error {",
    '\tif network != "tcp4" && network != "tcp6" {',
    "\t\treturn nil",
    "\t}",
    "\tvar refused error",
    "\terr := conn.Control(func(fd uintptr) {",
    `\t\trefused = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, ${TCP_USER_TIMEOUT}, ${userTimeoutMs})`,
    "\t})",
    "\tif err != nil {",
    "\t\treturn err",
    "\t}",
    "\tif refused == syscall.ENOPROTOOPT || refused == syscall.EOPNOTSUPP {",
    "\t\treturn nil",
    "\t}",
    "\treturn refused",
    "}",
  ];
}

const go: Emitter = {
  can: [...PROBES, "userTimeoutMs"],
  comment: "//",
  write(values) {
    const { idleS, intervalS, userTimeoutMs } = values;
    const times = idleS !== 0 || intervalS !== 0;
    const control = userTimeoutMs === 0 ? "" : ", Control: userTimeout";
    return [
      "package keepalive",
      "",
      "import (",
      '\t"net"',
      ...unlessSystem(userTimeoutMs, '\t"syscall"'),
      ...(times ? ['\t"time"'] : []),
      ")",
      "",
      ...goConfig(values),
      "",
      "// Dialer opens connections with it, ListenConfig accepts them.",
      "var (",
      `\tDialer       = net.Dialer{KeepAliveConfig: Config${control}}`,
      `\tListenConfig = net.ListenConfig{KeepAliveConfig: Config${control}}`,
      ")",
      ...(userTimeoutMs === 0 ? [] : goUserTimeout(userTimeoutMs)),
    ];
  },
};

const env: Emitter = {
  can: KEEPALIVE_NAMES,
  // A value whose default is 0 need not be said; for the others 0 means something else than silence.
  write: (values) =>
    KEEPALIVE_NAMES
      .filter((name) => values[name] !== 0 || KEEPALIVE_FIELDS[name].initial !== 0)
      .map((name) => `${KEEPALIVE_FIELDS[name].variable}=${values[name]}`),
};

/** A configuration that values can be written as. */
export type EmitFormat = "sysctl" | "istio" | "envoyfilter" | "kubernetes" | "haproxy" | "nginx" | "go" | "env";

const EMITTERS: Record<EmitFormat, Emitter> = { sysctl, istio, envoyfilter, kubernetes, haproxy, nginx, go, env };

/** Every format. */
export const EMIT_FORMATS = Object.keys(EMITTERS) as readonly EmitFormat[];

/**
 * Writes values as configuration text, which ends with a newline. A value of 0 is left to the system. A value that the
 * format cannot express is named in a comment.
 *
 * @param format The format, one of `EMIT_FORMATS`.
 * @param given The values, as `setKeepalive` takes them.
 * @param service The destination in Istio's DestinationRule.
 * @throws {UsageError} When the format is unknown, or can express none of what is set. When a value is not in the kernel's
 * range.
 */
export function emitKeepaliveConfig(format: EmitFormat, given: GivenValues, service = "*.svc.cluster.local"): string {
  if (!EMIT_FORMATS.includes(format)) {
    const expected = expectedWord(String(format), EMIT_FORMATS);
    throw new UsageError(`Unknown format "${format}": ${expected}`, { option: "format", value: format });
  }
  const { values } = resolveValues(given);
  const { can, comment = "#", write } = EMITTERS[format];
  const cannot = KEEPALIVE_NAMES
    .filter((name) => values[name] !== 0 && !can.includes(name))
    .map((name) => `${KEEPALIVE_FIELDS[name].label} ${values[name]} ${KEEPALIVE_FIELDS[name].unit}`);
  const lines = write(values, service);
  if (cannot.length > 0) lines.unshift(`${comment} Not expressible here: ${cannot.join(", ")}.`);
  return lines.join("\n") + "\n";
}
