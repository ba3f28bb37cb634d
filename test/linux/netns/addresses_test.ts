// Which addresses are a namespace's own, told by a kernel made up here: how its dumps are disturbed, and what comes of it.

import { assert, assertEquals, assertThrows } from "@std/assert";
import { formatPrefix } from "../../../src/model/address.ts";
import { localAddresses } from "../../../src/linux/netns/addresses.ts";
import { UnsupportedError } from "../../../src/model/errors.ts";
import { datagram, done, FakeKernel, message, refusal } from "../netlink/kernel.ts";

const RTM_NEWADDR = 20;
const RTM_GETADDR = 22;
const NLM_F_DUMP_INTR = 0x10;
const AF_INET = 2;
const EAFNOSUPPORT = 97;

/** RTM_NEWADDR of an IPv4 address. */
function address(sequence: number, octets: number[], flags = 0): Uint8Array {
  return message(RTM_NEWADDR, sequence, new Uint8Array([AF_INET, 24, 0, 0, 2, 0, 0, 0, 8, 0, 2, 0, ...octets]), flags);
}

/** What is made of the answers to requests for IPv4 addresses; to others there is none. */
function addressesFrom(answer: (sequence: number, attempt: number) => readonly Uint8Array[]): string[] {
  let attempts = 0;
  const kernel = new FakeKernel(({ type, family, sequence }) =>
    type === RTM_GETADDR && family === AF_INET ? answer(sequence, ++attempts) : [refusal(sequence, EAFNOSUPPORT)]
  );
  try {
    const addresses = localAddresses(() => kernel.transport()).map(formatPrefix);
    return addresses.filter((text) => /^\d+\.\d+\.\d+\.\d+$/.test(text) && text !== "0.0.0.0");
  } finally {
    assertEquals(kernel.open, 0);
  }
}

Deno.test("the addresses are those of one dump that nothing disturbed", () => {
  const addresses = addressesFrom((sequence, attempt) => [
    // What comes late of an earlier one is no part of it.
    ...attempt > 1 ? [address(sequence - 1, [10, 0, 0, 9])] : [],
    datagram(address(sequence, [10, 0, 0, 1]), address(sequence, [10, 0, 0, 2], attempt < 20 ? NLM_F_DUMP_INTR : 0)),
    done(sequence),
  ]);
  assertEquals(addresses, ["10.0.0.1", "10.0.0.2"]);
});

Deno.test("a dump that ends with the news that it was disturbed is disturbed", () => {
  const addresses = addressesFrom((sequence, attempt) => [
    address(sequence, [10, 0, 0, attempt]),
    message(3, sequence, new Uint8Array(4), attempt === 1 ? NLM_F_DUMP_INTR : 0),
  ]);
  assertEquals(addresses, ["10.0.0.2"]);
});

Deno.test("what is disturbed each time is not taken for an empty list", () => {
  const error = assertThrows(
    () => addressesFrom((sequence) => [address(sequence, [10, 0, 0, 1], NLM_F_DUMP_INTR), done(sequence)]),
    UnsupportedError,
  );
  assert(error.passing);
});

Deno.test("a message cut short is asked for again, and no list without the end of one", () => {
  const cut = (sequence: number) => address(sequence, [10, 0, 0, 1]).subarray(0, 20);
  const addresses = addressesFrom((sequence, attempt) =>
    attempt === 1 ? [cut(sequence)] : [address(sequence, [10, 0, 0, 1]), done(sequence)]
  );
  assertEquals(addresses, ["10.0.0.1"]);
  assertThrows(() => addressesFrom((sequence) => [cut(sequence)]), UnsupportedError);
});
