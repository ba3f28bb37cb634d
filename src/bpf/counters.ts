// The map in which a program counts the connections that it has set, by their destination.

import { BPF_MAP_TYPE_LRU_HASH, mapCreate, mapLookup, mapNextKey } from "../../ffi/bpf.ts";
import type { Descriptor } from "../../ffi/descriptor.ts";
import { formatAddress, type Words } from "../model/address.ts";
import { ACCEPTED, COUNTER_KEY_SIZE, COUNTER_SIZE } from "./sock_ops.ts";

export const COUNTERS_NAME = "tcphup_counters";

/** The destinations that are remembered. Beyond that the kernel forgets the one not used for the longest time. */
const MOST_DESTINATIONS = 4096;

/** The number of connections to one destination that a program has decided about. */
export interface DestinationCount {
  /** Whether this host accepted them: then the destination is this host's end. */
  readonly accepted: boolean;
  /** The destination's address, in its usual form. */
  readonly address: string;
  /** The destination's port. */
  readonly port: number;
  /** Those on which the values were set. */
  readonly set: number;
  /** Those whose application had keepalive on, and kept it. */
  readonly kept: number;
  /** Those on which the kernel has refused an option. */
  readonly refused: number;
}

/** Creates the map. */
export function createCounters(): Descriptor {
  return mapCreate({
    type: BPF_MAP_TYPE_LRU_HASH,
    name: COUNTERS_NAME,
    keySize: COUNTER_KEY_SIZE,
    valueSize: COUNTER_SIZE,
    maxEntries: MOST_DESTINATIONS,
  });
}

/** Returns the counts, the greatest first. A program that runs meanwhile may be seen in some of them. */
export function readCounters(map: Descriptor): DestinationCount[] {
  const counts: DestinationCount[] = [];
  // Where a key has gone meanwhile, the kernel begins again with the first one.
  const seen = new Set<string>();
  for (let key = mapNextKey(map, null, COUNTER_KEY_SIZE); key !== null; key = mapNextKey(map, key, COUNTER_KEY_SIZE)) {
    const text = key.join();
    if (seen.has(text)) continue;
    if (seen.size > 2 * MOST_DESTINATIONS) break;
    seen.add(text);
    const value = mapLookup(map, key, COUNTER_SIZE);
    if (value !== null) counts.push(decodeCounter(key, value));
  }
  return counts.sort((a, b) => total(b) - total(a));
}

function total({ set, kept, refused }: DestinationCount): number {
  return set + kept + refused;
}

/** Decodes an entry: see `COUNTER_KEY_SIZE` and `COUNTER_SIZE`. */
export function decodeCounter(key: Uint8Array, value: Uint8Array): DestinationCount {
  const place = new DataView(key.buffer, key.byteOffset);
  const numbers = new DataView(value.buffer, value.byteOffset);
  const words: Words = [place.getUint32(0), place.getUint32(4), place.getUint32(8), place.getUint32(12)];
  const number = (offset: number) => Number(numbers.getBigUint64(offset, true));
  return {
    accepted: place.getUint32(20, true) === ACCEPTED,
    address: formatAddress({ words }),
    port: place.getUint32(16, true),
    set: number(0),
    kept: number(8),
    refused: number(16),
  };
}
