// Addresses and prefixes in every spelling of RFC 4291, written as RFC 5952 says, IPv4 and v4-mapped being one.

import { assert, assertEquals } from "@std/assert";
import {
  formatAddress,
  formatEndpoint,
  formatPrefix,
  hostPrefix,
  ipv4,
  isIPv4,
  maskWords,
  parseAddress,
  parsePrefix,
  type Words,
} from "../../src/model/address.ts";

/** An address, read and written again; null for what is none. */
function canonical(text: string): string | null {
  const address = parseAddress(text);
  return address && formatAddress(address);
}

function assertCanonical(cases: Record<string, string>): void {
  for (const [text, expected] of Object.entries(cases)) assertEquals(canonical(text), expected, text);
}

function assertNone(texts: readonly string[], parse: (text: string) => unknown): void {
  for (const text of texts) assertEquals(parse(text), null, JSON.stringify(text));
}

Deno.test("an IPv4 address has four decimal octets", () => {
  assertEquals(parseAddress("10.1.2.3")?.words, [0, 0, 0xffff, 0x0a010203]);
  assertEquals(parseAddress("255.255.255.255")?.words, [0, 0, 0xffff, 0xffffffff]);
  assertCanonical({ "0.0.0.0": "0.0.0.0", "192.0.2.255": "192.0.2.255", "128.0.0.1": "128.0.0.1" });
});

Deno.test("what inet_pton(3) does not take for an IPv4 address is none", () => {
  assertNone(
    ["1.2.3", "1.2.3.4.5", "1.2.3.256", "1.2.3.1000", "01.2.3.4", "1.2.3.00", "1..2.3", "1.2.3.", ".1.2.3.4"],
    parseAddress,
  );
  assertNone(
    ["1.2.3.-4", "+1.2.3.4", "1.2.3.4 ", " 1.2.3.4", "1.2.3.4\n", "0x7f.0.0.1", "127.1", "2130706433"],
    parseAddress,
  );
  assertNone(["1.2.3.4/32", "1.2.3.4:80", "1,2.3.4", "１.2.3.4", "٣.2.3.4"], parseAddress);
});

Deno.test("an IPv6 address has eight groups, or a gap for groups of zeros", () => {
  assertEquals(parseAddress("1:2:3:4:5:6:7:8")?.words, [0x10002, 0x30004, 0x50006, 0x70008]);
  assertEquals(parseAddress("fe80::ffff:ffff")?.words, [0xfe800000, 0, 0, 0xffffffff]);
  assertEquals(parseAddress("ffff:ffff::")?.words, [0xffffffff, 0, 0, 0]);
  assertEquals(parseAddress("::")?.words, [0, 0, 0, 0]);
});

Deno.test("the examples of RFC 4291, section 2.2", () => {
  assertCanonical({
    "ABCD:EF01:2345:6789:ABCD:EF01:2345:6789": "abcd:ef01:2345:6789:abcd:ef01:2345:6789",
    "2001:DB8:0:0:8:800:200C:417A": "2001:db8::8:800:200c:417a",
    "FF01:0:0:0:0:0:0:101": "ff01::101",
    "0:0:0:0:0:0:0:1": "::1",
    "0:0:0:0:0:0:0:0": "::",
    "2001:DB8::8:800:200C:417A": "2001:db8::8:800:200c:417a",
    "FF01::101": "ff01::101",
    "0:0:0:0:0:0:13.1.68.3": "::d01:4403",
    "0:0:0:0:0:FFFF:129.144.52.38": "129.144.52.38",
    "::13.1.68.3": "::d01:4403",
    "::FFFF:129.144.52.38": "129.144.52.38",
  });
});

Deno.test("the rules of RFC 5952, section 4", () => {
  assertCanonical({
    // 4.1: no leading zeros
    "2001:0db8:0000:0001:0001:0001:0001:0001": "2001:db8:0:1:1:1:1:1",
    // 4.2.1: as short as possible
    "2001:db8:0:0:0:0:2:1": "2001:db8::2:1",
    "2001:db8::0:1": "2001:db8::1",
    // 4.2.2: a single group is not shortened
    "2001:db8::1:1:1:1:1": "2001:db8:0:1:1:1:1:1",
    "::2:3:4:5:6:7:8": "0:2:3:4:5:6:7:8",
    "1:2:3:4:5:6:7::": "1:2:3:4:5:6:7:0",
    // 4.2.3: the longest run of zeros, the first of several
    "2001:0:0:1:0:0:0:1": "2001:0:0:1::1",
    "2001:db8:0:0:1:0:0:1": "2001:db8::1:0:0:1",
    "0:0:1:0:0:0:0:0": "0:0:1::",
    "1:0:0:0:0:0:0:0": "1::",
    // 4.3: lower case
    "2001:DB8::AbCd": "2001:db8::abcd",
  });
});

Deno.test("a v4-mapped address is the IPv4 address, in any spelling", () => {
  for (const text of ["::ffff:10.0.0.5", "::FFFF:a00:5", "0:0:0:0:0:ffff:0a00:0005", "0::ffff:10.0.0.5"]) {
    assertEquals(canonical(text), "10.0.0.5", text);
    assert(isIPv4(parseAddress(text)!));
  }
  assertEquals(parseAddress("::ffff:10.0.0.5"), parseAddress("10.0.0.5"));
});

