// DEST and PORT as they are typed, and what is said of those that are none.

import { assertEquals, assertThrows } from "@std/assert";
import { formatAddress, formatPrefix, parseAddress } from "../../src/model/address.ts";
import { parseDestination, parseEndpoint, parsePort } from "../../src/select/destination.ts";
import type { Filter, Side } from "../../src/select/filter.ts";
import type { Names } from "../../src/select/names.ts";
import { UsageError } from "../../src/model/errors.ts";

/** A resolver for which every name is a host: a DNS with a wildcard. */
const names: Names = {
  addresses: () => [parseAddress("10.0.0.7")!],
  port(service) {
    throw new UsageError(`Unknown port "${service}"`);
  },
  interfaceIndex: () => 2,
};

function show(filter: Filter): string {
  switch (filter.op) {
    case "all":
      return filter.terms.map(show).join(" ");
    case "address":
      return filter.prefixes.map(formatPrefix).join("|");
    case "interface":
      return `dev ${filter.index}`;
    default:
      return filter.op;
  }
}

const destination = (text: string, side: Side = "dst") => show(parseDestination(text, side, names));

function assertRefused(cases: Record<string, string>, read: (text: string) => unknown): void {
  for (const [text, message] of Object.entries(cases)) {
    assertEquals(assertThrows(() => read(text), UsageError).message, message, text);
  }
}

Deno.test("addresses, prefixes and names", () => {
  const read: Record<string, string> = {
    "10.0.0.5": "10.0.0.5",
    "10.0.0.5/32": "10.0.0.5",
    "10.0.0.0/8": "10.0.0.0/8",
    "0.0.0.0/0": "0.0.0.0/0",
    "::ffff:10.0.0.0/104": "10.0.0.0/8",
    "2001:db8::/32": "2001:db8::/32",
    "::/0": "::/0",
    "[2001:db8::1]": "2001:db8::1",
    "[2001:db8::/32]": "2001:db8::/32",
    "[2001:db8::]/32": "2001:db8::/32",
    "fe80::1%eth0": "fe80::1 dev 2",
    "[fe80::%eth0]/64": "fe80::/64 dev 2",
    "db.example": "10.0.0.7",
    "db_1": "10.0.0.7",
    "db.example.": "10.0.0.7",
  };
  for (const [text, expected] of Object.entries(read)) assertEquals(destination(text), expected, text);
});

Deno.test("a prefix with bits beyond its length is refused, and both that may have been meant are named", () => {
  const meant: Record<string, [string, string]> = {
    "10.0.0.5/8": ["10.0.0.5/32", "10.0.0.0/8"],
    "127.0.0.9/31": ["127.0.0.9/32", "127.0.0.8/31"],
    "10.0.0.5/0": ["10.0.0.5/32", "0.0.0.0/0"],
    "2001:db8::1/64": ["2001:db8::1/128", "2001:db8::/64"],
    "::1/0": ["::1/128", "::/0"],
    "::ffff:10.0.0.5/104": ["10.0.0.5/32", "10.0.0.0/8"],
  };
  for (const [text, [one, all]] of Object.entries(meant)) {
    const message = `Prefix "${text}" has bits beyond its length: expected ${one} or ${all}`;
    for (const side of ["dst", "src"] as const) {
      assertRefused({ [text]: message }, (text) => destination(text, side));
    }
  }
  assertThrows(() => destination("[2001:db8::1]/64"), UsageError, "2001:db8::1/128 or 2001:db8::/64");
  assertThrows(() => destination("[2001:db8::1/64]"), UsageError, "2001:db8::1/128 or 2001:db8::/64");
});

const FORMS = "expected an IPv4 or IPv6 address, a prefix such as 10.0.0.0/8, a host name, or any";

