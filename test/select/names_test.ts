// What this host makes of names. Those that every host has will do.

import { assert, assertEquals, assertThrows } from "@std/assert";
import { formatAddress } from "../../src/model/address.ts";
import { EVERYTHING } from "../../src/select/filter.ts";
import { parsePort } from "../../src/select/destination.ts";
import { systemNames } from "../../src/select/names.ts";
import { UsageError } from "../../src/model/errors.ts";
import { functionTest } from "../harness/needs.ts";

functionTest("a service is known by its name, also by one that begins with a digit", ["/etc/services"], () => {
  assertEquals(systemNames.port("https"), 443);
  assertThrows(() => systemNames.port("9no-such-service"), UsageError, 'Unknown port "9no-such-service"');
});

Deno.test("a number in another guise is no service, lest it be a port that was not meant", () => {
  for (const text of ["+80", " 80", "\t80", "+65616", " 65616", "", " ", "+", "-", "-80", "65616"]) {
    assertThrows(() => systemNames.port(text), UsageError, `Unknown port "${text}"`);
  }
});

functionTest("a port is a number, a range, a service, or any", ["/etc/services"], () => {
  const ports = (text: string) => parsePort(text, "dst", systemNames);
  const range = (from: number, to: number) => ({ op: "port", side: "dst", from, to });
  assertEquals([ports("443"), ports("65535"), ports("https")], [range(443, 443), range(65535, 65535), range(443, 443)]);
  assertEquals([ports("8000-8100"), ports("0-65535"), ports("7-7")], [range(8000, 8100), range(0, 65535), range(7, 7)]);
  for (const text of ["0", "any", "*"]) assertEquals(ports(text), EVERYTHING);
  const wrong = "65536 -1 99999999999 8000-65536 8100-8000 +65616 8000- 0x50 80.0 80,81 1-2-3".split(" ");
  for (const text of [...wrong, " 80", "80 ", ""]) {
    assertThrows(() => ports(text), UsageError, text.trim() === "" ? "empty" : `"${text}"`);
  }
});

Deno.test("a host is every address that it has", () => {
  const addresses = systemNames.addresses("localhost").map(formatAddress);
  assert(addresses.length > 0);
  assertEquals(addresses.filter((address) => address !== "127.0.0.1" && address !== "::1"), []);
  assertThrows(() => systemNames.addresses("no-such-host.invalid"), UsageError, '"no-such-host.invalid"');
});

Deno.test("an interface is known by its name", () => {
  assertEquals(systemNames.interfaceIndex("lo"), Number(Deno.readTextFileSync("/sys/class/net/lo/ifindex")));
  for (const name of ["no-such-if", "", "x".repeat(100)]) {
    assertThrows(() => systemNames.interfaceIndex(name), UsageError, `No network interface "${name}" here`);
  }
});

Deno.test("a user is known by its name", () => {
  assertEquals(systemNames.uid("root"), 0);
  assertThrows(() => systemNames.uid("no-such-user"), UsageError, 'Unknown user "no-such-user"');
});

functionTest("a service in capitals is told how it is written", ["/etc/services"], () => {
  assertThrows(() => systemNames.port("HTTPS"), UsageError, 'Unknown port "HTTPS": did you mean "https"?');
  assertThrows(() => systemNames.port("NO-SUCH"), UsageError, "expected a number from 0 to 65535 or a service name");
});
