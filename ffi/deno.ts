// The only module that names `Deno`: glibc through `Deno.dlopen`, and the process that tcphup itself is.
// `node.ts` exports the same on koffi; packaging for npm maps this module to that one.

import { LibcUnavailableError, type NativeFunctions, type NativeSymbols } from "./native.ts";
import { type Backend, readLine, writeAll } from "./streams.ts";

/** The name that the dynamic linker looks up. */
const LIBC = "libc.so.6";

/**
 * Loads `symbols` from glibc. Each symbol costs about 0.3 ms of compilation, so callers load what a command needs.
 *
 * @param file The file of glibc that has them.
 * @throws {LibcUnavailableError} When there is no glibc, it lacks a symbol, or it may not be loaded.
 */
export function load<const S extends NativeSymbols>(symbols: S, file: string = LIBC): NativeFunctions<S> {
  try {
    const library = Deno.dlopen(file, symbols as unknown as Deno.ForeignLibraryInterface);
    return library.symbols as unknown as NativeFunctions<S>;
  } catch (error) {
    const { message } = error as Error;
    // When only paths are allowed, Deno takes the name for a path in the current directory.
    const allowed = !(error instanceof Deno.errors.NotCapable) && !message.includes(`/${file}`);
    throw new LibcUnavailableError(allowed ? `glibc, which is needed, cannot be loaded: ${message}` : FORBIDDEN, {
      cause: error,
    });
  }
}

/** With `--allow-ffi=PATH` Deno allows calls, but not to read the memory that they point to, such as errno. */
const FORBIDDEN = "glibc may not be called: run it with --allow-ffi, without a path";

let errnoView: Int32Array | undefined;

/** Prepares `errno()`. To be called before the first call whose errno is read. */
export function prepareErrno(): void {
  if (errnoView) return;
  const { __errno_location } = load({ __errno_location: { parameters: [], result: "usize" } });
  errnoView = new Int32Array(memoryAt(__errno_location(), 4));
}

/**
 * Returns the calling thread's errno, which is valid only directly after a call that returned −1: an allocation in
 * between may run the garbage collector, which makes system calls of its own.
 */
export function errno(): number {
  return errnoView![0]!;
}

/** Returns the memory at `address`, which must stay mapped for as long as the result is used. */
export function memoryAt(address: bigint, length: number): ArrayBuffer {
  return Deno.UnsafePointerView.getArrayBuffer(Deno.UnsafePointer.create(address)!, length);
}

const streams: Backend = {
  load,
  write: (stream, bytes) => (stream === 1 ? Deno.stdout : Deno.stderr).writeSync(bytes),
  read: (bytes) => Deno.stdin.readSync(bytes) ?? 0,
};

let closing: ((fd: number) => Promise<number>) | undefined;

/** Calls close(2) in another thread, and does not wait for it. */
export function closeInBackground(fd: number): void {
  closing ??= Deno.dlopen(LIBC, { close: { parameters: ["i32"], result: "i32", nonblocking: true } }).symbols.close;
  void closing(fd);
}

let yieldElsewhere: (() => Promise<unknown>) | undefined;
let pollElsewhere: ((fds: Int32Array<ArrayBuffer>, count: bigint, timeoutMs: number) => Promise<number>) | undefined;

/** The flags of V8 as in the first line of cli.ts. A compiled program has them in itself. */
const V8_FLAGS = "--v8-flags=--max-semi-space-size=2,--no-turbofan";

