// What a selection means: the kinds of criteria, alone, together and left out.

import { assertEquals, assertThrows } from "@std/assert";
import { parseAddress, parsePrefix } from "../../src/model/address.ts";
import { ALL_STATES, CONNECTED, stateMask } from "../../src/model/tcp_states.ts";
import type { SystemNames } from "../../src/select/names.ts";
import { compileSelection, connectionsOnly } from "../../src/select/compile_selection.ts";
import type { Selection } from "../../src/select/selection.ts";
import { stableConditions } from "../../src/select/dump_plan.ts";
import { UsageError } from "../../src/model/errors.ts";
import { known, show } from "./words.ts";

/** Names of which each knows in which namespace it is asked. */
function namesIn(interfaces: () => Record<string, number>, asked: string[] = []): SystemNames {
  return {
    addresses(host) {
      asked.push(host);
      return known({ "db.example": [parseAddress("10.0.0.1")!, parseAddress("fd00::1")!] }, "host")(host);
    },
    port: known({ https: 443 }, "service"),
    interfaceIndex: (name) => known(interfaces(), "interface")(name),
    uid: known({ www: 33 }, "user"),
    cgroupId: known({ "/a": 5n }, "cgroup"),
    localPorts: () => ({ from: 32768, to: 60999 }),
  };
}

const names = namesIn(() => ({ eth0: 2 }));

function meaning(selection: Selection): string {
  return show(compileSelection(selection, names).filter);
}

Deno.test("alternatives of one kind, and kinds together", () => {
  const meanings: [Selection, string][] = [
    [{ dst: "any" }, "all()"],
    [{ dst: "10.0.0.1" }, "dst 10.0.0.1"],
    [{ dst: ["10.0.0.1", "fd00::/64"] }, "dst 10.0.0.1|fd00::/64"],
    [{ dst: ["10.0.0.1", "any"] }, "any(dst 10.0.0.1, all())"],
    [{ dst: "db.example", dport: "https" }, "all(dst 10.0.0.1|fd00::1, dst 443-443)"],
    [{ src: "10.0.0.2", sport: [80, "8000-8100"] }, "all(src 10.0.0.2, any(src 80-80, src 8000-8100))"],
    [{ dst: "any", dport: 0 }, "all()"],
    [{ dport: 443 }, "dst 443-443"],
    [{ interface: ["eth0", "7"] }, "any(interface 2, interface 7)"],
    [{ mark: 16, user: ["www", 1000] }, "all(mark 16/ffffffff, any(uid 33, uid 1000))"],
    [
      { idleForMs: 5000, silentForMs: 2500, stalled: true, closeWait: true },
      `all(idle 5000, silent 2500, stalled, state ${stateMask("CLOSE-WAIT")})`,
    ],
    [{ dst: "any", version: 4 }, "all(dst 0.0.0.0/0, dst 0.0.0.0/0)"],
    [{ dport: 443, version: 6 }, "all(dst 443-443, not(dst 0.0.0.0/0))"],
  ];
  for (const [selection, expected] of meanings) {
    assertEquals(meaning(selection), expected);
  }
});

Deno.test("what is left out is left out whatever else holds", () => {
  assertEquals(
    meaning({ dst: "any", not: { dst: ["10.0.0.1", "10.0.0.2"], dport: 443, stalled: true } }),
    "all(not(dst 10.0.0.1|10.0.0.2), not(dst 443-443), not(stalled))",
  );
  assertEquals(meaning({ dport: 443, not: { state: "estab" } }), `all(dst 443-443, not(state ${stateMask("ESTAB")}))`);
});

Deno.test("states: the connected ones unless others are asked for", () => {
  const states = (selection: Selection) => compileSelection(selection, names).states;
  assertEquals(states({ dst: "any" }), CONNECTED);
  assertEquals(states({ state: "time-wait" }), stateMask("TIME-WAIT"));
  assertEquals(states({ state: ["time-wait", "listen"], dport: 1 }), stateMask("TIME-WAIT", "LISTEN"));
  assertEquals(states({ filter: "dport = 1" }), CONNECTED);
  assertEquals(states({ filter: "state listening" }), ALL_STATES);
  assertEquals(states({ dst: "any", not: { filter: "state established" } }), CONNECTED);
});

Deno.test("each filter means its own states, or else the usual ones", () => {
  const listening = stateMask("LISTEN");
  assertEquals(
    meaning({ filter: ["state listening", "dport = :443"] }),
    `any(state ${listening}, all(state ${CONNECTED}, dst 443-443))`,
  );
  assertEquals(
    meaning({ filter: "dport = :443", state: "listening" }),
    `all(state ${listening}, dst 443-443, state ${listening})`,
  );
});

Deno.test("what is not a connection cannot be hung up on", () => {
  const states = (selection: Selection, destroy = false) =>
    connectionsOnly(compileSelection(selection, names), destroy).states;
  assertEquals(states({ state: "all" }), CONNECTED);
  assertEquals(states({ state: ["listening", "established"] }), stateMask("ESTAB"));
  assertEquals(states({ state: "time-wait" }, true), stateMask("TIME-WAIT"));
  for (const selection of [{ state: "listening" }, { filter: "state listening" }, { state: "time-wait" }]) {
    assertThrows(() => states(selection), UsageError, "listeners never, time-wait takes destroy");
  }
  assertThrows(() => states({ filter: "state closed" }, true), UsageError);
});

