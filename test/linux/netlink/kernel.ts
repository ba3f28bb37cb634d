// A kernel made up by a test: what it is asked, and the datagrams that it answers with.

import { SyscallError } from "../../../ffi/errno.ts";
import { INET_DIAG_INFO } from "../../../src/linux/netlink/inet_diag.ts";
import { encodeAttribute } from "../../../src/linux/netlink/message.ts";
import { SockDiag } from "../../../src/linux/netlink/sock_diag.ts";
import type { Transport } from "../../../src/linux/netlink/socket.ts";

const EAGAIN = 11;

/** What a request says, as far as tests ask. */
export interface Request {
  /** SOCK_DIAG_BY_FAMILY, TCPDIAG_GETSOCK or SOCK_DESTROY. Of a request of rtnetlink only `family` means something besides. */
  type: number;
  flags: number;
  sequence: number;
  family: number;
  /** That of INET_DIAG_REQ_PROTOCOL where it was sent, else `sdiag_protocol`; TCPDIAG_GETSOCK is TCP's. */
  protocol: number;
  extensions: number;
  states: number;
  bytecode: Uint8Array | null;
  payload: Uint8Array;
}

/** A datagram, or the error that recv(2) fails with in its place. */
export type Reply = Uint8Array | SyscallError;

/** Answers each request with the datagrams that `answer` gives. Where there are none left, recv(2) times out. */
export class FakeKernel {
  readonly requests: Request[] = [];
  /** How many sockets were opened, and how many of them are open. */
  opened = 0;
  open = 0;
  readonly diag: SockDiag = new SockDiag(() => this.transport());
  readonly #answer: (request: Request) => readonly Reply[];

  constructor(answer: (request: Request) => readonly Reply[]) {
    this.#answer = answer;
  }

  /** Another connection to it. */
  connect(): SockDiag {
    return new SockDiag(() => this.transport());
  }

  /** Opens a netlink socket. */
  transport(): Transport {
    this.opened++;
    this.open++;
    const queue: Reply[] = [];
    return {
      send: (bytes) => {
        const request = decodeRequest(bytes);
        this.requests.push(request);
        queue.push(...this.#answer(request));
      },
      receive: (buffer) => {
        const reply = queue.shift() ?? new SyscallError("recv", EAGAIN);
        if (reply instanceof SyscallError) throw reply;
        buffer.set(reply.subarray(0, buffer.length));
        return reply.length;
      },
      close: () => void this.open--,
    };
  }
}

const TCPDIAG_GETSOCK = 18;

function decodeRequest(bytes: Uint8Array): Request {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const type = view.getUint16(4, true);
  const old = type === TCPDIAG_GETSOCK;
  const payload = bytes.slice(16, 16 + (old ? 60 : 56));
  const attributes = new Map<number, Uint8Array>();
  for (let at = 16 + payload.length; at < bytes.length; at += (view.getUint16(at, true) + 3) & ~3) {
    attributes.set(view.getUint16(at + 2, true), bytes.slice(at + 4, at + view.getUint16(at, true)));
  }
  const protocol = attributes.get(3);
  return {
    type,
    flags: view.getUint16(6, true),
    sequence: view.getUint32(8, true),
    family: old ? 0 : view.getUint8(16),
    protocol: protocol ? new DataView(protocol.buffer).getUint32(0, true) : old ? 6 : view.getUint8(17),
    extensions: view.getUint8(old ? 19 : 18),
    states: view.getUint32(16 + (old ? 52 : 4), true),
    bytecode: attributes.get(1) ?? null,
    payload,
  };
}

/** A netlink message. */
export function message(type: number, sequence: number, payload: Uint8Array, flags = 0): Uint8Array {
  const bytes = new Uint8Array(16 + ((payload.length + 3) & ~3));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 16 + payload.length, true);
  view.setUint16(4, type, true);
  view.setUint16(6, flags, true);
  view.setUint32(8, sequence, true);
  bytes.set(payload, 16);
  return bytes;
}

/** Several messages in one datagram. */
export function datagram(...messages: Uint8Array[]): Uint8Array {
  return new Uint8Array(messages.flatMap((bytes) => [...bytes]));
}

function int(value: number): Uint8Array {
  return new Uint8Array(new Int32Array([value]).buffer);
}

/** NLMSG_DONE, which ends a dump; with an errno, one that failed half-way. */
export function done(sequence: number, errno = 0): Uint8Array {
  return message(3, sequence, int(-errno));
}

/** NLMSG_ERROR: a refusal, or with errno 0 an acknowledgement. The request's header follows the errno. */
export function refusal(sequence: number, errno: number): Uint8Array {
  return message(2, sequence, datagram(int(-errno), new Uint8Array(16)));
}

/** A socket, as far as tests tell them apart. */
export interface Row {
  family?: number;
  state?: number;
  timer?: number;
  retransmits?: number;
  /** Four octets or sixteen. */
  src?: readonly number[];
  dst?: readonly number[];
  sport?: number;
  dport?: number;
  interface?: number;
  cookie?: readonly [low: number, high: number];
  expires?: number;
  rqueue?: number;
  wqueue?: number;
  uid?: number;
  inode?: number;
  /** INET_DIAG_SHUTDOWN. */
  shutdown?: number;
  /** INET_DIAG_INFO. */
  info?: Uint8Array;
}

/** `struct inet_diag_msg`, and its attributes. */
export function row(given: Row): Uint8Array {
  const { family = 2, src = [10, 0, 0, 7], dst = [10, 0, 0, 5], cookie = [1, 0] } = given;
  const bytes = new Uint8Array(72 + 8);
  const view = new DataView(bytes.buffer);
  bytes.set([family, given.state ?? 1, given.timer ?? 0, given.retransmits ?? 0]);
  view.setUint16(4, given.sport ?? 51234);
  view.setUint16(6, given.dport ?? 443);
  bytes.set(src, 8);
  bytes.set(dst, 24);
  view.setUint32(40, given.interface ?? 0, true);
  view.setUint32(44, cookie[0], true);
  view.setUint32(48, cookie[1], true);
  view.setUint32(52, given.expires ?? 0, true);
  view.setUint32(56, given.rqueue ?? 0, true);
  view.setUint32(60, given.wqueue ?? 0, true);
  view.setUint32(64, given.uid ?? 0, true);
  view.setUint32(68, given.inode ?? 0, true);
  bytes.set([5, 0, 8, 0, given.shutdown ?? 0], 72);
  return given.info === undefined ? bytes : new Uint8Array([...bytes, ...encodeAttribute(INET_DIAG_INFO, given.info)]);
}

/** The octets of ::ffff:a.b.c.d. */
export function mapped(...octets: number[]): number[] {
  return [...new Array(10).fill(0), 0xff, 0xff, ...octets];
}
