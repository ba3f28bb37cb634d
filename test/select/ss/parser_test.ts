// ss(8)'s filter language, read as ss reads it, and what is said of filters that are none.

import { assert, assertEquals, assertThrows } from "@std/assert";
import { parseAddress } from "../../../src/model/address.ts";
import { FilterError } from "../../../src/select/ss/lexer.ts";
import type { FilterNames } from "../../../src/select/names.ts";
import { parseFilter } from "../../../src/select/ss/parser.ts";
import { ALL_STATES } from "../../../src/model/tcp_states.ts";
import { UsageError } from "../../../src/model/errors.ts";
import { Random } from "../random.ts";
import { known, show } from "../words.ts";

const names: FilterNames = {
  addresses: known({
    "db.example": ["10.0.0.1", "10.0.0.2", "2001:db8::1"].map((text) => parseAddress(text)!),
    "four.example": [parseAddress("10.0.0.4")!],
  }, "host"),
  port: known({ ssh: 22, https: 443 }, "service"),
  interfaceIndex: known({ lo: 1, eth0: 2, "7": 3, "a=b": 4, and: 5 }, "interface"),
  cgroupId: known({ "/system.slice": 5n, "a(b)": 6n, "x y": 7n, "a\\x2db": 8n }, "cgroup"),
  localPorts: () => ({ from: 32768, to: 60999 }),
};

function understood(text: string): string {
  const { filter, states } = parseFilter(text, names);
  assertEquals(states, null);
  return show(filter);
}

/** Fails unless each text on the left is understood as the text on its right says. */
function assertUnderstood(cases: Record<string, string>): void {
  for (const [text, expected] of Object.entries(cases)) assertEquals(understood(text), expected, text);
}

function refusal(text: string): FilterError {
  return assertThrows(() => parseFilter(text, names), FilterError) as FilterError;
}

/** Fails unless each filter is refused with this first line, and carets below the words between « and ». */
function assertRefused(cases: Record<string, string>): void {
  for (const [marked, problem] of Object.entries(cases)) {
    const text = marked.replace(/[«»]/g, "");
    const error = refusal(text);
    const [offset, end] = [marked.indexOf("«"), marked.indexOf("»") - 1];
    assertEquals(error.message.split("\n")[0], problem, text);
    assertEquals([error.offset, error.length], [offset, Math.max(1, end - offset)], text);
  }
}

Deno.test("the empty filter is everything", () => {
  assertUnderstood({ "": "all()", " \t\n": "all()" });
});

Deno.test("hosts in every form", () => {
  assertUnderstood({
    "dst 10.0.0.1": "dst 10.0.0.1",
    "dst 10.1.2.3/8": "dst 10.0.0.0/8",
    "dst 193.233.7/24": "dst 193.233.7.0/24",
    "dst 10.0.0.0/255.0.0.0": "dst 10.0.0.0/8",
    "dst 10.1.2.3/255.255.0.0:443": "all(dst 10.1.0.0/16, dst 443-443)",
    "dst 10.1.2.3/255.255.255.255": "dst 10.1.2.3",
    "dst 10/255.0.0.0": "dst 10.0.0.0/8",
    "dst 10.0.0.1/0.0.0.0": "dst 0.0.0.0/0",
    "dst 127/8:80": "all(dst 127.0.0.0/8, dst 80-80)",
    "dst 10.0.0.1:443": "all(dst 10.0.0.1, dst 443-443)",
    "src 10.0.0.0/8:https": "all(src 10.0.0.0/8, src 443-443)",
    "src :443": "src 443-443",
    "src *:443": "src 443-443",
    "dst 10.0.0.1:": "dst 10.0.0.1",
    "dst 10.0.0.1:*": "dst 10.0.0.1",
    "dst *": "all()",
    "dst *:*": "all()",
    "dst any": "all()",
    "dst [::1]": "dst ::1",
    "dst [::1]:443": "all(dst ::1, dst 443-443)",
    "dst [2001:db8::/32]:443": "all(dst 2001:db8::/32, dst 443-443)",
    "dst [2001:db8::]/32:443": "all(dst 2001:db8::/32, dst 443-443)",
    "dst 2001:db8::/32": "dst 2001:db8::/32",
    "dst 2001:db8::/32:443": "all(dst 2001:db8::/32, dst 443-443)",
    "dst [::]/0": "dst ::/0",
    "dst [::ffff:10.0.0.1]": "dst 10.0.0.1",
    "dst [10.0.0.1]:80": "all(dst 10.0.0.1, dst 80-80)",
    "dst [fe80::1%eth0]:80": "all(dst fe80::1, interface 2, dst 80-80)",
    "dst fe80::%eth0/64": "all(dst fe80::/64, interface 2)",
  });
});

