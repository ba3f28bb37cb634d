// What a filter may choose.

import { assertEquals } from "@std/assert";
import { parseAddress } from "../../src/model/address.ts";
import { compileSelection } from "../../src/select/compile_selection.ts";
import type { Selection } from "../../src/select/selection.ts";
import { mayChooseFamily, mayChoosePeer } from "../../src/select/may_choose.ts";

Deno.test("the families of the peers that a selection may choose", () => {
  const families = (selection: Selection) => {
    const { filter } = compileSelection(selection);
    return ([4, 6] as const).filter((version) => mayChooseFamily(filter, version)).join();
  };
  assertEquals(families({ dst: "any" }), "4,6");
  assertEquals(families({ dst: "any", version: 4 }), "4");
  assertEquals(families({ dst: "any", version: 6 }), "6");
  assertEquals(families({ dst: "10.0.0.0/8", dport: 80 }), "4");
  assertEquals(families({ dst: ["10.0.0.1", "2001:db8::1"] }), "4,6");
  assertEquals(families({ dst: "any", not: { dst: "0.0.0.0/0" } }), "6");
  assertEquals(families({ dst: "any", not: { dst: "10.0.0.0/8" } }), "4,6");
  assertEquals(families({ dst: "::/0" }), "6");
  assertEquals(families({ filter: "dport = :80" }), "4,6");
});

Deno.test("whether a selection may choose a peer", () => {
  const chooses = (selection: Selection, address: string, port: number | null = null) =>
    mayChoosePeer(compileSelection(selection).filter, parseAddress(address)!, port);
  assertEquals(chooses({ dst: "10.0.0.0/24" }, "10.0.0.6"), true);
  assertEquals(chooses({ dst: "10.0.0.0/24" }, "10.0.1.6"), false);
  assertEquals(chooses({ dst: "10.0.0.0/24", not: { dst: "10.0.0.6" } }, "10.0.0.6"), false);
  assertEquals(chooses({ dst: "10.0.0.6", dport: "80-90" }, "10.0.0.6"), true);
  assertEquals(chooses({ dst: "10.0.0.6", dport: "80-90" }, "10.0.0.6", 90), true);
  assertEquals(chooses({ dst: "10.0.0.6", dport: "80-90" }, "10.0.0.6", 91), false);
  assertEquals(chooses({ dst: "any", user: 7 }, "2001:db8::6", 1), true);
});
