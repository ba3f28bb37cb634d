// Dumps of several network namespaces at once. The kernel keeps the connections of all namespaces in one table and goes
// through the whole of it for each dump, so that a dump of a small namespace takes as long as one of a large one. Asked for
// at once, they take turns on all processors.

import { transferAtOnce } from "../../ffi/aio.ts";
import { type Descriptor, IPPROTO_TCP, isSyscallError } from "../../ffi/libc.ts";
import { allocate } from "../../ffi/memory.ts";
import { InetDiagMsg } from "../netlink/inet_diag.ts";
import { NLMSG_DONE, NLMSG_ERROR, NLMSGHDR_SIZE } from "../netlink/message.ts";
import { type DumpRequest, encodeDump, readDatagram, type SockDiag } from "./sock_diag.ts";

/** What can list the sockets of a namespace. */
export type Dumper = Pick<SockDiag, "dump">;

/** The kernel sends no longer datagrams to a reader of so many bytes. */
const BUFFER_SIZE = 32 * 1024;

/** Memory for as many datagrams as were ever waited for at once. */
const buffers: Uint8Array[] = [];

const SEQUENCE = 1;

/** A dump that was asked for. */
interface Asked {
  readonly netlink: Descriptor;
  readonly request: DumpRequest;
  readonly buffer: Uint8Array;
  readonly datagrams: Uint8Array[];
  /** Whether its last datagram has come, or none that can be used. */
  over: boolean;
  failed: boolean;
}

/**
 * Asks for dumps of several namespaces, and collects what comes.
 *
 * @param asked A netlink socket of each namespace, which is closed, and what to ask of it.
 * @returns For each the datagrams of the whole dump, or null where something went wrong: then it is to be asked again.
 */
export function collect(
  asked: readonly { readonly netlink: Descriptor; readonly request: DumpRequest }[],
): (Uint8Array[] | null)[] {
  const dumps: Asked[] = asked.map((one, i) => ({
    ...one,
    buffer: buffers[i] ??= allocate(BUFFER_SIZE),
    datagrams: [],
    over: false,
    failed: false,
  }));
  try {
    send(dumps);
    for (let left = dumps; (left = left.filter(({ over }) => !over)).length > 0;) receive(left);
  } finally {
    for (const { netlink } of asked) netlink.close();
  }
  return dumps.map(({ datagrams, failed }) => failed ? null : datagrams);
}

function send(dumps: readonly Asked[]): void {
  const messages = dumps.map(({ request }) => {
    const message = encodeDump(request, SEQUENCE);
    const memory = allocate(message.length);
    memory.set(message);
    return memory;
  });
  const sent = transferAtOnce(dumps.map(({ netlink }, i) => ({ kind: "write", file: netlink, memory: messages[i] })));
  dumps.forEach((dump, i) => {
    if (sent[i] !== messages[i].length) fail(dump);
  });
}

function receive(dumps: readonly Asked[]): void {
  const received = transferAtOnce(
    dumps.map(({ netlink, buffer }) => ({ kind: "read", file: netlink, memory: buffer })),
  );
  dumps.forEach((dump, i) => {
    const length = received[i];
    if (typeof length !== "number" || length === 0) return fail(dump);
    dump.datagrams.push(dump.buffer.slice(0, length));
    dump.over = isLast(new DataView(dump.buffer.buffer, 0, length));
  });
}

function fail(dump: Asked): void {
  dump.over = true;
  dump.failed = true;
}

/** Whether a datagram ends with the message that ends a dump, or cannot be read to its end. */
function isLast(view: DataView): boolean {
  for (let offset = 0; offset + NLMSGHDR_SIZE <= view.byteLength;) {
    const length = view.getUint32(offset, true);
    const type = view.getUint16(offset + 4, true);
    if (type === NLMSG_DONE || type === NLMSG_ERROR) return true;
    if (length < NLMSGHDR_SIZE || offset + length > view.byteLength) return true;
    offset += (length + 3) & ~3;
  }
  return false;
}

/** A dump that was collected: what was asked, and the datagrams that came. */
export interface Collection {
  readonly request: DumpRequest;
  readonly datagrams: readonly Uint8Array[];
}

/** A namespace of which some dumps have been collected; for all others it is asked anew. */
export class Collected implements Dumper {
  readonly #collections: readonly Collection[];
  readonly #diag: Dumper;
  readonly #row = new InetDiagMsg();

  constructor(collections: readonly Collection[], diag: Dumper) {
    this.#collections = collections;
    this.#diag = diag;
  }

  /** As SockDiag has it: a dump that turns out to have been disturbed, or to have failed, is asked for anew. */
  dump(request: DumpRequest, each: (row: InetDiagMsg) => void): void {
    const collection = this.#collections.find((collection) => isSame(request, collection.request));
    try {
      if (collection && this.#replay(collection, each)) return;
    } catch (error) {
      if (!isSyscallError(error)) throw error;
    }
    this.#diag.dump(request, each);
  }

  /** Returns whether the dump was whole. */
  #replay({ datagrams }: Collection, each: (row: InetDiagMsg) => void): boolean {
    let whole = true;
    for (const { buffer, byteOffset, length } of datagrams) {
      const left = readDatagram(new DataView(buffer, byteOffset, length), SEQUENCE, this.#row, each);
      if (left === "end") return whole;
      if (left !== "more") whole = false;
    }
    return false;
  }
}

/** A namespace without TCP sockets, of which that is known. */
export class WithoutTcp implements Dumper {
  readonly #diag: Dumper;

  constructor(diag: Dumper) {
    this.#diag = diag;
  }

  dump(request: DumpRequest, each: (row: InetDiagMsg) => void): void {
    if (request.protocol !== IPPROTO_TCP) this.#diag.dump(request, each);
  }
}

function isSame(a: DumpRequest, b: DumpRequest): boolean {
  return a.family === b.family && a.protocol === b.protocol && a.states === b.states && a.bytecode === b.bytecode &&
    a.extensions === b.extensions;
}
