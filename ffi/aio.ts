// aio(7): several reads or writes at once, each in a thread that glibc keeps for it. What the kernel has to compute for
// them it computes on several processors, while the caller waits for all.

import { errno } from "./deno.ts";
import { EINTR, SyscallError } from "./errno.ts";
import { type Descriptor, lazily } from "./libc.ts";
import { addressOf, allocate } from "./memory.ts";
import { LibcUnavailable } from "./native.ts";

/** glibc has them in libc.so.6 since 2.34, before in a library of their own. */
const queueing = lazily({
  lio_listio: { parameters: ["i32", "buffer", "i32", "usize"], result: "i32" },
  aio_suspend: { parameters: ["buffer", "i32", "usize"], result: "i32" },
  aio_error: { parameters: ["usize"], result: "i32" },
  aio_return: { parameters: ["usize"], result: "isize" },
});

/** sizeof(struct aiocb) where pointers have 64 bits, and where in it the fields are that the caller fills. */
const AIOCB_SIZE = 168;
const AIO = { fildes: 0, lio_opcode: 4, buf: 16, nbytes: 24, sigev_notify: 44 } as const;

const LIO_WAIT = 0;
const LIO_READ = 0;
const LIO_WRITE = 1;
const SIGEV_NONE = 1;
const EINPROGRESS = 115;

/** One read(2) or write(2). */
export interface Transfer {
  readonly kind: "read" | "write";
  readonly file: Descriptor;
  /** Memory from `allocate`: all of it is written, or as much of it as comes is filled. */
  readonly memory: Uint8Array;
}

/** Whether several transfers can be done at once here. */
export function canTransferAtOnce(): boolean {
  try {
    queueing();
    return true;
  } catch (error) {
    if (error instanceof LibcUnavailable) return false;
    throw error;
  }
}

/** Does all of them at once, and waits. Returns for each the bytes that were read or written, or the error. */
export function transferAtOnce(transfers: readonly Transfer[]): (number | SyscallError)[] {
  const { lio_listio, aio_error, aio_return } = queueing();
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
  const pointers = BigUint64Array.from(transfers, (_, i) => base + BigInt(i * AIOCB_SIZE));
  // That one of them failed, each of them says for itself.
  lio_listio(LIO_WAIT, pointers, transfers.length, 0n);
  return transfers.map(({ kind }, i) => {
    waitFor(pointers.subarray(i, i + 1));
    const code = aio_error(pointers[i]);
    const result = Number(aio_return(pointers[i]));
    return code === 0 ? result : new SyscallError(kind, code);
  });
}

/** A signal ends the wait for all, but not the transfers: their memory is theirs until they are done. */
function waitFor(pointer: BigUint64Array): void {
  const { aio_suspend, aio_error } = queueing();
  while (aio_error(pointer[0]) === EINPROGRESS) {
    if (aio_suspend(pointer, 1, 0n) === -1 && errno() !== EINTR) return;
  }
}
