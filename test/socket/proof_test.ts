// Whether a descriptor is the connection that was listed, on sockets of the tests' own.

import { assertEquals, assertThrows } from "@std/assert";
import { SyscallError } from "../../ffi/errno.ts";
import {
  AF_INET,
  bind,
  connect,
  getsockname,
  IPPROTO_TCP,
  listen,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  socket,
} from "../../ffi/socket.ts";
import type { Descriptor } from "../../ffi/descriptor.ts";
import { parseAddress } from "../../src/model/address.ts";
import type { Connection } from "../../src/model/connection.ts";
import { proofOf, prove, type StateLookup } from "../../src/socket/proof.ts";
import { withPair } from "../../src/act/loopback_pair.ts";
import { encodeSockaddr, sockaddrPort } from "../../src/linux/netlink/sockaddr.ts";
import type { State } from "../../src/model/tcp_states.ts";
import { Selector } from "../../src/select/selector.ts";
import { compileSelection } from "../../src/select/compile_selection.ts";
import { connectedTo, listener } from "../harness/sockets.ts";

const UNSPEC = new Uint8Array(16);

/** Fails the test when the kernel is asked. */
const unasked: StateLookup = () => {
  throw new Error("asked");
};

const answering = (state: State | null): StateLookup => () => state;

function listedFrom(src: string, descriptor: Descriptor): Connection {
  const selector = new Selector(compileSelection({ src, sport: sockaddrPort(getsockname(descriptor)) }));
  try {
    return selector.select()[0]!;
  } finally {
    selector.close();
  }
}

/**
 * Calls `body` with a connected client that keeps its address and port when it is dissolved, as they were chosen by bind(2):
 * nobody else can be given them, and it may listen there.
 */
function withBoundClient(body: (client: Descriptor, connection: Connection) => void): void {
  const [server, client] = [listener(), socket(AF_INET, SOCK_STREAM, 0)];
  // An address and a port that the kernel gives nobody of itself.
  const [a, b, c = 0] = crypto.getRandomValues(new Uint8Array(3));
  const address = `127.${a}.${b}.2`;
  bind(client, encodeSockaddr(parseAddress(address)!, 20_000 + c));
  connect(client, getsockname(server));
  body(client, listedFrom(address, client));
  for (const each of [client, server]) each.close();
}

Deno.test("a connection is the one that was listed until it is dissolved, whatever its socket is then", () => {
  const elsewhere = listener();
  withBoundClient((client, connection) => {
    assertEquals(prove(client, connection, unasked), "connection");
    assertEquals(prove(client, { ...connection, cookie: "1" }, unasked), "other");
    connect(client, UNSPEC);
    assertEquals(prove(client, connection, answering(null)), "ended");
    connect(client, getsockname(elsewhere));
    assertEquals(prove(client, connection, answering(null)), "ended");
    connect(client, UNSPEC);
    listen(client, 1);
    assertEquals(prove(client, connection, answering("LISTEN")), "ended");
  });
  elsewhere.close();
});

Deno.test("where a socket names other ends than were listed, the kernel's table is believed", () => {
  withPair(IPPROTO_TCP, ({ client, listed }) => {
    const { dst, ...rest } = listed()!;
    const service = { ...rest, dst: { ...dst, address: "10.96.0.1" } };
    assertEquals(prove(client, service, answering("ESTAB")), "connection");
    assertEquals(prove(client, service, answering(null)), "ended");
  });
});

Deno.test("the kernel knows a connection by its ends and its cookie", () => {
  const selector = new Selector(compileSelection({ dst: "any" }));
  withBoundClient((client, connection) => {
    assertEquals(selector.stateOf(connection), "ESTAB");
    assertEquals(selector.stateOf({ ...connection, cookie: "1" }), null);
    connect(client, UNSPEC);
    assertEquals(selector.stateOf(connection), null);
    listen(client, 1);
    assertEquals(selector.stateOf(connection), "LISTEN");
  });
  selector.close();
});

Deno.test("a listener is the one that was listed while it listens on the same end", () => {
  const descriptor = listener();
  const selector = new Selector(compileSelection({ src: "127.0.0.1", state: "listening" }));
  const port = sockaddrPort(getsockname(descriptor));
  const listed = selector.select().find(({ src }) => src.port === port)!;
  selector.close();
  assertEquals(prove(descriptor, listed, unasked), "connection");
  connect(descriptor, UNSPEC);
  assertEquals(prove(descriptor, listed, answering(null)), "ended");
  descriptor.close();
});

Deno.test("a socket in SYN-SENT is proved by the peer that it has been sent to", () => {
  // It has room for one that waits to be accepted, and answers no other.
  const full = listener(0);
  const [first, descriptor] = [connectedTo(full), socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)];
  assertThrows(() => connect(descriptor, getsockname(full)), SyscallError, "EINPROGRESS");
  const connection = listedFrom("127.0.0.1", descriptor);
  assertEquals(connection.state, "SYN-SENT");
  assertEquals(prove(descriptor, connection, unasked), "connection");
  const { dst } = connection;
  const other = { ...connection, dst: { ...dst, port: dst.port + 1 } };
  assertEquals(prove(descriptor, other, answering(null)), "ended");
  for (const each of [first, descriptor, full]) each.close();
});

Deno.test("one that has been answered since it was listed in SYN-SENT has to be selected anew", () => {
  withPair(IPPROTO_TCP, ({ client, listed }) => {
    assertEquals(prove(client, { ...listed()!, state: "SYN-SENT" }, unasked), "other");
  });
  assertEquals(proofOf("SYN-SENT", "ESTAB"), "other");
  assertEquals(proofOf("ESTAB", "CLOSE-WAIT"), "connection");
});
