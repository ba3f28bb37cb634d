import { assertEquals } from "@std/assert";
import { formatPlan } from "../../../src/cli/output/plan.ts";
import { KERNEL_DEFAULTS } from "../../../src/keepalive/detection.ts";
import { SYSTEM_VALUES } from "../../../src/keepalive/values.ts";
import { planKeepalive } from "../../../src/keepalive/plan.ts";

Deno.test("a plan for people to read", () => {
  assertEquals(
    formatPlan(planKeepalive({ values: SYSTEM_VALUES, sysctls: KERNEL_DEFAULTS, services: 1, hosts: 20 })),
    `
idle                 2 h
interval             1 min 15 s
count                9 probes
user timeout         none
first probe          2 h after the last sign of the peer
silent peer noticed  after 2 h 11 min when idle, 15 min 25 s with data in flight
without keepalive    never when idle, 15 min 25 s with data in flight
traffic              640 bytes an hour: 1 service, 20 hosts, a probe of 64 bytes every 2 h

interval  bytes an hour  hangs up after  noticed after
    75 s         61,440       11.25 min       12.5 min
    38 s        121,263         5.7 min       6.33 min
    19 s        242,526        2.85 min       3.17 min
    10 s        460,800         1.5 min       1.67 min
     5 s        921,600            45 s           50 s
     3 s      1,536,000            27 s           30 s
     1 s      4,608,000             9 s           10 s

Each row has idle as long as the interval. A connection hangs up when 9 probes went
unanswered, counted from the first of them; noticed counts from the last sign of the peer.`.slice(1),
  );
});
