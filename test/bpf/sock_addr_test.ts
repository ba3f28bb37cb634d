// The programs for connect(2), run on a machine of the tests' own: what they refuse, where they send it, what they count.

import { assertEquals } from "@std/assert";
import {
  BPF_FUNC_get_current_uid_gid,
  BPF_FUNC_ktime_get_boot_ns,
  BPF_FUNC_map_lookup_elem,
  BPF_FUNC_map_update_elem,
  BPF_FUNC_set_retval,
} from "../../ffi/bpf.ts";
import { type Emit, emitAlways } from "../../src/bpf/conditions.ts";
import { decodeConnectCounter } from "../../src/bpf/counters.ts";
import {
  compileSetRetval,
  compileSockAddr,
  emitCalledPort,
  emitCaller,
  type Endpoint,
  type Fate,
} from "../../src/bpf/sock_addr.ts";
import { formatAddress, parseAddress, type Words } from "../../src/model/address.ts";
import { type Helpers, runProgram } from "./machine.ts";

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const IPPROTO_TCP = 6;
const IPPROTO_UDP = 17;

const ARMED = 8n;
const COUNTERS = 7n;

/** A call of connect(2). */
interface Call {
  address: string;
  port?: number;
  /** The family of the socket. */
  family?: number;
  userFamily?: number;
  type?: number;
  protocol?: number;
}

/** `struct bpf_sock_addr`. */
function contextOf({ address, port = 443, family = AF_INET, userFamily = family, ...call }: Call): DataView {
  const context = new DataView(new ArrayBuffer(72));
  const { words } = parseAddress(address)!;
  context.setUint32(0, userFamily, true);
  if (family === AF_INET) context.setUint32(4, words[3]);
  else words.forEach((word, i) => context.setUint32(8 + 4 * i, word));
  context.setUint16(24, port);
  context.setUint32(32, call.type ?? SOCK_STREAM, true);
  context.setUint32(36, call.protocol ?? IPPROTO_TCP, true);
  return context;
}

interface Setting {
  fate: Fate;
  chooses?: Emit;
  isArmed?: boolean;
  uid?: number;
}

/** Runs a program for a call. Returns what becomes of it, and the destinations that were counted. */
function run(
  call: Call,
  { fate, chooses = emitAlways(true), isArmed = true, uid = 0 }: Setting,
): [string, ...string[]] {
  const family = call.family ?? AF_INET;
  const context = contextOf(call);
  const counters = new Map<string, Uint8Array>();
  let errno = 0;
  const helpers: Helpers = {
    [BPF_FUNC_map_lookup_elem]: ([map, key], memory) => {
      if (map === ARMED) return memory.add(Uint8Array.of(isArmed ? 1 : 0, 0, 0, 0));
      assertEquals(map, COUNTERS);
      const counter = counters.get(memory.bytes(key, 24).join());
      return counter === undefined ? 0n : memory.add(counter);
    },
    [BPF_FUNC_map_update_elem]: ([, key, value], memory) => {
      counters.set(memory.bytes(key, 24).join(), memory.bytes(value, 16).slice());
      return 0n;
    },
    [BPF_FUNC_ktime_get_boot_ns]: () => 5_000_000n,
    [BPF_FUNC_get_current_uid_gid]: () => (0xffffn << 32n) | BigInt(uid),
    [BPF_FUNC_set_retval]: ([value]) => {
      errno = -Number(BigInt.asIntN(64, value));
      return 0n;
    },
  };
  const numbers = { counters: Number(COUNTERS), armed: Number(ARMED) };
  const program = compileSockAddr({ family, fate, chooses, ...numbers });
  const passes = runProgram(program, new Uint8Array(context.buffer), helpers);
  const counted = [...counters].map(([key, value]) => {
    const { address, port, count, lastAt } = decodeConnectCounter(Uint8Array.from(key.split(","), Number), value, 0);
    assertEquals([count, lastAt], [1, "1970-01-01T00:00:00.005Z"]);
    return `${address} ${port}`;
  });
  if (passes === 0n) return [errno === 0 ? "EPERM" : `errno ${errno}`, ...counted];
  const words = family === AF_INET
    ? [0, 0, 0xffff, context.getUint32(4)]
    : [8, 12, 16, 20].map((offset) => context.getUint32(offset));
  return [`${formatAddress({ words: words as unknown as Words })} ${context.getUint16(24)}`, ...counted];
}

