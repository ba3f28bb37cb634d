import { assertEquals, assertThrows } from "@std/assert";
import { EMIT_FORMATS, type EmitFormat, emitKeepaliveConfig } from "../../src/keepalive/emit.ts";
import { type KeepaliveValues, resolveValues, SYSTEM_VALUES } from "../../src/keepalive/values.ts";
import { UsageError } from "../../src/model/errors.ts";

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

/** The lines that are not comment. */
function settings(text: string): string[] {
  return text.split("\n").filter((line) => line !== "" && !/^\s*(#|\/\/)/.test(line));
}

/** An environment as its lines say it. */
function environment(text: string): Record<string, string> {
  return Object.fromEntries(settings(text).map((line) => line.split("=")));
}

Deno.test("the environment is read back as the values that it was written from", () => {
  const some: KeepaliveValues[] = [
    ALL,
    SYSTEM_VALUES,
    resolveValues().values,
    { ...ALL, idleS: 0, userTimeoutMs: 0, syncnt: 0 },
  ];
  for (const values of some) {
    const resolved = resolveValues({}, environment(emitKeepaliveConfig("env", values)));
    assertEquals(resolved.values, values);
  }
});

Deno.test("each format names what it has no word for", () => {
  const ofEnvoy = "user-timeout 14000 milliseconds, syncnt 5 SYNs, maxseg 1400 bytes, window-clamp 17000 bytes, " +
    "defer-accept 7 seconds";
  const unsaid: Record<string, string> = {
    sysctl: "user-timeout 14000 milliseconds, maxseg 1400 bytes, window-clamp 17000 bytes, defer-accept 7 seconds",
    istio: ofEnvoy,
    kubernetes: ofEnvoy,
    nginx: ofEnvoy,
    haproxy: "syncnt 5 SYNs, window-clamp 17000 bytes, defer-accept 7 seconds",
    go: "syncnt 5 SYNs, maxseg 1400 bytes, window-clamp 17000 bytes, defer-accept 7 seconds",
  };

  for (const format of EMIT_FORMATS) {
    const [, said] = /Not expressible here: (.*)\.$/m.exec(emitKeepaliveConfig(format, ALL)) ?? [];
    assertEquals(said, unsaid[format], format);
  }
});

Deno.test("every text ends with one newline", () => {
  for (const format of EMIT_FORMATS) assertEquals(/[^\n]\n$/.test(emitKeepaliveConfig(format, ALL)), true, format);
});

Deno.test("sysctl", () => {
  assertEquals(settings(emitKeepaliveConfig("sysctl", ALL)), [
    "net.ipv4.tcp_keepalive_time = 11",
    "net.ipv4.tcp_keepalive_intvl = 12",
    "net.ipv4.tcp_keepalive_probes = 3",
    "net.ipv4.tcp_syn_retries = 5",
  ]);
  assertEquals(settings(emitKeepaliveConfig("sysctl", { ...SYSTEM_VALUES, count: 4 })), [
    "net.ipv4.tcp_keepalive_probes = 4",
  ]);
});

Deno.test("nginx leaves out what is the system's", () => {
  const listen = (values: Partial<KeepaliveValues>) =>
    settings(emitKeepaliveConfig("nginx", { ...SYSTEM_VALUES, ...values }))[0];
  assertEquals(listen({ idleS: 11, intervalS: 12, count: 3 }), "listen 443 so_keepalive=11s:12s:3;");
  assertEquals(listen({ idleS: 11 }), "listen 443 so_keepalive=11s::;");
  assertEquals(listen({ count: 3 }), "listen 443 so_keepalive=::3;");
  assertEquals(listen({}), "listen 443 so_keepalive=on;");
});

Deno.test("Go: −1 is the system's, and what is not used is not imported", () => {
  const text = emitKeepaliveConfig("go", { ...SYSTEM_VALUES, count: 3 });
  assertEquals(/Idle: +-1,\n\tInterval: -1,\n\tCount: +3,/.test(text), true);
  assertEquals(/syscall|time\.|userTimeout/.test(text), false);
});

Deno.test("what has nothing to say is refused", () => {
  const message = "there is nothing to write as kubernetes: idle, interval, count are all left to the system";
  assertThrows(
    () => emitKeepaliveConfig("kubernetes", { ...ALL, idleS: 0, intervalS: 0, count: 0 }),
    UsageError,
    message,
  );
  assertThrows(
    () => emitKeepaliveConfig("sysctl", { ...SYSTEM_VALUES, maxseg: 500 }),
    UsageError,
    "nothing to write as sysctl",
  );
});

Deno.test("a format is one of those that there are", () => {
  assertThrows(
    () => emitKeepaliveConfig("toString" as EmitFormat, ALL),
    UsageError,
    `Unknown format "toString": expected sysctl, istio, envoyfilter, kubernetes, haproxy, nginx, go, env`,
  );
});
