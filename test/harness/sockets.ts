// TCP sockets on loopback, for tests of single functions.

import type { Descriptor } from "../../ffi/descriptor.ts";
import { AF_INET, bind, connect, getsockname, listen, SOCK_STREAM, socket } from "../../ffi/socket.ts";

/** 127.0.0.1, and a port that the kernel chooses, as `struct sockaddr_in`. */
export const LOOPBACK = Uint8Array.of(AF_INET, 0, 0, 0, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0);

export function listener(backlog = 1): Descriptor {
  const descriptor = socket(AF_INET, SOCK_STREAM, 0);
  bind(descriptor, LOOPBACK);
  listen(descriptor, backlog);
  return descriptor;
}

export function connectedTo(listener: Descriptor): Descriptor {
  const descriptor = socket(AF_INET, SOCK_STREAM, 0);
  connect(descriptor, getsockname(listener));
  return descriptor;
}

/** Calls `use` with a function that takes descriptors, which are closed afterwards. */
export function withDescriptors(use: (own: (descriptor: Descriptor) => Descriptor) => void): void {
  const all: Descriptor[] = [];
  try {
    use((descriptor) => {
      all.push(descriptor);
      return descriptor;
    });
  } finally {
    for (const descriptor of all) descriptor.close();
  }
}
