// A file of addresses, one a line.

import { assertEquals, assertThrows } from "@std/assert";
import { formatPrefix, parseAddress } from "../../src/model/address.ts";
import { parseAddressList } from "../../src/select/address_file.ts";
import { NOTHING } from "../../src/select/filter.ts";
import type { Names } from "../../src/select/names.ts";
import { UsageError } from "../../src/model/errors.ts";

const names: Names = {
  addresses(host) {
    if (host !== "pod.example") throw new UsageError(`Unknown host "${host}"`);
    return [parseAddress("10.0.0.7")!, parseAddress("fd00::7")!];
  },
  port: () => 0,
  interfaceIndex: () => 1,
};

function read(text: string): string[] {
  const filter = parseAddressList(text, "pods.txt", "dst", names);
  if (filter === NOTHING) return [];
  if (filter.op !== "address") throw new Error(`not addresses: ${JSON.stringify(filter)}`);
  assertEquals(filter.side, "dst");
  return filter.prefixes.map(formatPrefix).sort();
}

function problem(text: string): string {
  return assertThrows(() => read(text), UsageError).message;
}

const FORMS = "expected an IPv4 or IPv6 address, a prefix such as 10.0.0.0/8, or a host name on each line";

Deno.test("addresses, prefixes and names, between comments and empty lines", () => {
  assertEquals(
    read(
      "# the dead\n10.0.0.1\n\n  10.1.0.0/16\t# a whole node\r\n2001:db8::1\n[2001:db8::2]\n::ffff:10.0.0.3\npod.example",
    ),
    ["10.0.0.1", "10.0.0.3", "10.0.0.7", "10.1.0.0/16", "2001:db8::1", "2001:db8::2", "fd00::7"],
  );
});

Deno.test("nothing in it selects nothing", () => {
  for (const text of ["", "\n", "# none\n", " \r\n\t# none"]) assertEquals(read(text), []);
});

Deno.test("a bad line is named by its number, and what it says is nobody's business", () => {
  assertEquals(problem("10.0.0.1\n\nroot:$6$secret # x"), `Not an address in pods.txt: line 3: ${FORMS}`);
  const text = Array.from({ length: 10 }, (_, i) => `10.0.0.${i + 251}`).join("\n");
  assertEquals(problem(text), `Not an address in pods.txt: line 6 and 4 more: ${FORMS}`);
});

Deno.test("a prefix with bits beyond its length is refused, by its line", () => {
  const message =
    'Line 2 of pods.txt: Prefix "10.0.0.5/8" has bits beyond its length: expected 10.0.0.5/32 or 10.0.0.0/8';
  assertEquals(problem("10.0.0.1\n10.0.0.5/8\nany"), message);
});

Deno.test("what is no host name is not looked up", () => {
  const asked: string[] = [];
  const listening: Names = {
    ...names,
    addresses(host) {
      asked.push(host);
      return names.addresses(host);
    },
  };
  const key = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj";
  for (const line of [key, "root:x:0:0", "password = x", "a\0b", "x@y", "bücher.example", "a..b"]) {
    assertThrows(() => parseAddressList(line, "pods.txt", "dst", listening), UsageError, "line 1");
  }
  assertEquals(asked, []);
});

Deno.test("what would select all, a port or an interface has no place in a list", () => {
  for (
    const line of [
      "any",
      "*",
      "10.0.0.1:443",
      "10.0.0.1 443",
      "fe80::1%lo",
      "no.such.example",
      "-",
      "10.0.0.1,10.0.0.2",
    ]
  ) {
    assertEquals(problem(line), `Not an address in pods.txt: line 1: ${FORMS}`);
  }
});
