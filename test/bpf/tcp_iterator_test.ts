// The program that the kernel's iterator over TCP sockets runs, on a machine of the tests' own: which sockets it reads and
// sets, and how.

import { assertEquals } from "@std/assert";
import {
  BPF_FUNC_get_socket_cookie,
  BPF_FUNC_getsockopt,
  BPF_FUNC_map_lookup_elem,
  BPF_FUNC_seq_write,
  BPF_FUNC_setsockopt,
  BPF_FUNC_skc_to_tcp_sock,
} from "../../ffi/bpf.ts";
import {
  compileTcpIterator,
  decodeFoundSocket,
  encodeWantedSocket,
  type FoundSocket,
  type Pass,
} from "../../src/bpf/tcp_iterator.ts";
import type { SockId } from "../../src/linux/netlink/inet_diag.ts";
import { KEEPALIVE_SWITCH, optionOf, steps } from "../../src/keepalive/socket_options.ts";
import { resolveValues } from "../../src/keepalive/values.ts";
import { Memory, runProgram } from "./machine.ts";

const OFFSETS: Readonly<Record<string, number>> = {
  "sock_common.skc_family": 16,
  "sock_common.skc_v6_daddr": 56,
  "sock_common.skc_v6_rcv_saddr": 72,
  "seq_file.count": 24,
  "seq_file.size": 8,
};
const types = { offset: (member: string) => OFFSETS[member]! };

const AF_INET = 2;
const AF_INET6 = 10;
const MAP = 7;
/** The place of the socket among those that are wanted. */
const PLACE = 12345;

/** 10.0.0.1:1000 to 10.0.0.2:443, and 2001:db8::1 to 2001:db8::2. */
const IPV4: SockId = {
  family: AF_INET,
  sport: 1000,
  dport: 443,
  src: [0, 0, 0xffff, 0x0a000001],
  dst: [0, 0, 0xffff, 0x0a000002],
  interface: 0,
  cookie: 5n,
};
const IPV6: SockId = { ...IPV4, family: AF_INET6, src: [0x20010db8, 0, 0, 1], dst: [0x20010db8, 0, 0, 2] };

/** `struct sock_common`. */
function sockCommon({ family, sport, dport, src, dst }: SockId): Uint8Array {
  const view = new DataView(new ArrayBuffer(96));
  view.setUint16(12, dport);
  view.setUint16(14, sport, true);
  view.setUint16(16, family, true);
  if (family === AF_INET) {
    view.setUint32(0, dst[3]);
    view.setUint32(4, src[3]);
  } else {
    dst.forEach((word, i) => view.setUint32(56 + 4 * i, word));
    src.forEach((word, i) => view.setUint32(72 + 4 * i, word));
  }
  return new Uint8Array(view.buffer);
}

interface Case {
  /** The socket as it is, and as it is wanted. */
  readonly socket?: SockId;
  readonly wanted?: SockId;
  readonly pass: Pass;
  /** The socket's options, by `level/name`. */
  readonly options?: Record<string, number>;
  readonly unreadable?: readonly string[];
  readonly refused?: readonly string[];
  /** Whether it is no whole socket: TIME-WAIT, or a request. */
  readonly isPart?: boolean;
  /** The bytes left in what the kernel returns at once. */
  readonly room?: number;
}

/** Runs the program on one socket. Returns the rows, and the socket's options afterwards. */
function run({ socket = IPV4, wanted = socket, room = 4096, ...more }: Case): [FoundSocket[], Record<string, number>] {
  const { pass, options = {}, unreadable = [], refused = [], isPart = false } = more;
  const memory = new Memory();
  const address = memory.add(sockCommon(socket));
  const seq = memory.add(new Uint8Array(32));
  memory.store(seq + 24n, 8, 100n);
  memory.store(seq + 8n, 8, BigInt(100 + room));
  const meta = memory.add(new Uint8Array(8));
  memory.store(meta, 8, seq);
  const context = new DataView(new ArrayBuffer(16));
  context.setBigUint64(0, meta, true);
  context.setBigUint64(8, address, true);
  const value = new DataView(new ArrayBuffer(48));
  encodeWantedSocket(wanted, PLACE, value);
  const valueAt = memory.add(new Uint8Array(value.buffer));
  const [rows, state] = [[] as FoundSocket[], { ...options }];
  runProgram(compileTcpIterator(pass, MAP, types), new Uint8Array(context.buffer), {
    [BPF_FUNC_skc_to_tcp_sock]: ([socket]) => isPart ? 0n : socket,
    [BPF_FUNC_get_socket_cookie]: () => socket.cookie,
    [BPF_FUNC_map_lookup_elem]: ([map, key]) => {
      assertEquals(map, BigInt(MAP));
      return memory.load(key, 8) === wanted.cookie ? valueAt : 0n;
    },
    [BPF_FUNC_getsockopt]: ([, level, name, place]) => {
      if (unreadable.includes(`${level}/${name}`)) return -22n;
      memory.store(place, 4, BigInt(state[`${level}/${name}`] ?? 0));
      return 0n;
    },
    [BPF_FUNC_setsockopt]: ([, level, name, place]) => {
      if (refused.includes(`${level}/${name}`)) return -22n;
      state[`${level}/${name}`] = Number(memory.load(place, 4));
      return 0n;
    },
    [BPF_FUNC_seq_write]: ([, row, size]) => {
      const view = new DataView(memory.bytes(row, Number(size)).slice().buffer);
      if (Number(size) >= room) return -75n;
      assertEquals(view.getUint32(0, true), PLACE);
      rows.push(decodeFoundSocket(view, pass));
      return 0n;
    },
  }, memory);
  return [rows, state];
}

