// Random filters and sockets, few enough of each kind of value that they meet.

import { maskWords, parsePrefix, type Prefix, type Words } from "../../src/model/address.ts";
import type { Filter, Side } from "../../src/select/filter.ts";
import { AF_INET, AF_INET6, type Past, type Socket } from "./row.ts";

/** Random numbers that are the same in every run. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** A whole number from 0 to `below` - 1. */
  below(below: number): number {
    // An xorshift generator, after Marsaglia.
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return Math.floor((this.#state >>> 0) / 2 ** 32 * below);
  }

  chance(probability: number): boolean {
    return this.below(1000) < 1000 * probability;
  }

  one<T>(values: readonly T[]): T {
    return values[this.below(values.length)]!;
  }

  /** The same values in another order. */
  shuffled<T>(values: readonly T[]): T[] {
    const shuffled = [...values];
    for (let i = shuffled.length - 1; i > 0; i--) {
      const j = this.below(i + 1);
      [shuffled[i], shuffled[j]] = [shuffled[j]!, shuffled[i]!];
    }
    return shuffled;
  }

  some<T>(most: number, make: () => T): T[] {
    return Array.from({ length: this.below(most + 1) }, make);
  }
}

const PORTS = [0, 1, 22, 80, 443, 444, 8080, 32768, 65535];
const ADDRESSES = [
  "10.0.0.1",
  "10.0.0.2",
  "10.1.0.1",
  "192.168.1.1",
  "0.0.0.0",
  "255.255.255.255",
  "::1",
  "::",
  "2001:db8::1",
  "2001:db8::a00:1",
  "2001:db8:0:1::1",
  "2001:db8::ffff:10.0.0.1",
  "fe80::1",
  "::fffe:10.0.0.1",
].map((text) => parsePrefix(text)!.words);
const LENGTHS = [0, 1, 8, 32, 64, 80, 81, 95, 96, 97, 104, 112, 120, 127, 128];
const MARKS = [0, 1, 3, 0x10, 0xffffffff];

function isMapped(words: Words): boolean {
  return words[0] === 0 && words[1] === 0 && words[2] === 0xffff;
}

export function randomSocket(random: Random): Socket {
  const src = random.one(ADDRESSES);
  const dst = random.one(ADDRESSES.filter((words) => isMapped(words) === isMapped(src)));
  const full = random.chance(0.8);
  return {
    family: isMapped(src) && random.chance(0.5) ? AF_INET : AF_INET6,
    state: random.one([1, 2, 3, 4, 6, 8, 10, 11]),
    src,
    dst,
    sport: random.one(PORTS),
    dport: random.one(PORTS),
    interface: random.below(3),
    uid: random.one([0, 1000]),
    mark: full ? random.one(MARKS) : null,
    cgroup: full ? random.one([1n, 2n, 2n ** 63n]) : null,
    wqueue: random.one([0, 0, 10]),
    past: full ? randomPast(random) : null,
    transparent: full ? random.chance(0.2) : null,
    autobound: random.chance(0.5),
  };
}

const TIMES_MS = [0, 999, 1000, 60_000, 2 ** 32 - 1];

function randomPast(random: Random): Past {
  return {
    unacked: random.one([0, 0, 3]),
    retransmits: random.one([0, 0, 2]),
    probes: random.one([0, 1, 2]),
    sentMs: random.one(TIMES_MS),
    receivedMs: random.one(TIMES_MS),
    acknowledgedMs: random.one(TIMES_MS),
  };
}

export function randomPrefix(random: Random): Prefix {
  const words = random.one(ADDRESSES);
  const length = random.one(LENGTHS);
  return { words: maskWords(words, length), length };
}

/** A filter over `conditions`. */
export function randomFilter(random: Random, conditions: readonly Filter["op"][], depth = 4): Filter {
  if (depth > 0 && random.chance(0.6)) {
    const term = () => randomFilter(random, conditions, depth - 1);
    if (random.chance(0.3)) return { op: "not", term: term() };
    return { op: random.one(["all", "any"]), terms: random.some(4, term) };
  }
  const side: Side = random.one(["src", "dst"]);
  switch (random.one(conditions)) {
    case "port": {
      const from = random.one(PORTS);
      return { op: "port", side, from, to: random.chance(0.5) ? from : random.one(PORTS.filter((to) => to >= from)) };
    }
    case "interface":
      return { op: "interface", index: random.below(3) };
    case "mark":
      return { op: "mark", value: random.one(MARKS), mask: random.one([0xffffffff, 1, 0x11]) };
    case "cgroup":
      return { op: "cgroup", id: random.one([1n, 2n, 2n ** 63n]) };
    case "autobound":
      return { op: "autobound" };
    case "uid":
      return { op: "uid", uid: random.one([0, 1000]) };
    case "idle":
      return { op: "idle", ms: random.one([1, 1000, 60_000]) };
    case "silent":
      return { op: "silent", ms: random.one([1, 1000, 60_000]) };
    case "stalled":
      return { op: "stalled" };
    case "transparent":
      return { op: "transparent" };
    case "state":
      return { op: "state", mask: random.below(1 << 14) };
    default:
      return { op: "address", side, prefixes: random.some(4, () => randomPrefix(random)) };
  }
}
