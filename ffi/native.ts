// The shapes that a backend (`deno.ts`, `node.ts`) and the functions over it (`call.ts`) agree on.

/** How a parameter or a result crosses to C. `usize` and `isize` are bigints; `buffer` is an address, or NULL. */
export type NativeType = "i32" | "u32" | "usize" | "isize" | "buffer" | "void";

/** One C function: the symbol (when it differs from the key), what it takes and what it returns. */
export interface NativeSymbol {
  readonly name?: string;
  readonly parameters: readonly NativeType[];
  readonly result: NativeType;
}

/** Several C functions that are loaded together. */
export type NativeSymbols = Readonly<Record<string, NativeSymbol>>;

type NativeValue<T extends NativeType> = T extends "i32" | "u32" ? number
  : T extends "usize" | "isize" ? bigint
  : T extends "buffer" ? Uint8Array | Int32Array | BigUint64Array | null
  : void;

type NativeParameters<P extends readonly NativeType[]> = { -readonly [I in keyof P]: NativeValue<P[I]> };

/** The functions that a table of symbols loads to. */
export type NativeFunctions<S extends NativeSymbols> = {
  readonly [K in keyof S]: (...args: NativeParameters<S[K]["parameters"]>) => NativeValue<S[K]["result"]>;
};

/** Why libc could not be loaded, in words for the person at the keyboard. */
export class LibcUnavailable extends Error {
  /** Always `LibcUnavailable`. */
  override readonly name = "LibcUnavailable";
}