Deno.test("a family restricts an address, and what stands for any", () => {
  assertUnderstood({
    "dst inet:10.0.0.1": "dst 10.0.0.1",
    "dst inet6:[::1]:443": "all(dst ::1, dst 443-443)",
    "dst inet:*:443": "all(dst 0.0.0.0/0, dst 443-443)",
    "dst inet6::443": "all(dst ::/0, dst 443-443)",
    "dport = inet6::443": "all(dst ::/0, dst 443-443)",
    "dst inet:db.example": "dst 10.0.0.1|10.0.0.2",
    "dst inet6:db.example": "dst 2001:db8::1",
  });
});

Deno.test("a host name is all of its addresses", () => {
  assertUnderstood({
    "dst db.example": "dst 10.0.0.1|10.0.0.2|2001:db8::1",
    "dst db.example:443": "all(dst 10.0.0.1|10.0.0.2|2001:db8::1, dst 443-443)",
    "not dst db.example": "not(dst 10.0.0.1|10.0.0.2|2001:db8::1)",
  });
});

Deno.test("ports, with every spelling of every comparison", () => {
  const spellings = {
    "dst 8000-8000": ["=", "==", "eq", ""],
    "not(dst 8000-8000)": ["!=", "ne", "neq"],
    "dst 8000-65535": [">=", "ge", "geq"],
    "dst 0-8000": ["<=", "le", "leq"],
    "dst 8001-65535": [">", "gt"],
    "dst 0-7999": ["<", "lt"],
  };
  for (const [expected, operators] of Object.entries(spellings)) {
    for (const operator of operators) {
      for (const port of [":8000", "8000", "0x1f40", ":0x1F40"]) {
        assertUnderstood({ [`dport ${operator} ${port}`]: expected });
      }
    }
  }
  assertUnderstood({
    "sport = :ssh": "src 22-22",
    "sport ssh": "src 22-22",
    "sport *": "all()",
    "sport = :*": "all()",
    "sport = :0": "src 0-0",
    "sport > 65535": "any()",
    "sport < 0": "any()",
  });
});

Deno.test("interfaces by name before number, marks with masks, cgroups", () => {
  assertUnderstood({
    "dev eth0": "interface 2",
    "dev = eth0": "interface 2",
    "dev != lo": "not(interface 1)",
    "dev 12": "interface 12",
    "dev 0": "interface 0",
    "dev 7": "interface 3",
    "fwmark 16": "mark 16/ffffffff",
    "fwmark = 0x01/0x03": "mark 1/3",
    "fwmark ne 0xffffffff": "not(mark 4294967295/ffffffff)",
    "cgroup /system.slice": "cgroup 5",
    "cgroup != /system.slice": "not(cgroup 5)",
  });
});

Deno.test("autobound leaves out accepted sockets, whose port is not one that the kernel chooses", () => {
  assertUnderstood({
    "autobound": "all(autobound, src 32768-60999)",
    "! autobound": "not(all(autobound, src 32768-60999))",
  });
});

Deno.test("!= after dst and src, which ss does not take", () => {
  assertUnderstood({ "dst != 10.0.0.1:443": "not(all(dst 10.0.0.1, dst 443-443))", "src ne [::1]": "not(src ::1)" });
});