const REFUSE: Fate = { op: "refuse", errno: 111 };

const endpoint = (text: string, port: number | null = null): Endpoint => ({ words: parseAddress(text)!.words, port });

Deno.test("what is chosen is refused with the errno, or with EPERM, and counted", () => {
  assertEquals(run({ address: "10.0.0.5" }, { fate: REFUSE }), ["errno 111", "10.0.0.5 443"]);
  assertEquals(run({ address: "10.0.0.5" }, { fate: { op: "refuse", errno: null } }), ["EPERM", "10.0.0.5 443"]);
  const mapped = { address: "::ffff:10.0.0.5", family: AF_INET6 };
  assertEquals(run(mapped, { fate: REFUSE }), ["errno 111", "10.0.0.5 443"]);
  assertEquals(run({ address: "2001:db8::5", family: AF_INET6 }, { fate: REFUSE }), ["errno 111", "2001:db8::5 443"]);
});

Deno.test("what is not chosen, not armed, not TCP or of another family is let through", () => {
  const call = { address: "10.0.0.5" };
  const untouched = ["10.0.0.5 443"] as const;
  assertEquals(run(call, { fate: REFUSE, chooses: emitAlways(false) }), [...untouched]);
  assertEquals(run(call, { fate: REFUSE, isArmed: false }), [...untouched]);
  assertEquals(run({ ...call, type: SOCK_DGRAM, protocol: IPPROTO_UDP }, { fate: REFUSE }), [...untouched]);
  assertEquals(run({ ...call, protocol: 262 }, { fate: REFUSE }), [...untouched]);
  assertEquals(run({ ...call, userFamily: AF_INET6 }, { fate: REFUSE }), [...untouched]);
});

Deno.test("what is redirected goes to the address of its family, with its port or another one", () => {
  const fate: Fate = { op: "redirect", ipv4: endpoint("192.0.2.200"), ipv6: endpoint("2001:db8::6", 5432) };
  assertEquals(run({ address: "10.0.0.5" }, { fate }), ["192.0.2.200 443", "10.0.0.5 443"]);
  const socket = { family: AF_INET6 };
  assertEquals(run({ address: "::ffff:10.0.0.5", ...socket }, { fate }), ["192.0.2.200 443", "10.0.0.5 443"]);
  assertEquals(run({ address: "2001:db8::5", ...socket }, { fate }), ["2001:db8::6 5432", "2001:db8::5 443"]);
  const port: Fate = { op: "redirect", ipv4: endpoint("255.1.2.3", 65280), ipv6: null };
  assertEquals(run({ address: "10.0.0.5" }, { fate: port })[0], "255.1.2.3 65280");
  assertEquals(run({ address: "2001:db8::5", ...socket }, { fate: port })[0], "2001:db8::5 443");
});

Deno.test("the unspecified address means loopback", () => {
  const calls = [["0.0.0.0", AF_INET], ["::ffff:0.0.0.0", AF_INET6], ["::", AF_INET6], ["1::", AF_INET6]] as const;
  const counted = calls.map(([address, family]) => run({ address, family }, { fate: REFUSE })[1]);
  assertEquals(counted, ["127.0.0.1 443", "127.0.0.1 443", "::1 443", "1:: 443"]);
});

Deno.test("ports and users", () => {
  const isRefused = (call: Partial<Call>, chooses: Emit, uid = 0) =>
    run({ address: "10.0.0.5", ...call }, { fate: REFUSE, chooses, uid })[0] === "errno 111";
  const ports = [442, 443, 500, 501].map((port) => isRefused({ port }, emitCalledPort(443, 500)));
  assertEquals(ports, [false, true, true, false]);
  assertEquals([0, 7, 8].map((uid) => isRefused({}, emitCaller(7), uid)), [false, true, false]);
});

Deno.test("the bytes of a program that refuses", () => {
  const hex = [...compileSetRetval()].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  assertEquals(hex.match(/.{16}/g), ["b701000091ffffff", "85000000bb000000", "b700000000000000", "9500000000000000"]);
});
