// Addresses, for the structs of C that point at others.

import { lazily } from "./call.ts";

export { memoryAt } from "./deno.ts";

const copying = lazily({ memcpy: { parameters: ["buffer", "usize", "usize"], result: "usize" } });

/** `size` bytes of zeros that are never moved, so that their address holds for as long as they are in use. */
export function allocate(size: number): Uint8Array {
  // A typed array of fewer than 64 bytes may live in the runtime's own heap, an ArrayBuffer of its own may not.
  return new Uint8Array(new ArrayBuffer(size));
}

const bases = new WeakMap<ArrayBufferLike, bigint>();

/** The address of what `allocate` returned, or of a part of it. */
export function addressOf(memory: Uint8Array): bigint {
  let base = bases.get(memory.buffer);
  // memcpy(3) of nothing returns where it would have copied to.
  if (base === undefined) bases.set(memory.buffer, base = copying().memcpy(new Uint8Array(memory.buffer), 0n, 0n));
  return base + BigInt(memory.byteOffset);
}

/** `strings`, without their NULs, as the NULL-terminated array of pointers that execve(2) takes. */
export function cStrings(strings: readonly Uint8Array[]): BigUint64Array {
  const table = (strings.length + 1) * 8;
  const memory = allocate(strings.reduce((size, string) => size + string.length + 1, table));
  const pointers = new BigUint64Array(memory.buffer as ArrayBuffer, 0, strings.length + 1);
  const base = addressOf(memory);
  let offset = table;
  strings.forEach((string, i) => {
    memory.set(string, offset);
    pointers[i] = base + BigInt(offset);
    offset += string.length + 1;
  });
  return pointers;
}