Deno.test("a selection that selects nothing is refused, however it is dressed", () => {
  const empty: Selection[] = [
    {},
    { version: 4 },
    { netns: "all" },
    { not: { dst: "10.0.0.1", pid: 1 } },
    { stalled: false, noKeepalive: false, srcGone: false, closeWait: false },
  ];
  for (const selection of empty) {
    assertThrows(
      () => compileSelection(selection, names),
      UsageError,
      "The selection is empty",
      JSON.stringify(selection),
    );
  }
  for (const filter of ["", "  "]) assertThrows(() => meaning({ filter }), UsageError, "Empty filter");
});

Deno.test("who holds it, where it is and its keepalive are no matter of a row", () => {
  const target = compileSelection({
    pid: ["12", 13],
    comm: "a*",
    children: true,
    netns: ["x", "y"],
    noKeepalive: true,
    not: { exe: "b", netns: "z" },
  }, names);
  assertEquals(target.filter, { op: "all", terms: [] });
  assertEquals(target.heldBy, { pid: [12, 13], comm: ["a*"], exe: [], cgroup: [], container: [] });
  assertEquals(target.notHeldBy, { pid: [], comm: [], exe: ["b"], cgroup: [], container: [] });
  assertEquals([target.netns, target.notNetns, target.keepalive, target.children], [["x", "y"], ["z"], false, true]);
  const plain = compileSelection({ dst: "any", not: { noKeepalive: true } }, names);
  assertEquals([plain.heldBy, plain.netns, plain.local, plain.keepalive], [undefined, undefined, undefined, true]);
});

Deno.test("what is malformed is refused with its text", () => {
  const wrong: [Selection, string][] = [
    [{ pid: "x" }, 'Not a process: "x"'],
    [{ pid: 0 }, 'Not a process: "0"'],
    [{ pid: 2 ** 31 }, 'Not a process: "2147483648"'],
    [{ state: "open" }, 'Unknown state "open"'],
    [{ user: "nobody-here" }, 'No user "nobody-here"'],
    [{ mark: "x" }, 'found "x"'],
    [{ interface: "eth1" }, 'No interface "eth1"'],
    [{ dst: "any", children: true }, "Option children needs pid or not.pid"],
    [{ dst: "any", missingOk: true }, "Option missingOk needs cgroup or not.cgroup"],
    [{ state: "estab1ished" }, 'Unknown state "estab1ished": did you mean "established"?'],
    [{ noKeepalive: true, not: { noKeepalive: true } }, "give noKeepalive once"],
    [{ dst: "any", not: { dport: "70000" } }, "70000"],
  ];
  for (const [selection, text] of wrong) {
    assertThrows(() => compileSelection(selection, names), UsageError, text, JSON.stringify(selection));
  }
});

Deno.test("NUL is refused wherever there is text", () => {
  const kinds = "dst src dport sport dstFile filter state interface mark user pid comm exe cgroup container netns";
  for (const kind of kinds.split(" ")) {
    for (const value of ["10.0.0.1\0.example", ["10.0.0.1", "10.0.0.2\0"]]) {
      assertThrows(() => compileSelection({ [kind]: value }, names), UsageError, "NUL in", kind);
      assertThrows(() => compileSelection({ dst: "any", not: { [kind]: value } }, names), UsageError, "NUL in", kind);
    }
  }
});

Deno.test("interfaces are looked up anew in each namespace, hosts are not", () => {
  let interfaces: Record<string, number> = { eth0: 2 };
  const asked: string[] = [];
  const { local } = compileSelection(
    { dst: "db.example", interface: "eth0", netns: "all" },
    namesIn(() => interfaces, asked),
  );
  interfaces = { eth0: 9 };
  assertEquals(show(local!.compile(() => [])), "all(dst 10.0.0.1|fd00::1, interface 9)");
  interfaces = {};
  // Bound to no interface that there is; nor, for --not, to this one.
  assertEquals(show(local!.compile(() => [])), "all(dst 10.0.0.1|fd00::1, interface 4294967295)");
  local!.verify();
  assertEquals(asked, ["db.example"]);
});

Deno.test("an interface that no namespace has is refused in the end", () => {
  const { local } = compileSelection({ interface: "eth1", netns: "all" }, names);
  local!.compile(() => []);
  assertThrows(() => local!.verify(), UsageError, 'No interface "eth1"');
});

Deno.test("--src-gone compares with the addresses of the namespace", () => {
  const { local } = compileSelection({ srcGone: true }, names);
  const here = ["127.0.0.0/8", "10.0.0.1"].map((text) => parsePrefix(text)!);
  assertEquals(show(local!.compile(() => here)), "all(not(src 127.0.0.0/8|10.0.0.1), not(transparent))");
});

Deno.test("what lasts of a filter matches a connection for its whole life", () => {
  const { filter } = compileSelection(
    { dst: "10.0.0.1", state: "estab", idleForMs: 5, not: { sport: 80, stalled: true, user: 1 } },
    names,
  );
  assertEquals(show(stableConditions(filter)), "all(dst 10.0.0.1, not(src 80-80))");
  assertEquals(
    stableConditions({ op: "any", terms: [{ op: "stalled" }, { op: "port", side: "dst", from: 1, to: 1 }] }),
    {
      op: "any",
      terms: [{ op: "all", terms: [] }, { op: "port", side: "dst", from: 1, to: 1 }],
    },
  );
});
