// What a program chooses sockets by: contents of maps, and random filters, run on the tests' own machine.

import { assertEquals } from "@std/assert";
import {
  BPF_FUNC_get_current_uid_gid,
  BPF_FUNC_get_netns_cookie,
  BPF_FUNC_map_lookup_elem,
  BPF_FUNC_map_update_elem,
  BPF_FUNC_setsockopt,
  BPF_FUNC_skc_to_tcp_sock,
} from "../../ffi/bpf.ts";
import type { Emit } from "../../src/bpf/conditions.ts";
import { compileSockAddr, emitCalledPort, emitCaller } from "../../src/bpf/sock_addr.ts";
import { compileSockOps, emitSocketPort, emitSocketUser } from "../../src/bpf/sock_ops.ts";
import { KEEPALIVE_SWITCH } from "../../src/keepalive/socket_options.ts";
import { maskWords, parsePrefix, type Words } from "../../src/model/address.ts";
import type { Filter } from "../../src/select/filter.ts";
import {
  emitFilter,
  emitNamespaces,
  encodeTrieKey,
  trieEntries,
  type TrieEntry,
} from "../../src/attach/filter_program.ts";
import { type Memory, runProgram } from "../bpf/machine.ts";
import { meaning } from "../select/meaning.ts";
import { Random, randomFilter, randomPrefix, randomSocket } from "../select/random.ts";
import { AF_INET, type Socket } from "../select/row.ts";

const VOCABULARY = { port: emitSocketPort, user: (uid: number) => emitSocketUser(uid, 528) };

const prefixes = (...texts: string[]) => texts.map((text) => parsePrefix(text)!);

Deno.test("the entries of prefixes: an IPv6 prefix holds no IPv4 address", () => {
  const entries = (...texts: string[]) =>
    trieEntries(prefixes(...texts)).map((entry) => [...encodeTrieKey(entry), entry.isChosen]);
  const key = (length: number, bytes: number[], isChosen = true) => [length, 0, 0, 0, ...bytes, isChosen];
  const mapped = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255];
  const zeros = Array(16).fill(0);
  assertEquals(entries("10.1.0.0/16"), [key(112, [...mapped, 10, 1, 0, 0])]);
  assertEquals(entries("2001:db8::1"), [key(128, [0x20, 1, 13, 0xb8, ...zeros.slice(5), 1])]);
  assertEquals(entries("::/0"), [key(96, [...mapped, 0, 0, 0, 0], false), key(0, zeros)]);
  assertEquals(entries("::/0", "0.0.0.0/0"), [key(0, zeros), key(96, [...mapped, 0, 0, 0, 0])]);
  assertEquals(entries("::/81", "::/80"), [
    key(96, [...mapped, 0, 0, 0, 0], false),
    key(81, zeros),
    key(80, zeros),
  ]);
  assertEquals(entries("::/96"), [key(96, zeros)]);
});

/** Looks a key up as BPF_MAP_TYPE_LPM_TRIE does: the value of the longest prefix that holds an address; null without one. */
function lookUp(entries: readonly TrieEntry[], key: bigint, memory: Memory): bigint {
  const view = new DataView(memory.bytes(key, 20).slice().buffer);
  assertEquals(view.getUint32(0, true), 128);
  const words: Words = [view.getUint32(4), view.getUint32(8), view.getUint32(12), view.getUint32(16)];
  const holding = entries.filter(({ prefix }) =>
    maskWords(words, prefix.length).every((w, i) => w === prefix.words[i])
  );
  const [longest] = holding.sort((a, b) => b.prefix.length - a.prefix.length);
  return longest === undefined ? 0n : memory.add(Uint8Array.of(longest.isChosen ? 1 : 0, 0, 0, 0));
}

/** Whether a program that goes by `emit` sets a socket that connects. */
function isChosen(
  socket: Socket,
  emit: (tries: (entries: readonly TrieEntry[]) => number) => Emit,
  cookie = 0n,
): boolean {
  const tries: TrieEntry[][] = [];
  const chooses = emit((entries) => tries.push([...entries]) - 1);
  const options = { connecting: [{ ...KEEPALIVE_SWITCH, value: 1 }], accepted: null, onlyMissing: false, rank: 0 };
  const program = compileSockOps({ ...options, chooses, goesByAddress: true, counters: 0xffff });
  const context = new DataView(new ArrayBuffer(192));
  context.setUint32(0, 3, true);
  context.setUint32(20, socket.family, true);
  for (const [side, v4, v6] of [["dst", 24, 32], ["src", 28, 48]] as const) {
    const words = socket[side];
    if (socket.family === AF_INET) context.setUint32(v4, words[3]);
    else words.forEach((word, i) => context.setUint32(v6 + 4 * i, word));
  }
  context.setUint16(66, socket.dport);
  context.setUint32(68, socket.sport, true);
  context.setBigUint64(184, 1n, true);
  let isSet = false;
  runProgram(program, new Uint8Array(context.buffer), {
    [BPF_FUNC_map_lookup_elem]: ([map, key], memory) => {
      return map === 0xffffn ? 0n : lookUp(tries[Number(map)]!, key, memory);
    },
    [BPF_FUNC_map_update_elem]: () => 0n,
    [BPF_FUNC_setsockopt]: () => {
      isSet = true;
      return 0n;
    },
    [BPF_FUNC_skc_to_tcp_sock]: (_, memory) => {
      const sock = new DataView(new ArrayBuffer(600));
      sock.setUint32(528, socket.uid, true);
      return memory.add(new Uint8Array(sock.buffer));
    },
    [BPF_FUNC_get_netns_cookie]: () => cookie,
  });
  return isSet;
}