Deno.test("every spelling of and, or, not", () => {
  for (const and of ["and", "&", "&&", ""]) {
    assertUnderstood({ [`dport 1 ${and} sport 2 ${and} dev lo`]: "all(dst 1-1, src 2-2, interface 1)" });
  }
  for (const or of ["or", "|", "||"]) {
    assertUnderstood({ [`dport 1 ${or} sport 2 ${or} dev lo`]: "any(dst 1-1, src 2-2, interface 1)" });
  }
  for (const not of ["not", "!"]) {
    assertUnderstood({ [`${not} dport 1 sport 2`]: "all(not(dst 1-1), src 2-2)" });
    assertUnderstood({ [`${not} ( dport 1 sport 2 )`]: "not(all(dst 1-1, src 2-2))" });
    assertUnderstood({ [`${not} ${not} dport 1`]: "not(not(dst 1-1))" });
  }
});

Deno.test("a list is read from left to right, as ss reads it, unless parentheses say otherwise", () => {
  assertUnderstood({
    "dport 1 or dport 2 and sport 3": "all(any(dst 1-1, dst 2-2), src 3-3)",
    "dport 1 or dport 2 sport 3": "all(any(dst 1-1, dst 2-2), src 3-3)",
    "dport 1 and dport 2 or sport 3": "any(all(dst 1-1, dst 2-2), src 3-3)",
    "dport 1 or ( dport 2 and sport 3 )": "any(dst 1-1, all(dst 2-2, src 3-3))",
    "dport 1 or not dport 2 and sport 3": "all(any(dst 1-1, not(dst 2-2)), src 3-3)",
    "( ( dport 1 ) )": "dst 1-1",
  });
});

Deno.test("alternatives between addresses of one side are one set", () => {
  assertUnderstood({ "dst 10.0.0.1 or dst 10.0.0.2 or src 10.0.0.3": "any(src 10.0.0.3, dst 10.0.0.1|10.0.0.2)" });
});

Deno.test("operators may touch their neighbours", () => {
  assertUnderstood({
    "(dport>=8000|sport=:22)&&!dst=10.0.0.1": "all(any(dst 8000-65535, src 22-22), not(dst 10.0.0.1))",
    "not(dst 10.0.0.1)": "not(dst 10.0.0.1)",
    "dport!=22": "not(dst 22-22)",
    "(cgroup /system.slice)": "cgroup 5",
  });
});

Deno.test("a backslash takes a character's meaning from it", () => {
  assertUnderstood({
    "cgroup a(b\\)": "cgroup 6",
    "cgroup x\\ y": "cgroup 7",
    "cgroup a\\\\x2db": "cgroup 8",
    "dev a=b": "interface 4",
    "dev \\and": "interface 5",
    "dst \\10.0.0.1": "dst 10.0.0.1",
  });
});

Deno.test("an operator is one with backslashes too, as it is posted for shells", () => {
  assertUnderstood({
    "dport \\< :100": "dst 0-99",
    "dport \\>\\= :100": "dst 100-65535",
    "dport \\!= :80": "not(dst 80-80)",
    "\\( dport = :80 or sport = :80 \\)": "any(dst 80-80, src 80-80)",
    "\\! \\( dport 80 \\& sport 80 \\)": "not(all(dst 80-80, src 80-80))",
    "dport 80 \\|\\| sport 80": "any(dst 80-80, src 80-80)",
    "cgroup \\a(b\\)": "cgroup 6",
  });
});

Deno.test("quotes may stand around the expression, behind the states too", () => {
  const { filter, states } = parseFilter("state established '( dport = :80 or sport = :80 )'", names);
  assertEquals([show(filter), states], ["any(dst 80-80, src 80-80)", 1 << 1]);
  assertUnderstood({
    "'dport = :80'": "dst 80-80",
    ' "( dport = :80 )" ': "dst 80-80",
  });
});

Deno.test("states come first, and add up", () => {
  const bits = (...states: number[]) => states.reduce((mask, state) => mask | 1 << state, 0);
  const states = (text: string) => parseFilter(text, names).states;
  assertEquals(states("dport 1"), null);
  assertEquals(states("state established"), bits(1));
  assertEquals(states("state ESTABLISHED state syn-sent"), bits(1, 2));
  assertEquals(states("state all"), ALL_STATES);
  assertEquals(states("state connected"), bits(1, 2, 3, 4, 5, 6, 8, 9, 11));
  assertEquals(states("state synchronized"), bits(1, 3, 4, 5, 6, 8, 9, 11));
  assertEquals(states("state bucket"), bits(3, 6));
  assertEquals(states("state big"), bits(1, 2, 4, 5, 7, 8, 9, 10, 11, 13));
  assertEquals(states("exclude listening"), ALL_STATES & ~bits(10));
  assertEquals(states("excl listening exclude closed"), ALL_STATES & ~bits(7, 10));
  assertEquals(states("state connected exclude time-wait"), bits(1, 2, 3, 4, 5, 8, 9, 11));
  assertEquals(states("state syn-rcv state unconnected state listen"), bits(3, 7, 10));
  assertEquals(show(parseFilter("state established dport = :22", names).filter), "dst 22-22");
});

