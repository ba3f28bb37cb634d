// struct sockaddr_in and sockaddr_in6, byte by byte.

import { assertEquals } from "@std/assert";
import { parseAddress } from "../../../src/model/address.ts";
import { decodeSockaddr, encodeSockaddr, sockaddrAddress, sockaddrPort } from "../../../src/linux/netlink/sockaddr.ts";
import { bytes } from "./bytes.ts";

const IPV4 = bytes(`
  02 00       ; sin_family AF_INET, host order
  01 bb       ; sin_port 443, big-endian
  0a 00 00 fe ; sin_addr 10.0.0.254
  00 00 00 00 00 00 00 00 ; sin_zero
`);

const IPV6 = bytes(`
  0a 00       ; sin6_family AF_INET6
  ff fe       ; sin6_port 65534
  00 00 00 00 ; sin6_flowinfo
  20 01 0d b8 00 00 00 00 00 00 00 00 80 00 00 01 ; sin6_addr
  00 00 00 00 ; sin6_scope_id
`);

const address = (text: string) => parseAddress(text)!;

Deno.test("an IPv4 endpoint", () => {
  assertEquals(encodeSockaddr(address("10.0.0.254"), 443), IPV4);
  assertEquals(decodeSockaddr(IPV4), { address: "10.0.0.254", port: 443 });
});

Deno.test("an IPv6 endpoint", () => {
  assertEquals(encodeSockaddr(address("2001:db8::8000:1"), 65534), IPV6);
  assertEquals(decodeSockaddr(IPV6), { address: "2001:db8::8000:1", port: 65534 });
});

Deno.test("a v4-mapped address reads as IPv4, and goes out as a sockaddr_in", () => {
  const mapped = IPV6.slice();
  mapped.set(bytes("00 00 00 00 00 00 00 00 00 00 ff ff 0a 00 00 fe"), 8);
  assertEquals(decodeSockaddr(mapped), { address: "10.0.0.254", port: 65534 });
  assertEquals(encodeSockaddr(address("::ffff:10.0.0.254"), 443), IPV4);
});

Deno.test("a flow, a scope and what lies behind do not count", () => {
  const scoped = new Uint8Array([...IPV6, 0xcc, 0xcc]);
  scoped.fill(0xcc, 4, 8).fill(0xcc, 24, 28);
  assertEquals(decodeSockaddr(scoped), { address: "2001:db8::8000:1", port: 65534 });
});

Deno.test("an endpoint may lie anywhere in a buffer", () => {
  const buffer = new Uint8Array([0xee, ...IPV4]);
  assertEquals(decodeSockaddr(buffer.subarray(1)), { address: "10.0.0.254", port: 443 });
  assertEquals(sockaddrPort(buffer.subarray(1)), 443);
});

Deno.test("another family has no address", () => {
  const unix = bytes("01 00 2f 74 6d 70 00 00");
  assertEquals(sockaddrAddress(unix), null);
  assertEquals(decodeSockaddr(unix).address, "");
});

Deno.test("one that is cut short has no address", () => {
  for (const whole of [IPV4, IPV6.subarray(0, 24)]) {
    for (let length = 0; length < whole.length; length++) {
      assertEquals(sockaddrAddress(whole.subarray(0, length)), null, `${length} of ${whole.length}`);
    }
  }
  assertEquals(decodeSockaddr(new Uint8Array()), { address: "", port: 0 });
});
