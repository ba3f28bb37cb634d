// glibc through koffi, and the process that tcphup itself is, for Node. It exports what `deno.ts` exports: packaging for
// npm, and scripts/node/register.ts, put this module in the place of that one.

import { readFileSync, readSync, writeSync } from "node:fs";
import { createRequire } from "node:module";
import { isatty } from "node:tty";
import { LibcUnavailable, type NativeFunctions, type NativeSymbol, type NativeSymbols } from "./native.ts";

/** Not imported: an import touches the standard streams, and Node makes pipes non-blocking, also for others who have them. */
const { process, setImmediate } = globalThis as unknown as {
  process: NodeJS.Process;
  setImmediate: (callback: () => void) => void;
};

const O_NONBLOCK = 0o4000;

/** Those of the standard streams that are blocking now, before koffi is loaded: with that, Node looks at its stderr. */
const blockingStreams = [0, 1, 2].filter((fd) => {
  const [, flags] = /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"))!;
  return (parseInt(flags, 8) & O_NONBLOCK) === 0;
});

type NativeFunction = (...args: unknown[]) => unknown;

/** What we use of koffi. */
interface Koffi {
  load(path: string): {
    func(name: string, result: string, parameters: readonly string[]): NativeFunction & { async: NativeFunction };
    symbol(name: string, type: string): unknown;
  };
  decode(value: unknown, type: string): number | bigint;
  errno(): number;
  view(address: bigint, length: number): ArrayBuffer;
}

/** koffi's names for our types. */
const TYPES = { i32: "int32_t", u32: "uint32_t", usize: "uint64_t", isize: "int64_t", buffer: "void *", void: "void" };

let koffi: Koffi | undefined;
let libc: ReturnType<Koffi["load"]> | undefined;

function open(): ReturnType<Koffi["load"]> {
  try {
    // An import would put koffi into Deno's module graph, of which this file is a part whenever it is checked.
    koffi ??= createRequire(import.meta.url)("koffi") as Koffi;
  } catch (error) {
    throw new LibcUnavailable(`tcphup calls glibc through the npm package koffi: ${firstLine(error)}`);
  }
  try {
    return koffi.load("libc.so.6");
  } catch (error) {
    throw new LibcUnavailable(`tcphup needs glibc on Linux: ${firstLine(error)}`);
  }
}

function firstLine(error: unknown): string {
  return (error as Error).message.split("\n")[0];
}

/**
 * Loads `symbols` from glibc.
 *
 * @throws {LibcUnavailable} When there is no koffi, or no glibc, to load.
 */
export function load<const S extends NativeSymbols>(symbols: S): NativeFunctions<S> {
  const functions = Object.entries(symbols).map(([name, symbol]) => [name, bind(name, symbol)]);
  return Object.fromEntries(functions) as NativeFunctions<S>;
}

function bind(key: string, { name = key, parameters, result }: NativeSymbol): NativeFunction {
  libc ??= open();
  const call = libc.func(name, TYPES[result], parameters.map((type) => TYPES[type]));
  // koffi returns 64 bits as a number where that holds them.
  return result === "usize" || result === "isize" ? (...args) => BigInt(call(...args) as number | bigint) : call;
}

/** Nothing is to be prepared: koffi can always tell. */
export function prepareErrno(): void {}

/** The calling thread's errno, which holds only directly after a call that returned −1. */
export function errno(): number {
  return koffi!.errno();
}

/** The memory at `address`, which must stay mapped for as long as the result is used. */
export function memoryAt(address: bigint, length: number): ArrayBuffer {
  return koffi!.view(address, length);
}

let pollElsewhere: NativeFunction | undefined;

const encoder = new TextEncoder();
const never = new Int32Array(new SharedArrayBuffer(4));

/** Has another thread call close(2). */
export function closeInBackground(fd: number): void {
  libc ??= open();
  libc.func("close", TYPES.i32, [TYPES.i32]).async(fd, () => {});
}

/** The code of a failed system call of Node's own, such as `EPIPE`. */
function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}

/** What `transfer` returns once a descriptor that was inherited non-blocking is ready for it. */
function whenReady(transfer: () => number): number {
  for (;;) {
    try {
      return transfer();
    } catch (error) {
      if (codeOf(error) !== "EAGAIN") throw error;
      Atomics.wait(never, 0, 0, 5);
    }
  }
}

/** From <asm-generic/ioctls.h>. */
const TIOCGWINSZ = 0x5413n;