Deno.test("the message is the problem, the filter, and carets below the words that are wrong", () => {
  const error = refusal("dst 10.0.0.0/8 and\tdport = :foo");
  assert(error instanceof UsageError);
  assertEquals(error.text, "dst 10.0.0.0/8 and\tdport = :foo");
  assertEquals(
    error.message,
    [
      `No service "foo"`,
      "  dst 10.0.0.0/8 and dport = :foo",
      "                             ^^^^",
    ].join("\n"),
  );
});

Deno.test("of a long filter the part around the words that are wrong is shown", () => {
  const error = refusal(`${"dport 1 or ".repeat(100_000)}prot 2${" or dport 3".repeat(100_000)}`);
  const [problem = "", part = "", carets = ""] = error.message.split("\n");
  assertEquals(problem.startsWith("Expected a condition"), true);
  assertEquals(part.slice(carets.indexOf("^"), carets.lastIndexOf("^") + 1), "prot");
  assertEquals([part.slice(0, 3), part.at(-1), part.length], ["  …", "…", 124]);
  assertEquals(refusal(`${"x".repeat(1_000_000)}`).message.split("\n")[2], `  ${"^".repeat(60)}`);
});

Deno.test("what is missing is said at the place where it should be", () => {
  const condition = "Expected a condition (dst, src, dport, sport, dev, fwmark, cgroup, autobound), found";
  assertRefused({
    "dst«»": "Expected an address, :port or both, found the end of the filter",
    "dst =«»": "Expected an address, :port or both, found the end of the filter",
    "dst «and» dport 1": `Expected an address, :port or both, found "and"`,
    "dport >= «)»": `Expected a port, found ")"`,
    "dev«»": "Expected the name or the index of an interface, found the end of the filter",
    "fwmark = «(» 1": `Expected a mark or mark/mask, found "("`,
    "cgroup «|»": `Expected the path of a cgroup, found "|"`,
    "dport «!» = :1": `Expected a port, found "!"`,
    "not«»": `${condition} the end of the filter`,
    "dport 1 or«»": `${condition} the end of the filter`,
    "dport 1 or «and» dport 2": `${condition} "and"`,
    "«port» = 22": `Expected a condition, found "port": did you mean "dport"?`,
    "«destination» = 22": `${condition} "destination"`,
    "state «estblished» dport 1": `Expected a state, found "estblished": did you mean "established"?`,
    "dport «\\(»": `Expected a port, found "\\("`,
    "«'dport» 1' or 'dport 2'": `Expected a condition, found "'dport": did you mean "dport"?`,
    "( «'dport» 1' )": `Expected a condition, found "'dport": did you mean "dport"?`,
    "'dport 1«)»'": `")" without a "(" before it`,
    "dport 1 «:2»": `${condition} ":2"`,
    "( «)»": `${condition} ")"`,
    "( dport 1«»": `Expected ")", found the end of the filter`,
    "( dport 1 «state» established )": `Expected ")", found "state"`,
    "dport 1 «)»": `")" without a "(" before it`,
    "dport 1 «state» established": `"state" has to come before the expression`,
    "dst «>» 10.0.0.1": `Expected = or != after dst, found ">"`,
    "dev «lt» lo": `Expected = or != after dev, found "lt"`,
    "state established exclude «established»": `No state is left without "established"`,
  });
  assertEquals(refusal("state foo").message.split(",")[0], "Expected a state (established");
  assertEquals(refusal("state").offset, 5);
});