function assertChooses(filter: Filter, socket: Socket): void {
  const chosen = isChosen(socket, (trie) => emitFilter(filter, { trie, ...VOCABULARY }));
  assertEquals(chosen, meaning(filter, socket, false), Deno.inspect({ filter, socket }, { depth: 9 }));
}

Deno.test("random filters choose what they mean", () => {
  const random = new Random(20260730);
  for (let i = 0; i < 3000; i++) assertChooses(randomFilter(random, ["address", "port", "uid"]), randomSocket(random));
});

Deno.test("many prefixes choose what each of them would", () => {
  const random = new Random(7);
  for (let i = 0; i < 300; i++) {
    const side = random.one(["src", "dst"] as const);
    const prefixes = random.some(40, () => randomPrefix(random));
    assertChooses({ op: "address", side, prefixes }, randomSocket(random));
  }
});

Deno.test("network namespaces, by their cookies", () => {
  const socket = randomSocket(new Random(1));
  const large = 0xfedcba9876543210n;
  const chosen = (cookie: bigint, only: bigint[] | null, excluded: bigint[] = []) =>
    isChosen(socket, () => emitNamespaces(only, excluded), cookie);
  assertEquals(chosen(5n, null), true);
  assertEquals(chosen(5n, [4n, 5n]), true);
  assertEquals(chosen(6n, [4n, 5n]), false);
  assertEquals(chosen(large, [large]), true);
  assertEquals(chosen(large & 0xffffffffn, [large]), false);
  assertEquals(chosen(5n, null, [5n]), false);
  assertEquals(chosen(6n, null, [5n]), true);
  assertEquals(chosen(5n, [5n, 6n], [6n]), true);
  assertEquals(chosen(6n, [5n, 6n], [6n]), false);
});

Deno.test("random filters choose calls of connect(2) as they mean", () => {
  const random = new Random(20261130);
  for (let i = 0; i < 2000; i++) {
    const filter = towardsPeers(randomFilter(random, ["address", "port", "uid"]));
    const socket = randomSocket(random);
    const family = socket.family;
    const tries: TrieEntry[][] = [];
    const chooses = emitFilter(filter, {
      trie: (entries) => tries.push([...entries]) - 1,
      port: (_, from, to) => emitCalledPort(from, to),
      user: emitCaller,
    });
    const context = new DataView(new ArrayBuffer(72));
    context.setUint32(0, family, true);
    if (family === AF_INET) context.setUint32(4, socket.dst[3]);
    else socket.dst.forEach((word, i) => context.setUint32(8 + 4 * i, word));
    context.setUint16(24, socket.dport);
    context.setUint32(32, 1, true);
    context.setUint32(36, 6, true);
    const fate = { op: "refuse", errno: null } as const;
    const program = compileSockAddr({ family, fate, chooses, counters: 0xffff, armed: 0xfffe });
    const passes = runProgram(program, new Uint8Array(context.buffer), {
      [BPF_FUNC_map_lookup_elem]: ([map, key], memory) => {
        if (map === 0xffffn) return 0n;
        if (map === 0xfffen) return memory.add(Uint8Array.of(1, 0, 0, 0));
        return lookUp(tries[Number(map)]!, key, memory);
      },
      [BPF_FUNC_map_update_elem]: () => 0n,
      [BPF_FUNC_get_current_uid_gid]: () => BigInt(socket.uid),
    });
    const isUnspecified = socket.dst[3] === 0 && socket.dst[0] === 0 && socket.dst[1] === 0;
    if (!isUnspecified) assertEquals(passes === 0n, meaning(filter, socket, false), Deno.inspect({ filter, socket }));
  }
});

/** The filter with every condition about the peer instead of this host's end. */
function towardsPeers(filter: Filter): Filter {
  switch (filter.op) {
    case "not":
      return { op: "not", term: towardsPeers(filter.term) };
    case "all":
    case "any":
      return { op: filter.op, terms: filter.terms.map(towardsPeers) };
    default:
      return "side" in filter ? { ...filter, side: "dst" } : filter;
  }
}
