// aio(7): reads and writes that glibc does in threads of its own, so that the kernel works on several processors while
// the caller does something else.

import { errno } from "./deno.ts";
import { EINTR } from "./errno.ts";
import type { Descriptor } from "./descriptor.ts";
import { lazily } from "./call.ts";
import { addressOf, allocate } from "./memory.ts";
import { beginCall, endCall } from "./progress.ts";
import { LibcUnavailableError } from "./native.ts";

/** glibc has these symbols in libc.so.6 since 2.34, and before in librt. */
const aioSymbols = lazily({
  lio_listio: { parameters: ["i32", "buffer", "i32", "usize"], result: "i32" },
  aio_suspend: { parameters: ["buffer", "i32", "usize"], result: "i32" },
  aio_error: { parameters: ["usize"], result: "i32" },
  aio_return: { parameters: ["usize"], result: "isize" },
  aio_init: { parameters: ["buffer"], result: "void" },
  get_nprocs: { parameters: [], result: "i32" },
});

/** sizeof(struct aiocb) with pointers of 64 bits, and the offsets of the fields that the caller fills. */
const AIOCB_SIZE = 168;
const AIO = { fildes: 0, lio_opcode: 4, buf: 16, nbytes: 24, sigev_notify: 44 } as const;

const LIO_NOWAIT = 1;
const LIO_READ = 0;
const LIO_WRITE = 1;
const SIGEV_NONE = 1;
const EINPROGRESS = 115;

/** A read(2) or write(2) to be done by a thread of glibc's. */
export interface Transfer {
  readonly kind: "read" | "write";
  readonly file: Descriptor;
  /** Memory from `allocate`. A write takes all of it; a read fills as much of it as comes. */
  readonly memory: Uint8Array;
}

let prepared = false;

/** Has glibc use twice as many threads as processors, so that no processor waits for a thread to be woken. */
function prepare(): void {
  const { aio_init, get_nprocs } = aioSymbols();
  // struct aioinit {int aio_threads, aio_num, aio_locks, aio_usedba, aio_debug, aio_numusers, aio_idle_time, aio_reserved}
  if (!prepared) aio_init(Int32Array.of(2 * get_nprocs(), 64, 0, 0, 0, 0, 1, 0));
  prepared = true;
}

/** Returns whether glibc has aio(7). To be called before the first transfer. */
export function canTransfer(): boolean {
  try {
    prepare();
    return true;
  } catch (error) {
    if (error instanceof LibcUnavailableError) return false;
    throw error;
  }
}

/**
 * Transfers that are under way. Transfers of one file are done in the order given, those of several files at once. Their
 * descriptors and memory must not be touched until `wait` has returned.
 */
export class Transfers {
  /** The control blocks that glibc writes to, and the memory that they point at. */
  readonly #kept: readonly Uint8Array[];
  /** The address of each `struct aiocb`. */
  readonly #pointers: BigUint64Array;

  /** Starts `transfers`. */
  constructor(transfers: readonly Transfer[]) {
    const blocks = allocate(transfers.length * AIOCB_SIZE);
    const view = new DataView(blocks.buffer);
    transfers.forEach(({ kind, file, memory }, i) => {
      const block = i * AIOCB_SIZE;
      view.setInt32(block + AIO.fildes, file.number, true);
      view.setInt32(block + AIO.lio_opcode, kind === "read" ? LIO_READ : LIO_WRITE, true);
      view.setBigUint64(block + AIO.buf, addressOf(memory), true);
      view.setBigUint64(block + AIO.nbytes, BigInt(memory.length), true);
      view.setInt32(block + AIO.sigev_notify, SIGEV_NONE, true);
    });
    const base = addressOf(blocks);
    this.#kept = [blocks, ...transfers.map(({ memory }) => memory)];
    this.#pointers = BigUint64Array.from(transfers, (_, i) => base + BigInt(i * AIOCB_SIZE));
    underWay.add(this.#kept);
    // aio_error(3) of a transfer says when it could not be started.
    aioSymbols().lio_listio(LIO_NOWAIT, this.#pointers, transfers.length, 0n);
  }

  /** Waits for transfer `i`. Returns the bytes read or written, or null when it failed. */
  bytes(i: number): number | null {
    const { aio_error, aio_return } = aioSymbols();
    this.#waitFor(i);
    const pointer = this.#pointers[i]!;
    return aio_error(pointer) === 0 ? Number(aio_return(pointer)) : null;
  }

  /** Waits for all transfers. */
  wait(): void {
    for (let i = 0; i < this.#pointers.length; i++) this.#waitFor(i);
    underWay.delete(this.#kept);
  }

  /** Waits for transfer `i`. A signal interrupts aio_suspend(3), not the transfer. */
  #waitFor(i: number): void {
    const { aio_suspend, aio_error } = aioSymbols();
    while (aio_error(this.#pointers[i]!) === EINPROGRESS) {
      const pointer = this.#pointers.subarray(i, i + 1);
      beginCall();
      const result = aio_suspend(pointer, 1, 0n);
      endCall();
      if (result === -1 && errno() !== EINTR) return;
    }
  }
}

/** Memory that glibc's threads use: the reference keeps the garbage collector from freeing it. */
const underWay = new Set<readonly Uint8Array[]>();
