// What the one that launches learns from the other end of the pair, whenever that ends.

import { assertEquals, assertThrows } from "@std/assert";
import { createMemfd } from "../../ffi/memfd.ts";
import type { Descriptor } from "../../ffi/descriptor.ts";
import { receive, send, socketpair } from "../../ffi/unix.ts";
import { handOver } from "../../src/run/handover.ts";
import { UnsupportedError } from "../../src/model/errors.ts";

const NOT_STARTED = "the supervisor did not start: --debug shows what it says";

/** Hands over to an end of which `supervisor` decides what becomes. */
function withPair(
  supervisor: (handoverSocket: Descriptor) => void,
  assertion: (handOverThere: () => void, fd: number) => void,
): void {
  const [socket, handoverSocket] = socketpair();
  // Any descriptor will do for the listener.
  const listener = createMemfd("tcphup test", 1);
  try {
    supervisor(handoverSocket);
    assertion(() => handOver(socket, listener), socket.number);
  } finally {
    for (const descriptor of [socket, handoverSocket, listener]) descriptor.close();
  }
}

Deno.test("handOver: a supervisor that is gone already has not started", () => {
  withPair((handoverSocket) => handoverSocket.close(), (handOverThere) => {
    assertThrows(handOverThere, UnsupportedError, NOT_STARTED);
  });
});

Deno.test("handOver: what a supervisor said before it went is passed on", () => {
  const why = "no seccomp here";
  withPair((handoverSocket) => {
    send({ text: why, descriptors: [] }, handoverSocket);
    handoverSocket.close();
  }, (handOverThere) => assertThrows(handOverThere, UnsupportedError, why));
});

Deno.test("handOver: by which signal a supervisor was killed, its shell tells", () => {
  const reasons: [number, string][] = [
    [128 + 9, "the supervisor was killed by signal 9"],
    [128 + 25, "RLIMIT_FSIZE (LimitFSIZE= of a unit) is too low for the supervisor: it was killed by SIGXFSZ"],
  ];
  for (const [status, why] of reasons) {
    withPair((handoverSocket) => {
      send({ text: `ended ${status}`, descriptors: [] }, handoverSocket);
    }, (handOverThere) => assertThrows(handOverThere, UnsupportedError, why));
  }
});

Deno.test("handOver: a supervisor that is ready has the listener, the memory, and the number of this end", () => {
  let theirs: Descriptor;
  withPair((handoverSocket) => {
    send({ text: "ready", descriptors: [] }, handoverSocket);
    theirs = handoverSocket;
  }, (handOverThere, fd) => {
    handOverThere();
    const message = receive(theirs)!;
    assertEquals([message.text, message.descriptors.length], [`${fd}`, 2]);
    for (const descriptor of message.descriptors) descriptor.close();
  });
});
