import { assertEquals } from "@std/assert";
import { detection, effective, KERNEL_DEFAULTS, readSysctls } from "../../src/keepalive/detection.ts";
import { type Keepalive, resolveValues, SYSTEM_VALUES } from "../../src/keepalive/values.ts";

function setting(idleS: number, intervalS: number, count: number, userTimeoutMs: number | null = 0): Keepalive {
  return { enabled: true, idleS, intervalS, count, userTimeoutMs };
}

/** When a silent peer is noticed on an idle connection, in seconds. */
function idle(keepalive: Keepalive): number {
  return detection(keepalive, KERNEL_DEFAULTS).idleMs! / 1000;
}

Deno.test("without a user timeout, a connection ends an interval after the last of its probes", () => {
  assertEquals(idle(setting(7200, 75, 9)), 7875);
  assertEquals(idle(setting(1, 1, 3)), 4);
  assertEquals(idle(setting(15, 15, 9, null)), 150);
});

Deno.test("a user timeout replaces the count: it ends at the first interval after it, and after one probe", () => {
  assertEquals(idle(setting(15, 15, 9, 150_000)), 150);
  assertEquals(idle(setting(4, 1, 9, 5500)), 6);
  assertEquals(idle(setting(4, 1, 9, 6000)), 6);
  assertEquals(idle(setting(4, 1, 9, 6001)), 7);
  assertEquals(idle(setting(2, 1, 3, 1000)), 3);
  assertEquals(idle(setting(15, 15, 1, 300_000)), 300);
});

Deno.test("probes to a living peer are as far apart as the longer of idle and interval", () => {
  const period = (keepalive: Keepalive) => detection(keepalive, KERNEL_DEFAULTS).probePeriodMs;
  assertEquals(period(setting(5, 1, 9)), 5000);
  assertEquals(period(setting(1, 5, 9)), 5000);
  assertEquals(detection(setting(1, 5, 9), KERNEL_DEFAULTS).firstProbeMs, 1000);
  assertEquals(idle(setting(1, 5, 2)), 15);
});

Deno.test("data in flight: the user timeout, else what tcp_retries2 comes to", () => {
  const inFlight = (keepalive: Keepalive, tcpRetries2: number, tcpRtoMaxMs = 120_000) =>
    detection(keepalive, { ...KERNEL_DEFAULTS, tcpRetries2, tcpRtoMaxMs }).inFlightMs;
  assertEquals(inFlight(setting(15, 15, 9, 30_000), 15), 30_000);
  assertEquals(inFlight(setting(15, 15, 9, null), 15), 924_600);
  // ip-sysctl.rst gives 924.6 s for the default, and says that the 100 s of RFC 1122 take at least 8.
  assertEquals(inFlight(setting(15, 15, 9), 15), 924_600);
  assertEquals(inFlight(setting(15, 15, 9), 8), 102_200);
  assertEquals(inFlight(setting(15, 15, 9), 0), 200);
  assertEquals(inFlight(setting(15, 15, 9), 15, 1000), 1400 + 13 * 1000);
});

Deno.test("without keepalive an idle connection never ends", () => {
  assertEquals(detection({ ...setting(15, 15, 9), enabled: false }, KERNEL_DEFAULTS), {
    firstProbeMs: null,
    probePeriodMs: null,
    idleMs: null,
    inFlightMs: 924_600,
  });
  // The user timeout holds for data all the same.
  assertEquals(detection({ ...setting(15, 15, 9, 7000), enabled: false }, KERNEL_DEFAULTS).inFlightMs, 7000);
});

Deno.test("what is 0 is the namespace's", () => {
  const sysctls = { ...KERNEL_DEFAULTS, tcpKeepaliveTime: 600, tcpKeepaliveIntvl: 60, tcpKeepaliveProbes: 5 };
  assertEquals(effective(SYSTEM_VALUES, sysctls), setting(600, 60, 5));
  assertEquals(effective(resolveValues({ idleS: 30, count: 0 }).values, sysctls), setting(30, 15, 5, 30_000));
});

Deno.test("readSysctls reads what /proc has", () => {
  const sysctls = readSysctls();
  for (const [name, value] of Object.entries(sysctls)) {
    const path = `/proc/sys/net/ipv4/${name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)}`;
    let text: string;
    try {
      text = Deno.readTextFileSync(path);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      assertEquals([name, value], ["tcpRtoMaxMs", 120_000]);
      continue;
    }
    assertEquals(value, Number(text), name);
  }
});
