// What the kernel is asked for, where the random filters of compile_test.ts do not come by.

import { assert, assertEquals } from "@std/assert";
import { parsePrefix, type Prefix } from "../../src/model/address.ts";
import { compileBytecode } from "../../src/select/bytecode.ts";
import { all, any, EVERYTHING, type Filter, not, NOTHING } from "../../src/select/filter.ts";
import { familiesOf, mentions, planDumps, statesOf } from "../../src/select/dump_plan.ts";
import { ALL_STATES } from "../../src/model/tcp_states.ts";
import { audit, run } from "./kernel.ts";
import { Random, randomSocket } from "./random.ts";
import { AF_INET, AF_INET6 } from "./row.ts";

const dst = (...texts: string[]): Filter => ({
  op: "address",
  side: "dst",
  prefixes: texts.map((text) => parsePrefix(text)!),
});
const dport = (port: number): Filter => ({ op: "port", side: "dst", from: port, to: port });
const uid: Filter = { op: "uid", uid: 1000 };

const pods: Prefix[] = Array.from({ length: 10_000 }, (_, i) => ({
  words: [0, 0, 0xffff, (i % 2 === 0 ? 0x0a000000 : 0xc0a80000) + i],
  length: 128,
}));

Deno.test("what the kernel cannot narrow down is not asked of it", () => {
  assertEquals(compileBytecode(EVERYTHING), null);
  assertEquals(compileBytecode(uid), null);
  assertEquals(compileBytecode(not(uid)), null);
  assertEquals(compileBytecode(any([dport(80), uid])), null);
  assertEquals(compileBytecode(not(all([dport(80), uid]))), null);
});

Deno.test("a condition that the kernel cannot decide costs only itself", () => {
  assertEquals(compileBytecode(all([dport(80), uid])), compileBytecode(dport(80)));
  assertEquals(compileBytecode(not(any([dport(80), uid]))), compileBytecode(not(dport(80))));
});

Deno.test("the filter that matches nothing is code that accepts nothing", () => {
  const code = compileBytecode(NOTHING)!;
  assertEquals(audit(code), null);
  assertEquals(run(code, randomSocket(new Random(1))), false);
});

Deno.test("thousands of addresses are merged, and still narrow the dump", () => {
  const code = compileBytecode({ op: "address", side: "dst", prefixes: pods })!;
  assertEquals(audit(code), null);
  assert(code.length <= 64 * 20);
  const random = new Random(2);
  const reached = (text: string) => run(code, { ...randomSocket(random), dst: parsePrefix(text)!.words });
  assert(reached("10.0.0.8"));
  assert(reached("192.168.0.9"));
  assert(!reached("10.200.0.1"));
  assert(!reached("2001:db8::1"));
});

Deno.test("all but thousands of addresses is for the matcher alone", () => {
  const others = not({ op: "address", side: "dst", prefixes: pods });
  assertEquals(compileBytecode(others), null);
  assertEquals(compileBytecode(all([dport(80), others])), compileBytecode(dport(80)));
});

Deno.test("code that would be too long is cut to what fits", () => {
  const ports = any(Array.from({ length: 5000 }, (_, port) => dport(port)));
  assertEquals(compileBytecode(ports), null);
  assertEquals(compileBytecode(all([dst("10.0.0.1"), ports])), compileBytecode(dst("10.0.0.1")));
  const notPorts = compileBytecode(not(ports))!;
  assertEquals(audit(notPorts), null);
  assert(notPorts.length <= 4096);
});

Deno.test("the longest code fits the 16 bits of a jump", () => {
  const sets = Array.from({ length: 30 }, (_, i) => any([dport(i), { op: "address", side: "src", prefixes: pods }]));
  const code = compileBytecode(all(sets))!;
  assertEquals(audit(code), null);
  assert(code.length <= 4096);
});

Deno.test("an IPv4 address may be that of an AF_INET6 socket, an IPv6 address only that", () => {
  assertEquals(familiesOf(dst("10.0.0.1")), [AF_INET, AF_INET6]);
  assertEquals(familiesOf(dst("2001:db8::1", "::/0")), [AF_INET6]);
  assertEquals(familiesOf(dst("2001:db8::1", "10.0.0.1")), [AF_INET, AF_INET6]);
  assertEquals(familiesOf(any([dst("2001:db8::1"), dport(80)])), [AF_INET, AF_INET6]);
  assertEquals(familiesOf(all([dst("2001:db8::1"), dport(80)])), [AF_INET6]);
  assertEquals(familiesOf(not(dst("0.0.0.0/0"))), [AF_INET6]);
  assertEquals(familiesOf(not(dst("2001:db8::1"))), [AF_INET, AF_INET6]);
  assertEquals(familiesOf(NOTHING), []);
});

Deno.test("only states in which something can match are asked for", () => {
  const state = (mask: number): Filter => ({ op: "state", mask });
  assertEquals(statesOf(dport(80)), ALL_STATES);
  assertEquals(statesOf(state(0b110)), 0b110);
  assertEquals(statesOf(not(state(0b110))), ALL_STATES & ~0b110);
  assertEquals(statesOf(any([all([state(0b10), dport(80)]), state(0b100)])), 0b110);
  assertEquals(planDumps(state(0b10), 0b110).map(({ states }) => states), [0b10]);
});

Deno.test("nothing is asked where nothing can match", () => {
  assertEquals(planDumps(NOTHING), []);
  assertEquals(planDumps(all([dst("10.0.0.1"), NOTHING])), []);
  assertEquals(planDumps({ op: "state", mask: 0b10 }, 0b100), []);
});

Deno.test("autobound takes two dumps only where both can match, and cannot do without the kernel", () => {
  const autobound: Filter = { op: "autobound" };
  const plans = planDumps(all([autobound, dport(80)]));
  assertEquals(plans.map(({ fallback }) => fallback), [new Uint8Array([6, 4, 8, 0])]);
  assertEquals(planDumps(any([autobound, dport(80)])).length, 2);
  assertEquals(planDumps(dport(80)).map(({ fallback }) => fallback), [null]);
});

Deno.test("mentions finds a condition wherever it is", () => {
  const filter = any([dport(80), not(all([uid]))]);
  assert(mentions(filter, "uid"));
  assert(!mentions(filter, "mark"));
});

Deno.test("any() makes one set of the addresses of a side", () => {
  assertEquals(
    any([dst("10.0.0.1"), dport(80), any([dst("10.0.0.2")])]),
    { op: "any", terms: [dst("10.0.0.1", "10.0.0.2"), dport(80)] },
  );
});
