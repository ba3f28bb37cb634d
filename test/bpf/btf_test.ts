// Members of structs in BTF: of a small one, laid out here, and of the machine's own.

import { assert, assertEquals } from "@std/assert";
import { memberOffset } from "../../src/bpf/btf.ts";
import { functionTest } from "../harness/needs.ts";

/** Names and numbers that occur in one type. A string stands for its place in the section of strings. */
type Word = number | string;

/** Lays BTF out: a header, the words of the types, and the strings that occur in them. */
function layOut(words: readonly Word[]): Uint8Array {
  const names = ["", ...new Set(words.filter((word) => typeof word === "string"))];
  const strings = new TextEncoder().encode(names.map((name) => `${name}\0`).join(""));
  const placeOf = (name: string) => names.slice(0, names.indexOf(name)).reduce((sum, one) => sum + one.length + 1, 0);
  const bytes = new Uint8Array(24 + 4 * words.length + strings.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, 0xeb9f, true);
  view.setUint8(2, 1);
  [24, 0, 4 * words.length, 4 * words.length, strings.length].forEach((word, i) =>
    view.setUint32(4 + 4 * i, word, true)
  );
  words.forEach((word, i) => view.setUint32(24 + 4 * i, typeof word === "string" ? placeOf(word) : word, true));
  bytes.set(strings, 24 + 4 * words.length);
  return bytes;
}

const info = (kind: number, vlen = 0, flag = 0) => ((flag << 31) | (kind << 24) | vlen) >>> 0;

// One type of each kind comes before, so that a walk that takes one for shorter or longer goes astray.
const BTF = layOut([
  ...["int", info(1), 4, 0x20],
  ...["", info(2), 1],
  ...["", info(3), 0, 1, 1, 4],
  ...["union", info(5, 2), 4, "a", 1, 0, "b", 1, 0],
  ...["enum", info(6, 2), 4, "A", 0, "B", 1],
  ...["sock", info(7), 0],
  ...["u32", info(8), 1],
  ...["", info(9), 1],
  ...["", info(10), 1],
  ...["", info(11), 1],
  ...["function", info(12), 14],
  ...["", info(13, 2), 1, "a", 1, "b", 1],
  ...["variable", info(14), 1, 0],
  ...[".data", info(15, 1), 4, 13, 0, 4],
  ...["float", info(16), 4],
  ...["tag", info(17), 1, 0],
  ...["tag", info(18), 1],
  ...["enum64", info(19, 1), 8, "C", 1, 0],
  ...["sock_common", info(4, 1), 4, "sk_uid", 1, 64],
  ...["sock", info(4, 2), 16, "sk_family", 1, 0, "sk_uid", 1, 96],
  ...["packed", info(4, 2, 1), 4, "a", 1, 0x04000000, "b", 1, 0x04000010],
]);

Deno.test("a member is found in the struct of that name alone", () => {
  assertEquals(memberOffset(BTF, "sock", "sk_uid"), 12);
  assertEquals(memberOffset(BTF, "sock", "sk_family"), 0);
  assertEquals(memberOffset(BTF, "sock_common", "sk_uid"), 8);
  assertEquals(memberOffset(BTF, "packed", "b"), 2);
});

Deno.test("what is not there is null, and so is what is no BTF", () => {
  assertEquals(memberOffset(BTF, "sock", "a"), null);
  assertEquals(memberOffset(BTF, "sock", "uid"), null);
  assertEquals(memberOffset(BTF, "union", "a"), null);
  assertEquals(memberOffset(BTF, "soc", "sk_uid"), null);
  assertEquals(memberOffset(new Uint8Array(0), "sock", "sk_uid"), null);
  assertEquals(memberOffset(new Uint8Array(100), "sock", "sk_uid"), null);
  for (let length = 0; length < BTF.length; length++) {
    assertEquals(memberOffset(BTF.slice(0, length), "sock", "sk_uid"), null);
  }
});

Deno.test("bytes that do not begin at a word", () => {
  const shifted = new Uint8Array(BTF.length + 1);
  shifted.set(BTF, 1);
  assertEquals(memberOffset(shifted.subarray(1), "sock", "sk_uid"), 12);
});

functionTest("the types of this machine's kernel", ["BTF"], () => {
  const btf = Deno.readFileSync("/sys/kernel/btf/vmlinux");
  assertEquals(memberOffset(btf, "tcp_sock", "inet_conn"), 0);
  assertEquals(memberOffset(btf, "sock", "__sk_common"), 0);
  const uid = memberOffset(btf, "sock", "sk_uid");
  assert(uid !== null && uid > 0 && uid % 4 === 0 && uid < 2000, `${uid}`);
});
