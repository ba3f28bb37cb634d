// Memory with an address, for structs of C that point at others.

import { lazily } from "./call.ts";

const copying = lazily({ memcpy: { parameters: ["buffer", "usize", "usize"], result: "usize" } });

/** Returns `size` bytes of zeros that are never moved, so that their address stays valid while they are referenced. */
export function allocate(size: number): Uint8Array {
  // V8 may keep a typed array of up to 64 bytes in its own heap, where the garbage collector moves it, but no
  // ArrayBuffer.
  return new Uint8Array(new ArrayBuffer(size));
}

const bases = new WeakMap<ArrayBufferLike, bigint>();

/** Returns the address of memory from `allocate`, or of a part of it. */
export function addressOf(memory: Uint8Array): bigint {
  let base = bases.get(memory.buffer);
  // memcpy(3) returns its first argument as an address.
  if (base === undefined) bases.set(memory.buffer, base = copying().memcpy(new Uint8Array(memory.buffer), 0n, 0n));
  return base + BigInt(memory.byteOffset);
}

/** Returns `strings`, given without their NULs, as the NULL-terminated array of pointers that execve(2) takes. */
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