const READS = [
  KEEPALIVE_SWITCH,
  ...(["idleS", "intervalS", "count", "userTimeoutMs"] as const).map(optionOf),
];
const READING: Pass = { reads: READS, steps: null };
const SETTING: Pass = { reads: READS, steps: steps(resolveValues().values, "established") };
const ONLY_MISSING: Pass = { ...SETTING, unless: KEEPALIVE_SWITCH, spares: optionOf("userTimeoutMs") };

/** SO_KEEPALIVE, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT and TCP_USER_TIMEOUT. */
const DEFAULTS = { "1/9": 1, "6/4": 15, "6/5": 15, "6/6": 9, "6/18": 150_000 };
const VALUES = Object.values(DEFAULTS);
const OFF = { "1/9": 0, "6/4": 7200, "6/5": 75, "6/6": 9, "6/18": 0 };
const UNTOUCHED = Object.values(OFF);

Deno.test("what is wanted is read, and left as it is", () => {
  for (const socket of [IPV4, IPV6]) {
    const [[row], options] = run({ socket, pass: READING, options: OFF });
    assertEquals(row, { status: "same", before: UNTOUCHED, after: UNTOUCHED, results: [] });
    assertEquals(options, OFF);
  }
});

Deno.test("a socket with another cookie, or with another end by now, is left alone, and so is no whole socket", () => {
  const others: Partial<SockId>[] = [
    { cookie: 6n },
    { sport: 1001 },
    { dport: 444 },
    { family: AF_INET6 },
    { src: [0, 0, 0xffff, 0x0a000003] },
    { dst: [0, 0, 0xffff, 0x0a000003] },
  ];
  for (const other of others) {
    assertEquals(run({ wanted: { ...IPV4, ...other }, pass: SETTING, options: OFF }), [[], OFF]);
  }
  for (const end of ["src", "dst"] as const) {
    for (const i of [0, 1, 2, 3]) {
      const wanted = { ...IPV6, [end]: IPV6[end].map((word, j) => i === j ? word + 1 : word) };
      assertEquals(run({ socket: IPV6, wanted, pass: SETTING, options: OFF }), [[], OFF]);
    }
  }
  assertEquals(run({ isPart: true, pass: SETTING, options: OFF }), [[], OFF]);
});

Deno.test("what is not as wanted is set and read back, and nothing is set where all is", () => {
  const [[row], options] = run({ pass: SETTING, options: OFF });
  assertEquals(row, { status: "set", before: UNTOUCHED, after: VALUES, results: [0, 0, 0, 0, 0] });
  assertEquals(options, DEFAULTS);
  for (const name of Object.keys(DEFAULTS)) {
    assertEquals(run({ pass: SETTING, options: { ...DEFAULTS, [name]: 3 } })[1], DEFAULTS, name);
  }
  const [[same]] = run({ pass: SETTING, options: DEFAULTS, refused: Object.keys(DEFAULTS) });
  assertEquals(same, { status: "same", before: VALUES, after: VALUES, results: [0, 0, 0, 0, 0] });
});

Deno.test("keepalive is turned off, and the rest stays", () => {
  const pass = { reads: READS, steps: [{ ...KEEPALIVE_SWITCH, value: 0 }] };
  assertEquals(run({ pass, options: DEFAULTS })[1], { ...DEFAULTS, "1/9": 0 });
  assertEquals(run({ pass, options: OFF })[0].map(({ status }) => status), ["same"]);
});

Deno.test("what an application has chosen stays, when only what is missing is wanted", () => {
  const own = { ...OFF, "1/9": 1, "6/4": 99 };
  assertEquals(run({ pass: ONLY_MISSING, options: own })[1], own);
  const timeout = { ...OFF, "6/18": 7777 };
  assertEquals(run({ pass: ONLY_MISSING, options: timeout })[1], { ...DEFAULTS, "6/18": 7777 });
});

Deno.test("an option that cannot be read keeps the socket from being touched", () => {
  for (const name of Object.keys(OFF)) {
    const [rows, options] = run({ pass: SETTING, options: OFF, unreadable: [name] });
    assertEquals(rows.map(({ status }) => status), ["unread"]);
    assertEquals(options, OFF);
  }
});

Deno.test("an option that the kernel refuses is told, and the others are set", () => {
  const [[row], options] = run({ pass: SETTING, options: OFF, refused: ["6/18"] });
  assertEquals([row?.status, row?.results], ["set", [0, 0, 0, 0, -22]]);
  assertEquals(options, { ...DEFAULTS, "6/18": 0 });
});

Deno.test("nothing is set when the row does not fit: the kernel drops it then, and begins the socket again", () => {
  const size = 8 + 4 * 15 + 4;
  assertEquals(run({ pass: SETTING, options: OFF, room: size }), [[], OFF]);
  assertEquals(run({ pass: SETTING, options: OFF, room: size + 1 })[1], DEFAULTS);
});
