// What a row of a dump becomes, and the id by which the kernel is told of it again.

import { assertEquals, assertNotEquals } from "@std/assert";
import { identityOf } from "../../src/model/connection.ts";
import { encodeRequest, InetDiagMsg } from "../../src/linux/netlink/inet_diag.ts";
import { connectionOf, sockIdOf } from "../../src/select/sockets.ts";
import { mapped, message, type Row, row } from "../linux/netlink/kernel.ts";

const NETNS = 4026531840;
const [AF_INET, AF_INET6] = [2, 10];
const DB8 = [0x20, 0x01, 0x0d, 0xb8, ...new Array(10).fill(0)];

function rowOf(given: Row): InetDiagMsg {
  const bytes = message(20, 1, row(given));
  return new InetDiagMsg().at(new DataView(bytes.buffer), 16, bytes.length);
}

function connection(given: Row, protocol: "tcp" | "mptcp" = "tcp") {
  return connectionOf(rowOf(given), protocol, NETNS);
}

Deno.test("a row becomes a connection", () => {
  const given: Row = {
    state: 8,
    timer: 2,
    retransmits: 3,
    interface: 4,
    cookie: [0xc6f9, 0x1],
    expires: 112_000,
    rqueue: 5,
    wqueue: 6,
    uid: 1000,
    inode: 176593,
    shutdown: 1,
  };
  assertEquals(connection(given), {
    protocol: "tcp",
    family: "inet",
    state: "CLOSE-WAIT",
    src: { address: "10.0.0.7", port: 51234 },
    dst: { address: "10.0.0.5", port: 443 },
    shutdown: 1,
    interface: 4,
    rqueue: 5,
    wqueue: 6,
    inode: 176593,
    cookie: "10000c6f9",
    uid: 1000,
    netns: NETNS,
    timer: { name: "keepalive", expiresMs: 112_000, retransmits: 3 },
  });
});

Deno.test("an AF_INET6 socket with v4-mapped addresses has IPv4 addresses, and stays inet6", () => {
  const { family, src, dst } = connection({ family: AF_INET6, src: mapped(10, 0, 0, 7), dst: mapped(10, 0, 0, 5) });
  assertEquals({ family, src: src.address, dst: dst.address }, { family: "inet6", src: "10.0.0.7", dst: "10.0.0.5" });
});

Deno.test("IPv6 addresses are written as RFC 5952 says", () => {
  const { src, dst } = connection({ family: AF_INET6, src: [...DB8, 0, 1], dst: new Array(16).fill(0) });
  assertEquals([src.address, dst.address], ["2001:db8::1", "::"]);
});

Deno.test("timers have the names that ss gives them", () => {
  const name = (timer: number) => connection({ timer }).timer?.name ?? null;
  assertEquals([0, 1, 2, 3, 4, 5].map(name), [null, "on", "keepalive", "timewait", "persist", "delack"]);
  assertEquals([6, 255].map(name), ["unknown", "unknown"]);
});

Deno.test("a request socket is one in SYN-RECV", () => {
  assertEquals([3, 12].map((state) => connection({ state }).state), ["SYN-RECV", "SYN-RECV"]);
});

Deno.test("the id that the kernel is told is the one that it gave, byte for byte", () => {
  const sockets: Row[] = [
    { cookie: [0xc6f9, 0] },
    { cookie: [0xffffffff, 0x7fffffff], interface: 3, sport: 65535, dport: 1 },
    { family: AF_INET6, src: [...DB8, 0, 1], dst: [0xfe, 0x80, ...new Array(13).fill(0), 0xff], interface: 2 },
    { family: AF_INET6, src: mapped(10, 0, 0, 7), dst: mapped(255, 255, 255, 255) },
    { family: AF_INET6, src: new Array(16).fill(0), dst: new Array(16).fill(0xff) },
    { family: AF_INET6, src: [...new Array(12).fill(0), 1, 2, 3, 4], dst: [...DB8, 0, 0] },
    { family: AF_INET, src: [0, 0, 0, 0], dst: [255, 255, 255, 255] },
  ];
  for (const given of sockets) {
    const id = sockIdOf(connection(given));
    assertEquals(id.family, given.family ?? AF_INET);
    // struct inet_diag_sockid is at 8 in a request and at 4 in a reply.
    const sent = encodeRequest({ family: id.family, protocol: 6, id }).subarray(8, 56);
    assertEquals([...sent], [...row(given).subarray(4, 52)]);
  }
});

Deno.test("what tells a TCP connection from others is its cookie, in all namespaces", () => {
  const one = connection({ cookie: [7, 1] });
  assertEquals(identityOf(one), identityOf(connection({ cookie: [7, 1], state: 4, inode: 9, sport: 1 })));
  for (const cookie of [[7, 0], [7, 2], [8, 1], [1, 7]] as const) {
    assertNotEquals(identityOf(one), identityOf(connection({ cookie })));
  }
  assertEquals(identityOf(one), identityOf({ ...one, netns: NETNS + 1 }));
});

Deno.test("what tells an MPTCP connection from others are its ends, since its cookie may be its listener's", () => {
  const one = connection({ cookie: [7, 0] }, "mptcp");
  assertEquals(identityOf(one), identityOf(connection({ cookie: [8, 0], state: 4, inode: 9 }, "mptcp")));
  for (const other of [{ sport: 1 }, { dport: 1 }, { src: [10, 0, 0, 8] }, { dst: [10, 0, 0, 8] }]) {
    assertNotEquals(identityOf(one), identityOf(connection({ cookie: [7, 0], ...other }, "mptcp")));
  }
  assertNotEquals(identityOf(one), identityOf(connection({ cookie: [7, 0] }, "tcp")));
  assertNotEquals(identityOf(one), identityOf({ ...one, netns: NETNS + 1 }));
});