Deno.test("an address that only looks v4-mapped is IPv6", () => {
  assertCanonical({
    "::10.0.0.5": "::a00:5",
    "::fffe:10.0.0.5": "::fffe:a00:5",
    "1::ffff:10.0.0.5": "1::ffff:a00:5",
    "::ffff:0:10.0.0.5": "::ffff:0:a00:5",
    "64:ff9b::10.0.0.5": "64:ff9b::a00:5",
  });
  for (const text of ["::10.0.0.5", "::ffff:0:10.0.0.5", "::"]) assert(!isIPv4(parseAddress(text)!), text);
});

Deno.test("what is no IPv6 address is none", () => {
  assertNone(["", ":", ":::", "1", "1:", ":1", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1::2::3", "::1::"], parseAddress);
  assertNone(
    ["1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8", "1:::2", "1:2:3:4::5:6:7:8", "12345::", "g::", "::-1"],
    parseAddress,
  );
  assertNone(
    ["::1.2.3", "::1.2.3.256", "::1.2.3.4.5", "1.2.3.4::", "::1.2.3.4:5", "1:2:3:4:5:6:7:1.2.3.4"],
    parseAddress,
  );
  assertNone(["[::1]", "::1%lo", "::1/128", " ::1", "::1 ", "::1\n", "0x1::", "::1.2.3.04", "1 ::"], parseAddress);
});

Deno.test("an address is read back as it was written", () => {
  const words: Words[] = [
    [0, 0, 0, 1],
    [0, 0, 0xffff, 0],
    [0, 0, 0xfffe, 0x0a000005],
    [0, 0xffff, 0, 0],
    [0x80000000, 0, 0, 0],
    [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
    [0x00010000, 0x00000001, 0, 0x00010000],
  ];
  for (const one of words) assertEquals(parseAddress(formatAddress({ words: one }))?.words, one);
});

Deno.test("ipv4 takes a word, signed or not", () => {
  assertEquals([ipv4(0xc0a80105), ipv4(0xc0a80105 | 0)].map(formatAddress), ["192.168.1.5", "192.168.1.5"]);
});

/** A prefix, read and written again; null for what is none. */
function canonicalPrefix(text: string): string | null {
  const prefix = parsePrefix(text);
  return prefix && formatPrefix(prefix);
}

Deno.test("a prefix holds its first bits, and the others are cleared", () => {
  const cases: Record<string, string> = {
    "10.1.2.3/8": "10.0.0.0/8",
    "10.1.2.3/32": "10.1.2.3",
    "255.255.255.255/0": "0.0.0.0/0",
    "255.255.255.255/1": "128.0.0.0/1",
    "10.1.2.3/31": "10.1.2.2/31",
    "2001:db8:ffff::1/32": "2001:db8::/32",
    "2001:db8:ffff::1/33": "2001:db8:8000::/33",
    "ffff::1/0": "::/0",
    "::1/128": "::1",
    "fe80::1/10": "fe80::/10",
    "10.1.2.3": "10.1.2.3",
    "::1": "::1",
  };
  for (const [text, expected] of Object.entries(cases)) assertEquals(canonicalPrefix(text), expected, text);
});

Deno.test("a prefix's length counts from 96 where it is IPv4, in the v4-mapped spelling too", () => {
  assertEquals(parsePrefix("10.0.0.0/8"), { words: [0, 0, 0xffff, 0x0a000000], length: 104 });
  assertEquals(parsePrefix("::ffff:10.0.0.0/104"), parsePrefix("10.0.0.0/8"));
  assertEquals(parsePrefix("::ffff:10.0.0.5"), hostPrefix(ipv4(0x0a000005)));
  assertEquals(parsePrefix("::ffff:0:0/96"), parsePrefix("0.0.0.0/0"));
  // Shorter than that it holds IPv6 addresses, and the bits that made it look like IPv4 are gone.
  assertEquals(parsePrefix("::ffff:10.0.0.0/8"), { words: [0, 0, 0, 0], length: 8 });
  assertEquals(canonicalPrefix("::ffff:10.0.0.0/95"), "::fffe:0:0/95");
});

Deno.test("what is no prefix is none", () => {
  assertNone(["10.0.0.0/33", "10.0.0.0/128", "::/129", "::/999", "::/1000", "10.0.0.0/", "/8", "/", ""], parsePrefix);
  assertNone(["10.0.0.0/-1", "10.0.0.0/8/8", "10.0.0.0/ 8", "10.0.0.0 /8", "10.0.0.0/8 ", "10.0.0.0/+8"], parsePrefix);
  assertNone(
    ["10.0.0.0/255.0.0.0", "10/8", "10.0/16", "::ffff:10.0.0.0/129", "10.0.0.0/8.0", "10.0.0.0/0x8"],
    parsePrefix,
  );
});

Deno.test("words are masked at any length", () => {
  const ones: Words = [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff];
  for (let length = 0; length <= 128; length++) {
    const bits = maskWords(ones, length).map((word) => word.toString(2).padStart(32, "0")).join("");
    assertEquals(bits, "1".repeat(length).padEnd(128, "0"));
  }
});

Deno.test("an endpoint with an IPv6 address has brackets", () => {
  assertEquals(formatEndpoint("10.0.0.5", 443), "10.0.0.5:443");
  assertEquals(formatEndpoint("2001:db8::1", 0), "[2001:db8::1]:0");
});
