// DEST and PORT as they are typed, and what is said of those that are none.

import { assertEquals, assertThrows } from "@std/assert";
import { formatPrefix, parseAddress } from "../../src/address.ts";
import { parseDestination } from "../../src/selection/destination.ts";
import type { Filter, Side } from "../../src/selection/filter.ts";
import type { Names } from "../../src/selection/names.ts";
import { UsageError } from "../../src/usage_error.ts";

/** A resolver for which every name is a host: a DNS with a wildcard. */
const names: Names = {
  addresses: () => [parseAddress("10.0.0.7")!],
  port: () => 443,
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