/** tcphup's own process: arguments, standard streams, signals. */
export const host = {
  /** The arguments after the program's name. */
  args: process.argv.slice(2) as readonly string[],

  /** The command that starts this program once more: its arguments follow. */
  get selfCommand(): readonly string[] {
    return [process.execPath, ...process.execArgv, process.argv[1]];
  },

  /** This process's id. */
  pid: process.pid,

  /** The parent's process id, 0 for one that our pid namespace does not show. */
  get parent(): number {
    return process.ppid;
  },

  /** Whether the runtime, when it starts, does away with how a signal was disposed of: it resets them all. */
  resets(_signal: number): boolean {
    return true;
  },

  /** The standard streams that were blocking when the runtime started, and that it may have changed. */
  blockingStreams: blockingStreams as readonly number[],

  /** Whether the runtime marks the descriptors that it has inherited to be closed by execve(2). */
  marksInherited: true,

  /** `x86_64` or `aarch64`, as uname(2) spells them. */
  arch: ({ x64: "x86_64", arm64: "aarch64" } as Record<string, string>)[process.arch] ?? process.arch,

  /**
   * Writes all of `text` to standard output (1) or standard error (2).
   *
   * @returns `false` when the reader has closed its end; of standard error, when it failed for any reason, since what
   * tcphup does is not to depend on who can read about it.
   * @throws {Error} When standard output takes no more: on a full disk.
   */
  write(stream: 1 | 2, text: string): boolean {
    let bytes = encoder.encode(text);
    try {
      while (bytes.length > 0) bytes = bytes.subarray(whenReady(() => writeSync(stream, bytes)));
      return true;
    } catch (error) {
      if (stream === 2 || codeOf(error) === "EPIPE") return false;
      throw new Error(`Cannot write to standard output: ${(error as Error).message}`);
    }
  },

  /** Reads a line from standard input, without its end; null where there is none. */
  readLine(): string | null {
    const byte = new Uint8Array(1);
    const bytes: number[] = [];
    for (;;) {
      const count = whenReady(() => readSync(0, byte));
      if (count === 0 && bytes.length === 0) return null;
      if (count === 0 || byte[0] === 10) return new TextDecoder().decode(new Uint8Array(bytes));
      bytes.push(byte[0]);
    }
  },

  /** Whether standard input (0), output (1) or error (2) is a terminal. */
  isTerminal(stream: 0 | 1 | 2): boolean {
    return isatty(stream);
  },

  /** The terminal's width and height in characters, or null where there is none. */
  terminalSize(): { columns: number; rows: number } | null {
    // Node has the size only of streams of its own, whose making changes the terminal's flags.
    const { ioctl } = load({ ioctl: { parameters: ["i32", "usize", "buffer"], result: "i32" } });
    const winsize = new Uint8Array(8);
    if (![1, 2, 0].some((stream) => ioctl(stream, TIOCGWINSZ, winsize) === 0)) return null;
    const [rows, columns] = new Uint16Array(winsize.buffer);
    return { columns, rows };
  },

  /** What TERM says the terminal is; empty where it says nothing. */
  get terminalType(): string {
    return process.env.TERM ?? "";
  },

  /** Whether NO_COLOR is set. */
  noColor: Boolean(process.env.NO_COLOR),

  /** Calls `listener` on a signal, from the event loop, until the returned function is called. */
  onSignal(signal: "SIGINT" | "SIGTERM" | "SIGWINCH", listener: () => void): () => void {
    process.on(signal, listener);
    return () => void process.off(signal, listener);
  },

  /** Lets the event loop deliver what has come meanwhile, a signal for one, without waiting. */
  async yieldToEvents(): Promise<void> {
    // Signals come between one round's callbacks and the next one's.
    for (let i = 0; i < 2; i++) await new Promise<void>((resolve) => setImmediate(resolve));
  },

  /**
   * poll(2) in another thread, so that the event loop goes on meanwhile.
   *
   * @param fds A `struct pollfd` for each descriptor, two numbers of 32 bits. They are not to be touched before it returns.
   */
  async poll(fds: Int32Array<ArrayBuffer>, timeout_ms: number): Promise<void> {
    libc ??= open();
    pollElsewhere ??= libc.func("poll", "int", ["void *", "uint64_t", "int"]).async;
    await new Promise<void>((resolve) => pollElsewhere!(fds, fds.length / 2, timeout_ms, () => resolve()));
  },

  /** The address of this process's environment, as environ(7) has it. */
  environ(): bigint {
    libc ??= open();
    return BigInt(koffi!.decode(libc.symbol("environ", "uint64_t"), "uint64_t"));
  },

  /** Ends the process at once. */
  exit(code: number): never {
    return process.exit(code);
  },
};