Deno.test("an operand that is none is said by its kind", () => {
  const address = "Expected an IPv4 or IPv6 address, a prefix such as 10.0.0.0/8, or a host name, found";
  const brackets = "Expected an IPv6 address in brackets, such as [::1] or [::1]:443, found";
  const port = "Expected a port from 0 to 65535 or a service name, found";
  const mark = "Expected a mark or mark/mask, such as 0x10 or 0x10/0xff, found";
  const family = "Only TCP is hung up on: expected the family inet or inet6, found";
  assertRefused({
    "dst «10.0.0»": `${address} "10.0.0"`,
    "dst «10.0.0.256»": `${address} "10.0.0.256"`,
    "dst «10.0.0.0/33:80»": `${address} "10.0.0.0/33"`,
    "dst «10.0.0.0/255.0.255.0»": `${address} "10.0.0.0/255.0.255.0"`,
    "dst «10.0.0.0/255.0.0»": `${address} "10.0.0.0/255.0.0"`,
    "dport = «8000-8100»":
      `A range of ports is two comparisons, as in "dport >= :8000 and dport <= :8100", not "8000-8100"`,
    "dst «[::1/129]»": `${address} "::1/129"`,
    "dst «db.example/24»": `${address} "db.example/24"`,
    "dst «::1»": `${brackets} "::1"`,
    "dst «2001:db8::1»": `${brackets} "2001:db8::1"`,
    "dst «:»": `Expected an address, a port or both, found ":"`,
    "dst «no.example»": `No host "no.example"`,
    "dst «inet6:10.0.0.1»": `"10.0.0.1" has no inet6 address`,
    "dst «inet6:four.example»": `"four.example" has no inet6 address`,
    "dst «[fe80::1%nope]»": `No interface "nope"`,
    "dst «:65536»": `${port} "65536"`,
    "dport = «:-1»": `${port} "-1"`,
    "dport = «010»": `${port} "010"`,
    "dport = «0x»": `${port} "0x"`,
    "dport = «:»": `Expected a port, found ":"`,
    "dport = «nope»": `No service "nope"`,
    "dport > «*»": "No port is > any port: expected a number or a service name",
    "dev «nope»": `No interface "nope"`,
    "fwmark «1/»": `${mark} "1/"`,
    "fwmark «0x100000000»": `${mark} "0x100000000"`,
    "fwmark «010»": `${mark} "010"`,
    "cgroup «/nope»": `No cgroup "/nope"`,
    "dst «unix:/run/x»": `${family} "unix"`,
    "src «link:ip»": `${family} "link"`,
    "dst «netlink:kernel»": `${family} "netlink"`,
    "dport «vsock:5»": `${family} "vsock"`,
  });
});

Deno.test("nesting without end is refused, long lists are not", () => {
  const nested = (open: string, close: string) => `${open.repeat(5000)}dport 1${close.repeat(5000)}`;
  for (const text of [nested("( ", " )"), nested("not ", ""), "dport 1 or dport 2 and ".repeat(5000) + "dport 3"]) {
    assertEquals(refusal(text).message.split("\n")[0], "The filter is nested more than 100 deep");
  }
  const long = Array.from({ length: 5000 }, (_, i) => `( dst 10.0.0.1 and dport ${i} )`).join(" or ");
  assertEquals(understood(long).match(/all\(dst 10.0.0.1, /g)?.length, 5000);
});

Deno.test("any words in any order are read or refused, within the text", () => {
  const words =
    "dst src dport dev fwmark cgroup autobound state not ! ( ) and | = != >= < 22 :22 10.0.0.1 [ ]: inet: %lo / \\ lo *";
  const random = new Random(9);
  let read = 0;
  for (let i = 0; i < 20_000; i++) {
    const text = random.some(6, () => random.one(words.split(" "))).join(random.one([" ", "", "\t"]));
    try {
      parseFilter(text, names);
      read++;
    } catch (error) {
      if (!(error instanceof FilterError)) throw error;
      assert(error.offset <= text.length && error.offset + error.length <= text.length + 1, text);
    }
  }
  assert(read > 1000, `only ${read} of 20000 were filters: the test does not tell much`);
});

Deno.test("an error that is not the user's is passed on", () => {
  const broken: FilterNames = {
    ...names,
    port() {
      throw new TypeError("broken");
    },
  };
  assertThrows(() => parseFilter("dport = x", broken), TypeError, "broken");
});
