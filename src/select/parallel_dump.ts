// Dumps of several network namespaces at once. The kernel keeps the connections of all namespaces in one table and goes
// through the whole of it for each dump, so that a dump of a small namespace takes as long as one of a large one. Dumps
// that are started together run on all processors, while this thread does something else.

import { type Transfer, Transfers } from "../../ffi/aio.ts";
import { attempt, isSyscallError } from "../../ffi/errno.ts";
import { IPPROTO_TCP, recv } from "../../ffi/socket.ts";
import type { Descriptor } from "../../ffi/descriptor.ts";
import { allocate } from "../../ffi/memory.ts";
import { noteDump } from "../../ffi/progress.ts";
import { extension, INET_DIAG_INFO, InetDiagMsg } from "../linux/netlink/inet_diag.ts";
import { type DumpRequest, encodeDump, readSockets, type SockDiag } from "../linux/netlink/sock_diag.ts";

/** Lists the sockets of a namespace. */
export type Dumper = Pick<SockDiag, "dump">;

/** The longest datagram of a dump. The kernel sends datagrams of this length once a socket is read with such a buffer. */
const BUFFER_SIZE = 32 * 1024;

/** The reads that are queued for a dump. NLMSG_DONE comes in a datagram of its own after one with rows. */
const READS = { tcp: 3, mptcp: 2 } as const;

/** Dumps of one namespace that were started together. The kernel makes one after the other. */
export class ParallelDump {
  readonly #netlink: Descriptor;
  readonly #requests: readonly DumpRequest[];
  readonly #hasTcp: boolean;
  readonly #steps: readonly Transfer[];
  readonly #transfers: Transfers;

  /**
   * Starts the dumps.
   *
   * @param netlink A netlink socket of the namespace, which this object closes. It must not block: a queued read for which
   * no datagram is left has to fail.
   * @param hasTcp False when the namespace is known to have no TCP sockets, so that dumps of TCP need not be started.
   */
  constructor(netlink: Descriptor, requests: readonly DumpRequest[], hasTcp = true) {
    this.#netlink = netlink;
    this.#hasTcp = hasTcp;
    // Without TCP sockets `listConnections` asks for nothing after the dumps of TCP.
    const end = hasTcp ? requests.length : requests.findIndex(({ protocol }) => protocol === IPPROTO_TCP);
    this.#requests = requests.slice(0, end);
    this.#steps = this.#requests.flatMap((request, i) => {
      const reads = request.protocol === IPPROTO_TCP ? READS.tcp : READS.mptcp;
      return [
        { kind: "write", file: netlink, memory: messageOf(request, i) },
        ...Array.from({ length: reads }, () => ({ kind: "read", file: netlink, memory: takeBuffer() })),
      ] as Transfer[];
    });
    this.#transfers = new Transfers(this.#steps);
  }

  /** Waits for the dumps. Dumps that have to be repeated are asked of `diag`. */
  collect(diag: Dumper): DumpReplay {
    noteDump(this.#requests.some(({ extensions }) => (extensions & extension(INET_DIAG_INFO)) !== 0));
    const datagrams: Uint8Array[] = [];
    let bytes: number | null = null;
    this.#steps.forEach(({ kind, memory }, i) => {
      bytes = this.#transfers.bytes(i);
      if (kind === "read" && bytes !== null) datagrams.push(memory.subarray(0, bytes));
    });
    // A long dump goes on from here. The kernel has refused the dumps behind it with EBUSY.
    if (bytes !== null) datagrams.push(...this.#rest());
    const collections = this.#requests.map((request, i) => ({ request, sequence: sequenceOf(i), datagrams }));
    return new DumpReplay(collections, this.#hasTcp ? diag : new WithoutTcp(diag));
  }

  /** Reads the datagrams that the queued reads have left. */
  #rest(): Uint8Array[] {
    const datagrams: Uint8Array[] = [];
    // It ends by an error. DumpReplay sees from the last datagram whether the dump is complete.
    attempt(() => {
      for (;;) {
        const buffer = new Uint8Array(BUFFER_SIZE);
        datagrams.push(buffer.subarray(0, recv(this.#netlink, buffer, 0)));
      }
    });
    return datagrams;
  }

  /** Frees the buffers. Datagrams that were collected are invalid afterwards. */
  close(): void {
    this.#transfers.wait();
    this.#netlink.close();
    for (const { kind, memory } of this.#steps) if (kind === "read") free.push(memory);
  }
}

/**
 * Returns a different sequence number for each dump of a socket, so that a late datagram is not taken for another dump's.
 */
function sequenceOf(i: number): number {
  return i + 1;
}

/** Encodes a dump in memory that a transfer can write from. */
function messageOf(request: DumpRequest, i: number): Uint8Array {
  const bytes = encodeDump(request, sequenceOf(i));
  const memory = allocate(bytes.length);
  memory.set(bytes);
  return memory;
}

/** Buffers that are not in use. */
const free: Uint8Array[] = [];
/** Buffers are allocated in pieces so large that the kernel provides memory only for pages that are written to. */
const PIECE = 128;

function takeBuffer(): Uint8Array {
  if (free.length === 0) {
    const piece = allocate(PIECE * BUFFER_SIZE);
    for (let i = PIECE - 1; i >= 0; i--) free.push(piece.subarray(i * BUFFER_SIZE, (i + 1) * BUFFER_SIZE));
  }
  return free.pop()!;
}

/** A dump that was collected: the request and the datagrams that came. Datagrams of other dumps are among them. */
export interface Collection {
  readonly request: DumpRequest;
  readonly sequence: number;
  readonly datagrams: readonly Uint8Array[];
}

/**
 * Answers dumps from those that were collected. Other dumps go to the kernel; so do all dumps after one of TCP that had to
 * be repeated.
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

  /** Dumps as SockDiag does. A collected dump that was disturbed, or has failed, is asked for again. */
  dump(request: DumpRequest, each: (row: InetDiagMsg) => void): void {
    const collection = this.#take(request);
    try {
      if (collection && !this.#isAnew && this.#replay(collection, each)) return;
    } catch (error) {
      if (!isSyscallError(error)) throw error;
    }
    // listConnections lists MPTCP connections again after TCP, and those must not be older than the repeated dump.
    if (collection && request.protocol === IPPROTO_TCP) this.#isAnew = true;
    this.#diag.dump(request, each);
  }

  /** Removes and returns the next collected dump of this request. */
  #take(request: DumpRequest): Collection | undefined {
    const index = this.#collections.findIndex((collection) => isSame(request, collection.request));
    return index < 0 ? undefined : this.#collections.splice(index, 1)[0];
  }

  /** Returns whether the dump was complete and consistent. */
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

/** A namespace that is known to have no TCP sockets. */
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