/** What is typed in the place of DEST, or behind --dst, and how the message ends. */
const MEANT: Record<string, string> = {
  "db.internal:5432": 'did you mean { dst: "db.internal", dport: "5432" }?',
  "db:postgresql": 'did you mean { dst: "db", dport: "postgresql" }?',
  "1.2.3.4:80": 'did you mean { dst: "1.2.3.4", dport: "80" }?',
  "10.0.0.0/8:443": 'did you mean { dst: "10.0.0.0/8", dport: "443" }?',
  "[::1]:443": 'did you mean { dst: "::1", dport: "443" }?',
  "::1:65000": 'did you mean { dst: "::1", dport: "65000" }?',
  "http://db.internal/x?y": 'did you mean { dst: "db.internal", dport: "http" }?',
  "https://db:8443": 'did you mean { dst: "db", dport: "8443" }?',
  "postgres://user:secret@db/x": 'did you mean "db"?',
  "http://[::1]:8080/": 'did you mean { dst: "::1", dport: "8080" }?',
  "5432": 'did you mean { dport: "5432" }?',
  "0": FORMS,
  "65536": FORMS,
  "10.0.0.1,10.0.0.2": 'did you mean { dst: ["10.0.0.1", "10.0.0.2"] }?',
  "bücher.example": 'a name with other letters is asked for in ASCII: did you mean "xn--bcher-kva.example"?',
  "10.0.0": FORMS,
  "10.0.0.300": FORMS,
  "10.0.0.300:80": FORMS,
  "2001::1::2": FORMS,
  "10.0.0.0/33": FORMS,
  "[::1": FORMS,
  "[10.0.0.1]": FORMS,
  "[::1]x": FORMS,
  "": FORMS,
  "a b": FORMS,
  "a\0b": FORMS,
};

Deno.test("what is no address is told what was meant, as far as one can tell", () => {
  for (const [text, meant] of Object.entries(MEANT)) {
    assertRefused({ [text]: `Not an address: "${text}": ${meant}` }, destination);
  }
});

Deno.test("for this host's end the flags are named that are for it", () => {
  const source = (text: string) => destination(text, "src");
  assertRefused({
    "127.0.0.1:80": 'Not an address: "127.0.0.1:80": did you mean { src: "127.0.0.1", sport: "80" }?',
    "80": 'Not an address: "80": did you mean { sport: "80" }?',
    "10.0.0.1,10.0.0.2": 'Not an address: "10.0.0.1,10.0.0.2": did you mean { src: ["10.0.0.1", "10.0.0.2"] }?',
  }, source);
});

Deno.test("an address that reads like one with a port is refused, unless it has its brackets", () => {
  assertRefused({
    "::1:443":
      '"::1:443" is an address without a port: expected ::1 apart from its port 443, or [::1:443] for that address',
  }, destination);
  assertEquals(destination("[::1:443]"), "::1:443");
  for (const text of ["::1", "::", "2001:db8::1:443", "fe80::1:80"]) assertEquals(destination(text), text);
});

Deno.test("what is no port is told what was meant", () => {
  const port = (text: string) => parsePort(text, "dst", names);
  assertRefused({
    "80,443": 'Not a port: "80,443": did you mean { dport: ["80", "443"] }?',
    ":443": 'Not a port: ":443": did you mean "443"?',
    "443/tcp": 'Not a port: "443/tcp": did you mean "443"?',
    "8000:8100": 'Not a port: "8000:8100": did you mean "8000-8100"?',
    "8000-": 'Port range "8000-" lacks an end: expected both, as in 8000-8100',
    "nope": 'Unknown port "nope"',
  }, port);
  assertRefused(
    { "80,443": 'Not a port: "80,443": did you mean { sport: ["80", "443"] }?' },
    (text) => parsePort(text, "src", names),
  );
});

Deno.test("where connections can be made to: an address, perhaps with a port", () => {
  const read = (text: string) => {
    const { address, port } = parseEndpoint(text);
    return [formatAddress(address), port];
  };
  assertEquals(read("10.0.0.6"), ["10.0.0.6", null]);
  assertEquals(read("10.0.0.6:5432"), ["10.0.0.6", 5432]);
  assertEquals(read("::ffff:10.0.0.6"), ["10.0.0.6", null]);
  assertEquals(read("2001:db8::6"), ["2001:db8::6", null]);
  assertEquals(read("[2001:db8::6]"), ["2001:db8::6", null]);
  assertEquals(read("[2001:db8::6]:5432"), ["2001:db8::6", 5432]);
  const wrong = "db 10.0.0.6: 10.0.0.6:0 10.0.0.6:65536 10.0.0.0/8 0.0.0.0 :: [::]:1 fe80::1";
  for (const text of ["", ...wrong.split(" "), "[10.0.0.6", "10.0.0.6:5432:1", "[2001:db8::6]5432"]) {
    assertThrows(() => parseEndpoint(text), UsageError, `Not an address to connect to: "${text}"`);
  }
});
