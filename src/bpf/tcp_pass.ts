// Reads and sets options of many TCP sockets in one pass.

import { BPF_MAP_TYPE_HASH, mapCreate, mapUpdateBatch } from "../../ffi/bpf.ts";
import { prepared, withOpen, withTracked } from "../../ffi/closing.ts";
import type { Descriptor } from "../../ffi/descriptor.ts";
import type { SockId } from "../linux/netlink/inet_diag.ts";
import { UnsupportedError } from "../model/errors.ts";
import { Assembler, R0 } from "./assembler.ts";
import { CANNOT_READ_LISTED } from "./explain.ts";
import { loadIterator, readRows } from "./iterator.ts";
import { kernelTypes } from "./kernel_types.ts";
import {
  compileTcpIterator,
  encodeWantedSocket,
  type FoundSocket,
  type Pass,
  RowDecoder,
  WANTED_SIZE,
} from "./tcp_iterator.ts";

/**
 * Makes a pass over the sockets of network namespaces. Needs CAP_BPF and CAP_PERFMON.
 *
 * @param inEach Calls `work` in each network namespace that has wanted sockets.
 * @param each Gets the place of each wanted socket that is there, with the ends that are given. A socket may come twice:
 * where others come and go the kernel may begin some of them anew.
 * @throws {UnsupportedError} When the kernel does not tell its types, or options of no socket: then nothing has been set.
 * @throws {SyscallError} When the kernel refuses a call.
 * @throws {VerifierError} When the kernel refuses the program: before Linux 5.15.
 */
export function passOver(
  wanted: readonly SockId[],
  pass: Pass,
  inEach: (work: () => void) => void,
  each: (place: number, found: FoundSocket) => void,
): void {
  withTracked((track) => {
    const map = track(mapOf(wanted));
    const program = track(loadIterator("bpf_iter_tcp", compileTcpIterator(pass, map.number, kernelTypes())));
    if (pass.steps !== null) inEach(lockEach);
    const decoder = new RowDecoder(pass);
    let [rows, unread] = [0, 0];
    inEach(() =>
      readRows(program, decoder.rowSize, (row) => {
        const found = decoder.decode(row);
        rows++;
        if (found.status === "unread") unread++;
        each(decoder.place(row), found);
      })
    );
    if (rows > 0 && unread === rows) throw new UnsupportedError(CANNOT_READ_LISTED);
  });
}

/** Has the kernel lock each socket, so that a lock that is never to be had is met before anything is set. */
function lockEach(): void {
  const nothing = new Assembler();
  nothing.move(R0, 0);
  nothing.exit();
  withOpen(loadIterator("bpf_iter_tcp", nothing.assemble()), (program) => readRows(program, 1, () => {}));
}

function mapOf(wanted: readonly SockId[]): Descriptor {
  const { length } = wanted;
  const keys = new BigUint64Array(wanted.map(({ cookie }) => cookie));
  const values = new Uint8Array(length * WANTED_SIZE);
  const view = new DataView(values.buffer);
  wanted.forEach((socket, i) => encodeWantedSocket(socket, i, view, i * WANTED_SIZE));
  const map = mapCreate({
    type: BPF_MAP_TYPE_HASH,
    name: "tcphup_sockets",
    keySize: 8,
    valueSize: WANTED_SIZE,
    maxEntries: Math.max(1, length),
  });
  return prepared(map, () => length > 0 && mapUpdateBatch(map, new Uint8Array(keys.buffer), values, length));
}
