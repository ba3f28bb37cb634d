// glibc through koffi, and tcphup's own process, for Node. This module exports what `deno.ts` exports, which is documented
// there: packaging for npm, and scripts/node/register.ts, replace `deno.ts` with it.

import { readFileSync, readSync, writeSync } from "node:fs";
import { createRequire } from "node:module";
import { isatty } from "node:tty";
import { type Backend, readLine, writeAll } from "./streams.ts";
import { LibcUnavailableError, type NativeFunctions, type NativeSymbol, type NativeSymbols } from "./native.ts";

/**
 * Not imported: the import touches the standard streams, and Node then makes pipes non-blocking for every process that
 * has them.
 */
const { process, setImmediate } = globalThis as unknown as {
  process: NodeJS.Process;
  setImmediate: (callback: () => void) => void;
};

const O_NONBLOCK = 0o4000;

/** The standard streams that are blocking. Read before koffi is loaded, at which Node touches standard error. */
const blockingStreams = [0, 1, 2].filter((fd) => {
  const [, flags = ""] = /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"))!;
  return (parseInt(flags, 8) & O_NONBLOCK) === 0;
});

type NativeFunction = (...args: unknown[]) => unknown;

/** The part of koffi's interface that is used here. */
interface Koffi {
  load(path: string | null): {
    func(name: string, result: string, parameters: readonly string[]): NativeFunction & { async: NativeFunction };
    symbol(name: string, type: string): unknown;
  };
  decode(value: unknown, type: string): number | bigint;
  errno(): number;
  view(address: bigint, length: number): ArrayBuffer;
}

/** Maps our types to koffi's. */
const TYPES = { i32: "int32_t", u32: "uint32_t", usize: "uint64_t", isize: "int64_t", buffer: "void *", void: "void" };

let koffi: Koffi | undefined;
let libc: ReturnType<Koffi["load"]> | undefined;

/** The name that the dynamic linker looks up. */
const LIBC = "libc.so.6";

function open(file = LIBC): ReturnType<Koffi["load"]> {
  try {
    // An import would put koffi into Deno's module graph, of which this file is a part whenever it is checked.
    koffi ??= createRequire(import.meta.url)("koffi") as Koffi;
  } catch (error) {
    throw new LibcUnavailableError(`tcphup calls glibc through the npm package koffi: ${firstLine(error)}`, {
      cause: error,
    });
  }
  try {
    return koffi.load(file);
  } catch (error) {
    throw new LibcUnavailableError(`tcphup needs glibc on Linux: ${firstLine(error)}`, { cause: error });
  }
}

function firstLine(error: unknown): string {
  return (error as Error).message.replace(/\n.*/s, "");
}

/** @throws {LibcUnavailableError} When there is no koffi or no glibc to load, or glibc lacks a symbol. */
export function load<const S extends NativeSymbols>(symbols: S, file: string = LIBC): NativeFunctions<S> {
  libc ??= open();
  const library = file === LIBC ? libc : open(file);
  const functions = Object.entries(symbols).map(([name, symbol]) => [name, bind(library, name, symbol)]);
  return Object.fromEntries(functions) as NativeFunctions<S>;
}

function bind(
  library: ReturnType<Koffi["load"]>,
  key: string,
  { name = key, parameters, result }: NativeSymbol,
): NativeFunction {
  try {
    const call = library.func(name, TYPES[result], parameters.map((type) => TYPES[type]));
    // koffi returns a 64-bit integer as a number when a number holds it.
    return result === "usize" || result === "isize" ? (...args) => BigInt(call(...args) as number | bigint) : call;
  } catch (error) {
    throw new LibcUnavailableError(`glibc lacks ${name}: ${firstLine(error)}`, { cause: error });
  }
}

/** Does nothing: koffi keeps errno by itself. */
export function prepareErrno(): void {}

export function errno(): number {
  return koffi!.errno();
}

export function memoryAt(address: bigint, length: number): ArrayBuffer {
  return koffi!.view(address, length);
}

let pollElsewhere: NativeFunction | undefined;

export function closeInBackground(fd: number): void {
  libc ??= open();
  libc.func("close", TYPES.i32, [TYPES.i32]).async(fd, () => {});
}

const streams: Backend = {
  load,
  write: (stream, bytes) => writeSync(stream, bytes),
  read: (bytes) => readSync(0, bytes),
};

/** From <asm-generic/ioctls.h>. */
const TIOCGWINSZ = 0x5413n;

export const host = {
  args: process.argv.slice(2) as readonly string[],

  get selfCommand(): readonly [program: string, ...args: string[]] {
    return [process.execPath, ...process.execArgv, process.argv[1]!];
  },

  pid: process.pid,

  get parent(): number {
    return process.ppid;
  },

  /** Returns whether the runtime, when it starts, changes how a signal was disposed of: it resets them all. */
  resets(_signal: number): boolean {
    return true;
  },

  blockingStreams: blockingStreams as readonly number[],

  marksInherited: true,

  arch: (({ x64: "x86_64", arm64: "aarch64" } as Record<string, string>)[process.arch] ?? process.arch) as
    | "x86_64"
    | "aarch64",

  write(stream: 1 | 2, text: string): boolean {
    return writeAll(streams, stream, text);
  },

  readLine(): string | null {
    return readLine(streams);
  },

  isTerminal(stream: 0 | 1 | 2): boolean {
    return isatty(stream);
  },

  terminalSize(): { columns: number; rows: number } | null {
    // Node tells the size of its own stream objects only, and to make one changes the terminal's flags.
    const { ioctl } = load({ ioctl: { parameters: ["i32", "usize", "buffer"], result: "i32" } });
    const winsize = new Uint8Array(8);
    if (![1, 2, 0].some((stream) => ioctl(stream, TIOCGWINSZ, winsize) === 0)) return null;
    const [rows, columns] = new Uint16Array(winsize.buffer);
    return { columns: columns!, rows: rows! };
  },

  get terminalType(): string {
    return process.env.TERM ?? "";
  },

  noColor: Boolean(process.env.NO_COLOR),

  onSignal(signal: "SIGINT" | "SIGTERM" | "SIGWINCH", listener: () => void): () => void {
    process.on(signal, listener);
    return () => void process.off(signal, listener);
  },

  async yieldToEvents(): Promise<void> {
    // Node delivers signals between two rounds of immediates.
    for (let i = 0; i < 2; i++) await new Promise<void>((resolve) => setImmediate(resolve));
  },

  async poll(fds: Int32Array<ArrayBuffer>, timeoutMs: number): Promise<void> {
    libc ??= open();
    pollElsewhere ??= libc.func("poll", "int", ["void *", "uint64_t", "int"]).async;
    await new Promise<void>((resolve) => pollElsewhere!(fds, fds.length / 2, timeoutMs, () => resolve()));
  },

  environ(): bigint {
    libc ??= open();
    // Node's program has a copy of the variable, and glibc uses that one. null: what the dynamic linker finds first.
    return BigInt(koffi!.decode(koffi!.load(null).symbol("environ", "uint64_t"), "uint64_t"));
  },

  exit(code: number): never {
    return process.exit(code);
  },
};