/** tcphup's own process: arguments, standard streams, signals. */
export const host = {
  /** The arguments after the program's name. */
  args: Deno.args as readonly string[],

  /** The command that starts this program once more, to which arguments are added. */
  get selfCommand(): readonly [program: string, ...args: string[]] {
    if (Deno.build.standalone) return [Deno.execPath()];
    // Keeps a deno.json of the current directory, or of one above the program's, from replacing our modules.
    const isolated = ["--no-config", "--no-lock", "--no-npm"];
    return [Deno.execPath(), "run", "--quiet", "--no-prompt", "--allow-ffi", V8_FLAGS, ...isolated, Deno.mainModule];
  },

  /** This process's id. */
  pid: Deno.pid as number,

  /** The parent's process id; 0 when the parent is outside our pid namespace. */
  get parent(): number {
    return Deno.ppid;
  },

  /** Returns whether the runtime, when it starts, changes how a signal was disposed of: it ignores SIGPIPE. */
  resets(signal: number): boolean {
    return signal === 13;
  },

  /** The standard streams that were blocking when the runtime started; it may have made them non-blocking since. */
  blockingStreams: [] as readonly number[],

  /** True when the runtime sets FD_CLOEXEC on the descriptors that it has inherited. */
  marksInherited: false,

  /** `x86_64` or `aarch64`, as uname(2) spells them. */
  arch: Deno.build.arch,

  /**
   * Writes all of `text` to standard output (1) or standard error (2).
   *
   * @returns `false` when the reader has closed its end. For standard error also when the write failed for any reason, or
   * nobody has read for a second: what tcphup does must not depend on a reader of its messages.
   * @throws {Error} When standard output cannot be written, as on a full disk.
   */
  write(stream: 1 | 2, text: string): boolean {
    return writeAll(streams, stream, text);
  },

  /** Reads a line from standard input and returns it without its newline; null at the end. */
  readLine(): string | null {
    return readLine(streams);
  },

  /** Returns whether standard input (0), output (1) or error (2) is a terminal. */
  isTerminal(stream: 0 | 1 | 2): boolean {
    return ([Deno.stdin, Deno.stdout, Deno.stderr] as const)[stream].isTerminal();
  },

  /** Returns the terminal's width and height in characters, or null without a terminal. */
  terminalSize(): { columns: number; rows: number } | null {
    try {
      return Deno.consoleSize();
    } catch {
      return null;
    }
  },

  /** The terminal's type, from TERM; empty when TERM is not set. */
  get terminalType(): string {
    const { getenv } = load({ getenv: { parameters: ["buffer"], result: "usize" } });
    const address = getenv(new TextEncoder().encode("TERM\0"));
    return address === 0n ? "" : Deno.UnsafePointerView.getCString(Deno.UnsafePointer.create(address)!);
  },

  /** True when NO_COLOR is set. */
  noColor: Deno.noColor as boolean,

  /** Calls `listener` on a signal, from the event loop, until the returned function is called. */
  onSignal(signal: "SIGINT" | "SIGTERM" | "SIGWINCH", listener: () => void): () => void {
    Deno.addSignalListener(signal, listener);
    return () => Deno.removeSignalListener(signal, listener);
  },

  /**
   * Lets the event loop deliver pending events, such as signals, without waiting. Two calls in another thread give it
   * the time; one call may be over too soon. A timer would cost 8 ms when it is the first, and setImmediate fires
   * before signals.
   */
  async yieldToEvents(): Promise<void> {
    yieldElsewhere ??= Deno.dlopen(LIBC, {
      sched_yield: { parameters: [], result: "i32", nonblocking: true },
    }).symbols.sched_yield;
    await yieldElsewhere();
    await yieldElsewhere();
  },

  /**
   * poll(2) in another thread, so that the event loop goes on meanwhile.
   *
   * @param fds A `struct pollfd` for each descriptor, as two numbers of 32 bits. Not to be touched before the promise resolves.
   */
  async poll(fds: Int32Array<ArrayBuffer>, timeoutMs: number): Promise<void> {
    pollElsewhere ??= Deno.dlopen(LIBC, {
      poll: { parameters: ["buffer", "usize", "i32"], result: "i32", nonblocking: true },
    }).symbols.poll;
    await pollElsewhere(fds, BigInt(fds.length / 2), timeoutMs);
  },

  /** Returns the address of this process's environment: environ(7). */
  environ(): bigint {
    // Deno reads a symbol that is declared with a type, and does not call it.
    return Deno.dlopen(LIBC, { environ: { type: "usize" } }).symbols.environ;
  },

  /** Ends the process at once. */
  exit(code: number): never {
    return Deno.exit(code);
  },
};
