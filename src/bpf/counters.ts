// The maps in which programs count by destination: connections that were set, and calls of connect(2).

import { BPF_MAP_TYPE_LRU_HASH, mapCreate, mapLookup, mapNextKey } from "../../ffi/bpf.ts";
import type { Descriptor } from "../../ffi/descriptor.ts";
import { readTextFile } from "../../ffi/files.ts";
import { formatAddress, type Words } from "../model/address.ts";
import type { DestinationCount } from "../model/destination_count.ts";
import type { ConnectCount } from "../model/diversion.ts";
import { ACCEPTED, COUNTER_KEY_SIZE } from "./conditions.ts";
import { CONNECT_COUNTER_SIZE } from "./sock_addr.ts";
import { COUNTER_SIZE } from "./sock_ops.ts";

export const COUNTERS_NAME = "tcphup_counters";
export const CONNECTS_NAME = "tcphup_connects";

/** The destinations that are remembered. Beyond that the kernel forgets the one not used for the longest time. */
const MOST_DESTINATIONS = 4096;

/** Creates the map of `DestinationCount`. */
export function createCounters(): Descriptor {
  return createMap(COUNTERS_NAME, COUNTER_SIZE);
}

/** Creates the map of `ConnectCount`. */
export function createConnectCounters(): Descriptor {
  return createMap(CONNECTS_NAME, CONNECT_COUNTER_SIZE);
}

function createMap(name: string, valueSize: number): Descriptor {
  const keySize = COUNTER_KEY_SIZE;
  return mapCreate({ type: BPF_MAP_TYPE_LRU_HASH, name, keySize, valueSize, maxEntries: MOST_DESTINATIONS });
}

/** Returns the counts, the greatest first. A program that runs meanwhile may be seen in some of them. */
export function readCounters(map: Descriptor): DestinationCount[] {
  const total = ({ set, kept, refused }: DestinationCount) => set + kept + refused;
  return readEntries(map, COUNTER_SIZE, decodeCounter).sort((a, b) => total(b) - total(a));
}

/** Returns the counts, the greatest first, as `readCounters` does. */
export function readConnectCounters(map: Descriptor): ConnectCount[] {
  const [uptimeS = ""] = readTextFile("/proc/uptime").split(" ");
  const bootedMs = Date.now() - Number(uptimeS) * 1000;
  const counts = readEntries(map, CONNECT_COUNTER_SIZE, (key, value) => decodeConnectCounter(key, value, bootedMs));
  return counts.sort((a, b) => b.count - a.count);
}

function readEntries<T>(map: Descriptor, valueSize: number, decode: (key: Uint8Array, value: Uint8Array) => T): T[] {
  const entries: T[] = [];
  // Where a key has gone meanwhile, the kernel begins again with the first one.
  const seen = new Set<string>();
  for (let key = mapNextKey(map, null, COUNTER_KEY_SIZE); key !== null; key = mapNextKey(map, key, COUNTER_KEY_SIZE)) {
    const text = key.join();
    if (seen.has(text)) continue;
    if (seen.size > 2 * MOST_DESTINATIONS) break;
    seen.add(text);
    const value = mapLookup(map, key, valueSize);
    if (value !== null) entries.push(decode(key, value));
  }
  return entries;
}

/** Decodes an entry: see `COUNTER_KEY_SIZE` and `COUNTER_SIZE`. */
export function decodeCounter(key: Uint8Array, value: Uint8Array): DestinationCount {
  const { accepted, ...destination } = decodeDestination(key);
  const number = numbersOf(value);
  return { accepted, ...destination, set: number(0), kept: number(8), refused: number(16) };
}

/** Decodes an entry: see `COUNTER_KEY_SIZE` and `CONNECT_COUNTER_SIZE`. @param bootedMs The time at which the host started. */
export function decodeConnectCounter(key: Uint8Array, value: Uint8Array, bootedMs: number): ConnectCount {
  const { address, port } = decodeDestination(key);
  const number = numbersOf(value);
  return { address, port, count: number(0), lastAt: new Date(bootedMs + number(8) / 1e6).toISOString() };
}

function numbersOf(value: Uint8Array): (offset: number) => number {
  const view = new DataView(value.buffer, value.byteOffset);
  return (offset) => Number(view.getBigUint64(offset, true));
}

function decodeDestination(key: Uint8Array): Pick<DestinationCount, "accepted" | "address" | "port"> {
  const view = new DataView(key.buffer, key.byteOffset);
  const words: Words = [view.getUint32(0), view.getUint32(4), view.getUint32(8), view.getUint32(12)];
  return {
    accepted: view.getUint32(20, true) === ACCEPTED,
    address: formatAddress({ words }),
    port: view.getUint32(16, true),
  };
}
