// What the kernel can tell of a connection that is being made.

import { assertMatch, assertThrows } from "@std/assert";
import { requireTellable } from "../../src/attach/tellable.ts";
import { UsageError } from "../../src/model/errors.ts";
import { compileSelection } from "../../src/select/compile_selection.ts";
import type { Selection } from "../../src/select/selection.ts";

function compiled(selection: Selection) {
  return compileSelection(selection, {
    uid: () => 1000,
    port: () => 80,
    addresses: () => [],
    interfaceIndex: () => 1,
    cgroupId: () => 1n,
    localPorts: () => ({ from: 1, to: 2 }),
  });
}

Deno.test("what the kernel cannot tell then is refused, and named", () => {
  const refused = (selection: Selection, says: string) =>
    assertThrows(() => requireTellable(selection, compiled(selection)), UsageError, says);
  refused({ dst: "any", state: "established" }, "by state:");
  refused({ dst: "any", interface: "lo" }, "by interface:");
  refused({ dst: "any", mark: 1 }, "by mark:");
  refused({ dst: "any", comm: "x" }, "by comm:");
  refused({ dst: "any", exe: "x" }, "by exe:");
  refused({ dst: "any", idleForMs: 5 }, "by idleForMs:");
  refused({ dst: "any", silentForMs: 5 }, "by silentForMs:");
  refused({ dst: "any", stalled: true }, "by stalled:");
  refused({ dst: "any", closeWait: true }, "by closeWait:");
  refused({ dst: "any", noKeepalive: true }, "by noKeepalive:");
  refused({ dst: "any", srcGone: true }, "by srcGone:");
  refused({ dst: "any", not: { cgroup: "x" } }, "by not.cgroup:");
  refused({ dst: "any", not: { stalled: true } }, "by not.stalled:");
  refused({ filter: "dev lo" }, "dev of a filter");
  refused({ filter: "fwmark = 1" }, "fwmark of a filter");
  refused({ filter: "cgroup /x" }, "cgroup of a filter");
  refused({ filter: "state close-wait" }, "the states of a filter");
  refused({ dst: "fe80::1%lo" }, "an address");
  for (const selection of [{ dst: "any", user: 5, netns: "x" }, { filter: "dport = :5", cgroup: "x" }, { pid: 5 }]) {
    requireTellable(selection, compiled(selection));
  }
});

Deno.test("connect(2) tells nothing of this host's end", () => {
  for (const selection of [{ src: "10.0.0.1" }, { sport: 80 }, { dst: "any", pid: 1 }, { filter: "src 10.0.0.1" }]) {
    const error = assertThrows(() => requireTellable(selection, compiled(selection), "refuse"), UsageError);
    assertMatch(error.message, /^refuse cannot go by .*: when connect\(2\) is called, the kernel tells/);
  }
  for (const selection of [{ dst: "10.0.0.1", dport: 80 }, { dst: "any", user: 0 }, { filter: "dst 10.0.0.1" }]) {
    requireTellable(selection, compiled(selection), "redirect");
  }
});
