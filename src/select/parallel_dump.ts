// Dumps of several network namespaces at once. The kernel keeps the connections of all namespaces in one table and goes
// through the whole of it for each dump, so that a dump of a small namespace takes as long as one of a large one. Asked for
// ahead, they take turns on all processors, while this thread does something else.

import { type Transfer, Transfers } from "../../ffi/aio.ts";
import { isSyscallError } from "../../ffi/errno.ts";
import { IPPROTO_TCP, recv } from "../../ffi/socket.ts";
import type { Descriptor } from "../../ffi/descriptor.ts";
import { allocate } from "../../ffi/memory.ts";
import { noteDump } from "../../ffi/progress.ts";
import { extension, INET_DIAG_INFO, InetDiagMsg } from "../linux/netlink/inet_diag.ts";
import { type DumpRequest, encodeDump, readSockets, type SockDiag } from "../linux/netlink/sock_diag.ts";

/** What can list the sockets of a namespace. */
export type Dumper = Pick<SockDiag, "dump">;

/** The kernel sends no longer datagrams, and those only to a socket that has been read into so many bytes. */
const BUFFER_SIZE = 32 * 1024;

/** How many reads a dump is given ahead: with rows in it, its end comes in a datagram of its own. */
const READS = { tcp: 3, mptcp: 2 } as const;

/** Dumps of one namespace that the kernel is busy with, one after the other. */
export class ParallelDump {
  readonly #netlink: Descriptor;
  readonly #requests: readonly DumpRequest[];
  readonly #steps: readonly Transfer[];
  readonly #transfers: Transfers;

  /**
   * Asks for them.
   *
   * @param netlink A netlink socket of the namespace, which is taken over. It must not block: a read for which there is
   * nothing left is to fail.
   */
  constructor(netlink: Descriptor, requests: readonly DumpRequest[]) {
    this.#netlink = netlink;
    this.#requests = requests;
    this.#steps = requests.flatMap((request, i) => {
      const reads = request.protocol === IPPROTO_TCP ? READS.tcp : READS.mptcp;
      return [
        { kind: "write", file: netlink, memory: messageOf(request, i) },
        ...Array.from({ length: reads }, () => ({ kind: "read", file: netlink, memory: takeBuffer() })),
      ] as Transfer[];
    });
    this.#transfers = new Transfers(this.#steps);
  }

  /** Waits for them. What needs to be asked anew, `diag` is asked. */
  collect(diag: Dumper): DumpReplay {
    noteDump(this.#requests.some(({ extensions }) => (extensions & extension(INET_DIAG_INFO)) !== 0));
    const datagrams: Uint8Array[] = [];
    let bytes: number | null = null;
    this.#steps.forEach(({ kind, memory }, i) => {
      bytes = this.#transfers.bytes(i);
      if (kind === "read" && bytes !== null) datagrams.push(memory.subarray(0, bytes));
    });
    // A long dump goes on from here: while it lasts, the kernel has refused those behind it.
    if (bytes !== null) datagrams.push(...this.#rest());
    return new DumpReplay(this.#requests.map((request, i) => ({ request, sequence: sequenceOf(i), datagrams })), diag);
  }

  /** What there is to read still. */
  #rest(): Uint8Array[] {
    const datagrams: Uint8Array[] = [];
    try {
      for (;;) {
        const buffer = new Uint8Array(BUFFER_SIZE);
        datagrams.push(buffer.subarray(0, recv(this.#netlink, buffer, 0)));
      }
    } catch (error) {
      // Whether it is whole, its last datagram says.
      if (!isSyscallError(error)) throw error;
    }
    return datagrams;
  }

  /** To be called when what was collected is no longer needed. */
  close(): void {
    this.#transfers.wait();
    this.#netlink.close();
    for (const { kind, memory } of this.#steps) if (kind === "read") free.push(memory);
  }
}

/** Each dump of a socket has a number of its own, so that a datagram that comes late is not taken for another's. */
function sequenceOf(i: number): number {
  return i + 1;
}

/** The messages of each request, by its place among those of its socket: many namespaces are asked the same. */
const messages = new WeakMap<DumpRequest, Uint8Array[]>();

function messageOf(request: DumpRequest, i: number): Uint8Array {
  let known = messages.get(request);
  if (known === undefined) messages.set(request, known = []);
  return known[i] ??= inPlace(encodeDump(request, sequenceOf(i)));
}

function inPlace(bytes: Uint8Array): Uint8Array {
  const memory = allocate(bytes.length);
  memory.set(bytes);
  return memory;
}

/** Buffers that nobody uses. */
const free: Uint8Array[] = [];
/** They are taken in pieces so large that the system gives memory for what is written to only. */
const PIECE = 128;

function takeBuffer(): Uint8Array {
  if (free.length === 0) {
    const piece = allocate(PIECE * BUFFER_SIZE);
    for (let i = PIECE - 1; i >= 0; i--) free.push(piece.subarray(i * BUFFER_SIZE, (i + 1) * BUFFER_SIZE));
  }
  return free.pop()!;
}

/** A dump that was collected: what was asked, and the datagrams that came, those of other dumps among them. */
export interface Collection {
  readonly request: DumpRequest;
  readonly sequence: number;
  readonly datagrams: readonly Uint8Array[];
}

/**
 * A namespace of which some dumps have been collected; for all others it is asked anew, and for all that come after one of
 * TCP for which it was.
 */
export class DumpReplay implements Dumper {
  readonly #collections: Collection[];
  readonly #diag: Dumper;
  readonly #row = new InetDiagMsg();
  #isAnew = false;

  constructor(collections: readonly Collection[], diag: Dumper) {
    this.#collections = [...collections];
    this.#diag = diag;
  }

  /** As SockDiag has it: a dump that turns out to have been disturbed, or to have failed, is asked for anew. */
  dump(request: DumpRequest, each: (row: InetDiagMsg) => void): void {
    const collection = this.#take(request);
    try {
      if (collection && !this.#isAnew && this.#replay(collection, each)) return;
    } catch (error) {
      if (!isSyscallError(error)) throw error;
    }
    // What MPTCP connections there are is asked again after that.
    if (collection && request.protocol === IPPROTO_TCP) this.#isAnew = true;
    this.#diag.dump(request, each);
  }

  /** Each of several that are the same has its turn. */
  #take(request: DumpRequest): Collection | undefined {
    const index = this.#collections.findIndex((collection) => isSame(request, collection.request));
    return index < 0 ? undefined : this.#collections.splice(index, 1)[0];
  }

  /** Returns whether the dump was whole. */
  #replay({ sequence, datagrams }: Collection, each: (row: InetDiagMsg) => void): boolean {
    let whole = true;
    for (const { buffer, byteOffset, length } of datagrams) {
      const left = readSockets(new DataView(buffer, byteOffset, length), sequence, this.#row, each);
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
