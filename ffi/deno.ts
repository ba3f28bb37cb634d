// The only module that names `Deno`: glibc through `Deno.dlopen`, and the process that tcphup itself is.
// `node.ts` exports the same on koffi; packaging for npm maps this module to that one.

import { LibcUnavailable, type NativeFunctions, type NativeSymbols } from "./native.ts";
import { type Backend, readLine, writeAll } from "./streams.ts";

/** The dynamic linker knows where it is. */
const LIBC = "libc.so.6";

/**
 * Loads `symbols` from glibc. Each costs about 0.3 ms of compilation, so callers load what a command needs.
 *
 * @throws {LibcUnavailable} When there is no glibc, or it may not be loaded.
 */
export function load<const S extends NativeSymbols>(symbols: S): NativeFunctions<S> {
  try {
    const library = Deno.dlopen(LIBC, symbols as unknown as Deno.ForeignLibraryInterface);
    return library.symbols as unknown as NativeFunctions<S>;
  } catch (error) {
    const { message } = error as Error;
    // Where only paths are allowed, Deno makes one of the name.
    const allowed = !(error instanceof Deno.errors.NotCapable) && !message.includes(`/${LIBC}`);
    throw new LibcUnavailable(allowed ? `glibc, which is needed, cannot be loaded: ${message}` : FORBIDDEN);
  }
}

/** With a path Deno allows calls, but not to read what they point to, such as errno. */
const FORBIDDEN = "glibc may not be called: run it with --allow-ffi, without a path";

let errnoView: Int32Array | undefined;

/** Makes `errno()` ready, before the first call whose failure is asked about. */
export function prepareErrno(): void {
  if (errnoView) return;
  const { __errno_location } = load({ __errno_location: { parameters: [], result: "usize" } });
  errnoView = new Int32Array(memoryAt(__errno_location(), 4));
}

/**
 * The calling thread's errno. It holds only directly after a call that returned −1: an allocation in between may
 * run the garbage collector, which makes system calls of its own.
 */
export function errno(): number {
  return errnoView![0];
}

/** The memory at `address`, which must stay mapped for as long as the result is used. */
export function memoryAt(address: bigint, length: number): ArrayBuffer {
  return Deno.UnsafePointerView.getArrayBuffer(Deno.UnsafePointer.create(address)!, length);
}

const streams: Backend = {
  load,
  write: (stream, bytes) => (stream === 1 ? Deno.stdout : Deno.stderr).writeSync(bytes),
  read: (bytes) => Deno.stdin.readSync(bytes) ?? 0,
  isBlocked: (error) => error instanceof Deno.errors.WouldBlock,
  isBroken: (error) => error instanceof Deno.errors.BrokenPipe,
};

let closing: ((fd: number) => Promise<number>) | undefined;

/** Has another thread call close(2). */
export function closeInBackground(fd: number): void {
  closing ??= Deno.dlopen(LIBC, { close: { parameters: ["i32"], result: "i32", nonblocking: true } }).symbols.close;
  void closing(fd);
}

let yieldElsewhere: (() => Promise<unknown>) | undefined;
let pollElsewhere: ((fds: Int32Array<ArrayBuffer>, count: bigint, timeout_ms: number) => Promise<number>) | undefined;

/** tcphup's own process: arguments, standard streams, signals. */
export const host = {
  /** The arguments after the program's name. */
  args: Deno.args as readonly string[],

  /** The command that starts this program once more: its arguments follow. */
  get selfCommand(): readonly string[] {
    if (Deno.build.standalone) return [Deno.execPath()];
    // No deno.json of the current directory, or of one above the program's, is to put other modules in the place of ours.
    const isolated = ["--no-config", "--no-lock", "--no-npm"];
    return [Deno.execPath(), "run", "--quiet", "--no-prompt", "--allow-ffi", ...isolated, Deno.mainModule];
  },

  /** This process's id. */
  pid: Deno.pid as number,

  /** The parent's process id, 0 for one that our pid namespace does not show. */
  get parent(): number {
    return Deno.ppid;
  },

  /** Whether the runtime, when it starts, does away with how a signal was disposed of: it ignores SIGPIPE. */
  resets(signal: number): boolean {
    return signal === 13;
  },

  /** The standard streams that were blocking when the runtime started, and that it may have changed. */
  blockingStreams: [] as readonly number[],

  /** Whether the runtime marks the descriptors that it has inherited to be closed by execve(2). */
  marksInherited: false,

  /** `x86_64` or `aarch64`, as uname(2) spells them. */
  arch: Deno.build.arch as string,

  /**
   * Writes all of `text` to standard output (1) or standard error (2).
   *
   * @returns `false` when the reader has closed its end; of standard error, when it failed for any reason, or nobody has
   * read it for a second, since what tcphup does is not to depend on who can read about it.
   * @throws {Error} When standard output takes no more: on a full disk.
   */
  write(stream: 1 | 2, text: string): boolean {
    return writeAll(streams, stream, text);
  },

  /** Reads a line from standard input, without its end; null where there is none. */
  readLine(): string | null {
    return readLine(streams);
  },

  /** Whether standard input (0), output (1) or error (2) is a terminal. */
  isTerminal(stream: 0 | 1 | 2): boolean {
    return [Deno.stdin, Deno.stdout, Deno.stderr][stream].isTerminal();
  },

  /** The terminal's width and height in characters, or null where there is none. */
  terminalSize(): { columns: number; rows: number } | null {
    try {
      return Deno.consoleSize();
    } catch {
      return null;
    }
  },

  /** What TERM says the terminal is; empty where it says nothing. */
  get terminalType(): string {
    const { getenv } = load({ getenv: { parameters: ["buffer"], result: "usize" } });
    const address = getenv(new TextEncoder().encode("TERM\0"));
    return address === 0n ? "" : Deno.UnsafePointerView.getCString(Deno.UnsafePointer.create(address)!);
  },

  /** Whether NO_COLOR is set. */
  noColor: Deno.noColor as boolean,

  /** Calls `listener` on a signal, from the event loop, until the returned function is called. */
  onSignal(signal: "SIGINT" | "SIGTERM" | "SIGWINCH", listener: () => void): () => void {
    Deno.addSignalListener(signal, listener);
    return () => Deno.removeSignalListener(signal, listener);
  },

  /**
   * Lets the event loop deliver what has come meanwhile, a signal for one, without waiting. It does that while another
   * thread makes a call, twice, for the first may be over too soon. The first timer would cost 8 ms, and setImmediate
   * comes round before signals do.
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
   * @param fds A `struct pollfd` for each descriptor, two numbers of 32 bits. They are not to be touched before it returns.
   */
  async poll(fds: Int32Array<ArrayBuffer>, timeout_ms: number): Promise<void> {
    pollElsewhere ??= Deno.dlopen(LIBC, {
      poll: { parameters: ["buffer", "usize", "i32"], result: "i32", nonblocking: true },
    }).symbols.poll;
    await pollElsewhere(fds, BigInt(fds.length / 2), timeout_ms);
  },

  /** The address of this process's environment, as environ(7) has it. */
  environ(): bigint {
    // A symbol that is no function is read, not called.
    return Deno.dlopen(LIBC, { environ: { type: "usize" } }).symbols.environ;
  },

  /** Ends the process at once. */
  exit(code: number): never {
    return Deno.exit(code);
  },
};
