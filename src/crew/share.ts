// The list of connections that one process hands to another to hang up on, in memory that both have mapped.
//
// {u32 count, u32 linger_ms, u32 stop, u32 pad}, then for each {u32 pid, u32 fd, u32 cookie[2]}, then for each {u8 done}. All
// in host order; the done bytes are zero until the other process sets them.

import type { Connection } from "../connection.ts";

const HEADER_SIZE = 16;
const ENTRY_SIZE = 16;

/** How many bytes a share of so many connections takes. */
export function shareSize(count: number): number {
  return HEADER_SIZE + count * (ENTRY_SIZE + 1);
}

/** A share, read and written in place. */
export class Share {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  /** Writes what is to be done: connections with their first owners. */
  assign(connections: readonly Pick<Connection, "owners" | "cookie">[], linger_ms: number): void {
    this.#view.setUint32(0, connections.length, true);
    this.#view.setUint32(4, linger_ms, true);
    let offset = HEADER_SIZE;
    for (const { owners, cookie } of connections) {
      this.#view.setUint32(offset, owners[0].pid, true);
      this.#view.setUint32(offset + 4, owners[0].fd, true);
      this.#view.setUint32(offset + 8, parseInt(cookie.slice(-8), 16), true);
      this.#view.setUint32(offset + 12, parseInt(cookie.slice(0, -8) || "0", 16), true);
      offset += ENTRY_SIZE;
    }
  }

  get count(): number {
    return this.#view.getUint32(0, true);
  }

  /** TCP_USER_TIMEOUT in milliseconds. */
  get linger_ms(): number {
    return this.#view.getUint32(4, true);
  }

  /** Asks the other process to stop between two connections. */
  stop(): void {
    this.#view.setUint32(8, 1, true);
  }

  get isStopped(): boolean {
    return this.#view.getUint32(8, true) === 1;
  }

  pid(i: number): number {
    return this.#view.getUint32(HEADER_SIZE + i * ENTRY_SIZE, true);
  }

  fd(i: number): number {
    return this.#view.getUint32(HEADER_SIZE + i * ENTRY_SIZE + 4, true);
  }

  /** The two words of the cookie, the lower one first. */
  cookie(i: number): readonly [number, number] {
    const offset = HEADER_SIZE + i * ENTRY_SIZE + 8;
    return [this.#view.getUint32(offset, true), this.#view.getUint32(offset + 4, true)];
  }

  /** Says that a connection was hung up on. */
  setDone(i: number): void {
    this.#bytes[HEADER_SIZE + this.count * ENTRY_SIZE + i] = 1;
  }

  isDone(i: number): boolean {
    return this.#bytes[HEADER_SIZE + this.count * ENTRY_SIZE + i] === 1;
  }
}
