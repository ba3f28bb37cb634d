// Loads programs that an iterator of the kernel runs, and reads what they write.

import { withOpen } from "../../ffi/closing.ts";
import { iteratorLoad, iteratorOpen } from "../../ffi/bpf.ts";
import type { Descriptor } from "../../ffi/descriptor.ts";
import { isSyscallError } from "../../ffi/errno.ts";
import { read } from "../../ffi/fs.ts";
import { kernelTypes } from "./kernel_types.ts";

/** Loads a program for an iterator, by the name of the iterator's function. */
export function loadIterator(iterator: Parameters<ReturnType<typeof kernelTypes>["id"]>[0], instructions: Uint8Array) {
  const attachBtfId = kernelTypes().id(iterator);
  return iteratorLoad({ name: "tcphup_iterator", attachBtfId, instructions });
}

/** More than the 8 pages that the kernel returns at once, so that no row comes in two parts. */
const CHUNK = 256 * 1024;

/** Runs the program on all objects, and calls `each` with each row that it writes. The view is valid during the call. */
export function readRows(program: Descriptor, rowSize: number, each: (row: DataView) => void): void {
  const buffer = new Uint8Array(CHUNK);
  withOpen(iteratorOpen(program), (iterator) => {
    for (let length; (length = readSome(iterator, buffer)) > 0;) {
      for (let at = 0; at + rowSize <= length; at += rowSize) each(new DataView(buffer.buffer, at, rowSize));
    }
  });
}

function readSome(iterator: Descriptor, buffer: Uint8Array): number {
  for (;;) {
    try {
      return read(iterator, buffer);
    } catch (error) {
      // The kernel pauses after a million objects without a row.
      if (!isSyscallError(error, "EAGAIN")) throw error;
    }
  }
}
