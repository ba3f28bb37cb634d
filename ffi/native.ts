// Types that describe C functions, for the backends (`deno.ts`, `node.ts`) and for `call.ts`, which uses one of them.

/** The type of a parameter or a result. `usize` and `isize` are bigints; `buffer` is an address, or NULL. */
export type NativeType = "i32" | "u32" | "usize" | "isize" | "buffer" | "void";

/** A C function: its symbol (when that differs from the key), its parameters and its result. */
export interface NativeSymbol {
  readonly name?: string;
  readonly parameters: readonly NativeType[];
  readonly result: NativeType;
}

/** C functions that are loaded together. */
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

/** Thrown when libc cannot be loaded. The message is for the user. */
export class LibcUnavailableError extends Error {
  /** Always `LibcUnavailableError`. */
  override readonly name = "LibcUnavailableError";
}
