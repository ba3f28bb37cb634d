// Selections against ss(8): random filters over random sockets, and what ss gets wrong.

import { assert, assertEquals } from "@std/assert";
import { CLONE_NEWNET, setns } from "../../ffi/process.ts";
import { open } from "../../ffi/fs.ts";
import { IPPROTO_TCP } from "../../ffi/socket.ts";
import { parseAddress } from "../../src/model/address.ts";
import { INET_DIAG_CGROUP_ID, INET_DIAG_MARK, type InetDiagMsg } from "../../src/linux/netlink/inet_diag.ts";
import { ALL_STATES, stateMask } from "../../src/model/tcp_states.ts";
import { EVERYTHING } from "../../src/select/filter.ts";
import type { FilterNames } from "../../src/select/names.ts";
import { parseFilter } from "../../src/select/ss/parser.ts";
import { type DumpPlan, mentions, planDumps } from "../../src/select/dump_plan.ts";
import { SockDiag } from "../../src/linux/netlink/sock_diag.ts";
import { UsageError } from "../../src/model/errors.ts";
import { Dialogue } from "../harness/lines.ts";
import type { Namespace } from "../harness/namespace.ts";
import { pythonProgram } from "../harness/peer.ts";
import { quote, run } from "../harness/process.ts";
import { systemTest } from "../harness/system.ts";
import { Random } from "../select/random.ts";

/** How many random filters are tried. */
const FILTERS = Number(Deno.env.get("TCPHUP_FILTERS") ?? 300);
/** Where they start: the same seed makes the same sockets and the same filters. */
const SEED = Number(Deno.env.get("TCPHUP_SEED") ?? 1);
const SOCKETS = 300;

/** Filters that one shell runs ss with, before and after which the sockets must be the same. */
const BATCH = 25;
const SHELLS = 3;

/** ss asks for these. Only newer versions of ss ask for what is bound and nothing else (Linux 6.8). They call it UNCONN. */
const SS_STATES = ALL_STATES & ~stateMask("BOUND-INACTIVE");

/** A namespace with sockets of every kind, and the two ways to look at them. */
class Scene implements AsyncDisposable {
  readonly names: FilterNames;
  readonly #netns: Namespace;
  readonly #diag = new SockDiag();
  readonly #cgroups: Cgroups;
  #application: Application | null = null;

  private constructor(netns: Namespace, cgroups: Cgroups, names: FilterNames) {
    this.#netns = netns;
    this.#cgroups = cgroups;
    this.names = names;
    this.#open();
  }

  static async create(netns: Namespace): Promise<Scene> {
    await addAddresses(netns);
    const cgroups = await Cgroups.create();
    return new Scene(netns, cgroups, await namesOf(netns, cgroups));
  }

  /** Starts the application whose sockets are looked at. */
  async populate(): Promise<void> {
    this.#application = new Application(this.#netns, this.#cgroups.paths);
    await this.renew();
  }

  /** Brings back the sockets in TIME-WAIT. */
  async renew(): Promise<void> {
    await this.#application?.renew();
  }

  get cgroupPaths(): readonly string[] {
    return this.#cgroups.paths;
  }

  /** sock_diag answers for the namespace in which its socket was made. */
  #open(): void {
    using home = open("/proc/thread-self/ns/net");
    using there = open(`/run/netns/${this.#netns.name}`);
    setns(there, CLONE_NEWNET);
    try {
      for (const _ of this.rows(planDumps(EVERYTHING), "bytecode").keys());
    } finally {
      setns(home, CLONE_NEWNET);
    }
  }

  /** What tcphup selects: what the rows do not say, by cookie. */
  rows(plans: readonly DumpPlan[], code: "bytecode" | "fallback"): Map<string, Unsaid> {
    const rows = new Map<string, Unsaid>();
    for (const { families, states, matches, [code]: bytecode } of plans) {
      for (const family of families) {
        this.#diag.dump({ family, protocol: IPPROTO_TCP, states, extensions: 0, bytecode }, (row) => {
          if (matches(row)) rows.set(row.cookie, unsaidBy(row));
        });
      }
    }
    return rows;
  }

  /** What tcphup selects by a filter, by cookie. */
  select(text: string): string[] {
    const { filter, states } = parseFilter(text, this.names);
    return [...this.rows(planDumps(filter, states ?? SS_STATES), "bytecode").keys()].sort();
  }

  /** What ss selects by each filter, by cookie. */
  async ss(filters: readonly string[]): Promise<string[][]> {
    // Not by `ip netns exec`, which hides the cgroups.
    const shell = ["nsenter", `--net=/run/netns/${this.#netns.name}`, "sh", "-e"];
    const script = filters.map((filter) => `ss -tnaHeO ${quote(filter.split(" "))}; echo .`).join("\n");
    const { stdout } = await run(shell, { stdin: script });
    const outputs = stdout.split(/^\.\n/m).slice(0, -1);
    assertEquals(outputs.length, filters.length);
    return outputs.map((output, i) => {
      const lines = output.split("\n").filter((line) => line !== "" && !line.startsWith("UNCONN"));
      return lines.filter((line) => !this.#isMistaken(line, filters[i]!)).map(cookieOf).sort();
    });
  }

  /** Returns whether ss lists a socket in SYN-RECV for `big`, which is all that `bucket` is not: newer versions do. */
  #isMistaken(line: string, filter: string): boolean {
    if (!line.startsWith("SYN-RECV") || !filter.includes("state big")) return false;
    return ((parseFilter(filter, this.names).states ?? ALL_STATES) & stateMask("SYN-RECV")) === 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#diag.close();
    await this.#application?.end();
    await this.#cgroups.remove();
  }
}

/** Which of the things that a filter may ask for a row does not say. */
interface Unsaid {
  mark: boolean;
  cgroup: boolean;
}

function unsaidBy(row: InetDiagMsg): Unsaid {
  return { mark: row.attribute(INET_DIAG_MARK) === null, cgroup: row.attribute(INET_DIAG_CGROUP_ID) === null };
}

function cookieOf(line: string): string {
  const [, cookie] = /\bsk:([0-9a-f]+)/.exec(line) ?? [];
  assert(cookie, `no cookie in "${line}"`);
  return cookie;
}

/** programs/sockets.py */
class Application {
  readonly #program: Dialogue;

  constructor(netns: Namespace, cgroups: readonly string[]) {
    // As with ss: by nsenter, for the cgroups.
    const program = pythonProgram("sockets.py", SEED, SOCKETS, ...cgroups);
    this.#program = Dialogue.start(["nsenter", `--net=/run/netns/${netns.name}`, ...program], "sockets.py");
  }

  async renew(): Promise<void> {
    await this.#program.tell("");
    assertEquals(await this.#program.line(), "ready");
  }

  async end(): Promise<void> {
    await this.#program.end();
  }
}

/** Two cgroup v2 directories of the test's own; none where the host has no cgroup v2, or may not be changed. */
class Cgroups {
  readonly paths: readonly string[];

  private constructor(paths: readonly string[]) {
    this.paths = paths;
  }

  static async create(): Promise<Cgroups> {
    const mounts = await Deno.readTextFile("/proc/self/mounts");
    const root = mounts.split("\n").map((line) => line.split(" ")).find(([, , type]) => type === "cgroup2")?.[1];
    const paths = [1, 2].map((i) => `${root}/tcphup-test-${crypto.randomUUID().slice(0, 8)}-${i}`);
    try {
      for (const path of paths) await Deno.mkdir(path);
    } catch (error) {
      if (root !== undefined && !(error instanceof Error && "code" in error && error.code === "EROFS")) throw error;
      return new Cgroups([]);
    }
    return new Cgroups(paths);
  }

  async remove(): Promise<void> {
    for (const path of this.paths) await Deno.remove(path);
  }
}

async function addAddresses(netns: Namespace): Promise<void> {
  const ip = (line: string) => netns.exec("ip", ...line.split(" "));
  for (const address of ["10.0.0.1", "10.0.0.2", "10.1.0.1"]) await ip(`address add ${address} dev lo`);
  for (const address of ["2001:db8::1", "2001:db8::2", "fd00::1"]) await ip(`address add ${address} dev lo nodad`);
  await ip("link add v0 type veth peer name v1");
  for (const device of ["v0", "v1"]) await ip(`link set ${device} addrgenmode none up`);
  await ip("address add 192.168.7.1/24 dev v0");
  await ip("address add 2001:db8:7::1/64 dev v0 nodad");
  for (const address of ["192.168.7.9", "2001:db8:7::9"]) {
    await ip(`neighbour add ${address} lladdr 02:00:00:00:00:09 dev v0 nud permanent`);
  }
}

/** What a filter may refer to, as it is in the namespace. */
async function namesOf(netns: Namespace, cgroups: Cgroups): Promise<FilterNames> {
  const links: { ifname: string; ifindex: number }[] = JSON.parse(await netns.exec("ip", "-json", "link"));
  const indices = new Map(links.map(({ ifname, ifindex }) => [ifname, ifindex]));
  const range = await netns.exec("cat", "/proc/sys/net/ipv4/ip_local_port_range");
  const [from = NaN, to = NaN] = range.trim().split(/\s+/).map(Number);
  const ids = new Map(cgroups.paths.map((path) => [path, BigInt(Deno.statSync(path).ino!)]));
  const look = <T>(table: Map<string, T>) => (name: string) => {
    const value = table.get(name);
    if (value === undefined) throw new UsageError(`No "${name}"`);
    return value;
  };
  return {
    interfaceIndex: look(indices),
    cgroupId: look(ids),
    localPorts: () => ({ from, to }),
    port: look(new Map([["http-alt", 8080]])),
    addresses: look(new Map([["several.test", ["10.0.0.1", "10.0.0.2", "2001:db8::1"].map((a) => parseAddress(a)!)]])),
  };
}

const words = (text: string) => text.split(" ");
const HOSTS_V4 = words("10.0.0.1 10.0.0.2 10.1.0.1 127.0.0.1 192.168.7.9 10.0.0.0/8 10.0.0.0/16 10.0.0.2/31 127/8");
const NETMASKS = words("10.0.0.0/255.0.0.0 10.1.0.1/255.255.0.0 10.0.0.2/255.255.255.254 10.0.0.1/255.255.255.255");
const HOSTS_V6 = words("[::1] [2001:db8::1] [2001:db8::/64] 2001:db8::/32 [fd00::1/8] [2001:db8:7::9]");
const HOSTS = [...HOSTS_V4, ...NETMASKS, ...HOSTS_V6, "*", ""];
const PORTS = words("8000 8001 8010 8013 8020 8030 2003 2010 32768 40000 40010 60999 0x1f40");
const STATES = words("established syn-sent syn-recv fin-wait-1 fin-wait-2 time-wait close-wait last-ack");
const SETS = words("listening all connected synchronized bucket big");

/**
 * Random filters, within what ss gets right. So without prefixes of length 0; and with `autobound` neither negated nor
 * together with `dev`.
 */
class FilterWriter {
  readonly #random: Random;
  readonly #cgroups: readonly string[];

  constructor(random: Random, cgroups: readonly string[]) {
    this.#random = random;
    this.#cgroups = cgroups;
  }

  /** A filter, its words separated by single blanks. */
  filter(): string {
    const random = this.#random;
    const states = random.chance(0.4) ? Array.from({ length: 1 + random.below(2) }, () => this.#state()) : [];
    const kinds = [...CONDITIONS.slice(0, -2), random.chance(0.5) ? "dev" as const : "autobound" as const];
    const filter = [...states, this.#list(3, kinds)].join(" ");
    return random.chance(0.3) ? filter.replaceAll(/(?<=^| )[&|=!<>()]+(?= |$)/g, escaped) : filter;
  }

  #state(): string {
    const random = this.#random;
    // Never all that there are, since ss then takes it for none having been given.
    return random.chance(0.8)
      ? `state ${random.one([...STATES, ...SETS])}`
      : `exclude ${random.one(["closed", "closing"])}`;
  }

  #list(depth: number, kinds: readonly Kind[]): string {
    const random = this.#random;
    let list = this.#term(depth, kinds);
    for (let more = random.below(4); more > 0; more--) {
      list += ` ${random.one(["and", "&", "&&", "", "or", "|", "||", "or"])} ${this.#term(depth, kinds)}`;
    }
    return list.replaceAll("  ", " ");
  }

  #term(depth: number, kinds: readonly Kind[]): string {
    const random = this.#random;
    if (random.chance(0.25)) {
      return `${random.one(["!", "not"])} ${this.#term(depth, kinds.filter((kind) => kind !== "autobound"))}`;
    }
    if (depth > 0 && random.chance(0.35)) return `( ${this.#list(depth - 1, kinds)} )`;
    return this.#condition(random.one(kinds));
  }

  #condition(kind: Kind): string {
    const random = this.#random;
    const equals = random.one(["=", "==", "eq", "="]);
    const differs = random.one(["!=", "ne", "neq"]);
    const either = random.one([equals, "", differs]);
    switch (kind) {
      case "host": {
        const host = random.one(HOSTS);
        const port = host === "" || random.chance(0.3) ? `:${random.one(PORTS)}` : "";
        return `${random.one(["dst", "src"])} ${random.one([equals, ""])} ${host}${port}`;
      }
      case "port": {
        const operator = random.one([equals, "", differs, ">=", "geq", "ge", "<=", "leq", "le", ">", "gt", "<", "lt"]);
        return `${random.one(["dport", "sport"])} ${operator} ${random.one([":", ""])}${random.one(PORTS)}`;
      }
      case "mark":
        return `fwmark ${either} ${random.one(["0", "1", "0x11", "1/1", "0x10/0x10", "0/0x10"])}`;
      case "cgroup":
        if (this.#cgroups.length === 0) return this.#condition("port");
        return `cgroup ${either} ${random.one(this.#cgroups)}`;
      case "dev":
        return `dev ${either} ${random.one(["lo", "v0", "v1", "1", "77"])}`;
      case "autobound":
        return "autobound";
    }
  }
}

/** An operator as it is posted, so that a shell leaves it alone. */
function escaped(operator: string): string {
  return operator.replaceAll(/./g, "\\$&");
}

const CONDITIONS = ["host", "host", "port", "port", "mark", "cgroup", "dev", "autobound"] as const;
type Kind = (typeof CONDITIONS)[number];

systemTest(`${FILTERS} random filters select what ss selects`, ["IPv6"], async (netns) => {
  await using scene = await Scene.create(netns);
  await scene.populate();
  const writer = new FilterWriter(new Random(SEED), scene.cgroupPaths);
  const batches = Array.from(
    { length: Math.ceil(FILTERS / BATCH) },
    () => Array.from({ length: BATCH }, () => writer.filter().replaceAll("  ", " ")),
  );
  const tally = { filters: 0, sockets: 0, rows: 0, unsaid: 0 };
  while (batches.length > 0) {
    await scene.renew();
    const sockets = scene.rows(planDumps(EVERYTHING, SS_STATES), "bytecode");
    const some = batches.splice(0, SHELLS);
    const theirs = await Promise.all(some.map((batch) => scene.ss(batch)));
    const ours = some.map((batch) => batch.map((text) => selectTwice(scene, text)));
    const after = scene.rows(planDumps(EVERYTHING, SS_STATES), "bytecode");
    if (!sameKeys(sockets, after)) {
      batches.push(...some);
      continue;
    }
    for (const [i, batch] of some.entries()) {
      for (const [j, text] of batch.entries()) {
        const { helped, alone } = ours[i]![j]!;
        assertEquals(helped, alone, `with and without bytecode: ${text}`);
        tally.unsaid += compare(text, helped, theirs[i]![j]!, sockets, scene.names);
        tally.rows += helped.length;
        tally.filters++;
      }
    }
    tally.sockets = sockets.size;
  }
  console.log(JSON.stringify(tally));
  assert(tally.rows > tally.filters * tally.sockets / 20, "the filters select next to nothing");
  assert(tally.rows < tally.filters * tally.sockets * 0.7, "the filters select next to everything");
});

/** What tcphup selects with the kernel's help, and what by the matcher alone. */
function selectTwice(scene: Scene, text: string): { helped: string[]; alone: string[] } {
  const { filter, states } = parseFilter(text, scene.names);
  const compiled = planDumps(filter, states ?? SS_STATES);
  const select = (code: "bytecode" | "fallback") => [...scene.rows(compiled, code).keys()].sort();
  return { helped: select("bytecode"), alone: select("fallback") };
}

/**
 * Fails unless we select what ss does. ss takes a mark or a cgroup that a row does not say (in TIME-WAIT, SYN-RECV) for
 * 0, to us it is unknown and so never a reason to select. Returns in how many sockets that made a difference.
 */
function compare(
  text: string,
  ours: readonly string[],
  theirs: readonly string[],
  sockets: ReadonlyMap<string, Unsaid>,
  names: FilterNames,
): number {
  const { filter } = parseFilter(text, names);
  const [mark, cgroup] = [mentions(filter, "mark"), mentions(filter, "cgroup")];
  const unknown = (cookie: string) => {
    const unsaid = sockets.get(cookie)!;
    return unsaid.mark && mark || unsaid.cgroup && cgroup;
  };
  const selected = new Set(ours);
  const expected = theirs.filter((cookie) => selected.has(cookie) || !unknown(cookie));
  assertEquals(ours, expected, text);
  return theirs.length - expected.length;
}

function sameKeys(a: ReadonlyMap<string, unknown>, b: ReadonlyMap<string, unknown>): boolean {
  return a.size === b.size && [...a.keys()].every((key) => b.has(key));
}

const minus = (a: readonly string[], b: readonly string[]) => a.filter((cookie) => !b.includes(cookie));
const both = (a: readonly string[], b: readonly string[]) => a.filter((cookie) => b.includes(cookie));

/** What ss gets wrong, and what is right, put together from filters that ss gets right. */
const SS_IS_WRONG: {
  what: string;
  filter: string;
  /** Filters for ss. */
  ask: readonly string[];
  /** From what ss says of these, and of the empty filter. */
  right: (all: readonly string[], ...asked: readonly string[][]) => readonly string[];
}[] = [
  {
    what: "of a name with several addresses, ss has the kernel look for the first only",
    filter: "dst several.test",
    ask: ["dst 10.0.0.1 or dst 10.0.0.2 or dst [2001:db8::1]"],
    right: (_, addresses) => addresses,
  },
  {
    what:
      "with dev, ss takes the 32 bits of an IPv4 address for the first of an IPv6 address: 32.1.13.184 is 2001:db8::",
    filter: "( dst 32.1.13.184 or dst 10.0.0.1 ) and ! dev = lo",
    ask: ["dst 10.0.0.1", "dev = lo"],
    right: (_, dst, dev) => minus(dst, dev),
  },
  {
    what: "to its second look, a prefix of length 0 holds both families, so that nothing is left of its negation",
    filter: "not dst 0.0.0.0/0",
    ask: ["dst 0.0.0.0/0"],
    right: minus,
  },
  {
    what: "all IPv6 addresses are not v4-mapped ones, which are IPv4",
    filter: "dst [::/0]",
    ask: ["dst 0.0.0.0/0"],
    right: minus,
  },
  {
    what: "inet: is IPv4, over whichever family of sockets; ss leaves AF_INET6 sockets out altogether",
    filter: "dport >= inet::8010",
    ask: ["dst 0.0.0.0/0", "dport >= :8010"],
    right: (_, ipv4, ports) => both(ipv4, ports),
  },
  {
    what: "its two looks mean different things by autobound, so that some sockets are neither that nor its negation",
    filter: "not autobound",
    ask: ["autobound"],
    right: minus,
  },
];

systemTest("filters that ss gets wrong select what is right", ["IPv6"], async (netns) => {
  await using scene = await Scene.create(netns);
  await scene.populate();
  for (const { what, filter, ask, right } of SS_IS_WRONG) {
    const [all = [], ...asked] = await scene.ss(["", ...ask].map((text) => text || "state all"));
    for (const answer of asked) {
      assert(answer.length > 0 && answer.length < all.length, `${what}: nothing to tell apart`);
    }
    assertEquals(scene.select(filter), right(all, ...asked), what);
  }
});

systemTest("what a row does not say is no reason to select it", ["IPv6"], async (netns) => {
  await using scene = await Scene.create(netns);
  await scene.populate();
  const sockets = scene.rows(planDumps(EVERYTHING, SS_STATES), "bytecode");
  const said = (property: keyof Unsaid) =>
    [...sockets.keys()].filter((cookie) => !sockets.get(cookie)![property]).sort();
  assert(said("cgroup").length < sockets.size, "every row says its cgroup");
  assertEquals([...scene.select("fwmark = 1"), ...scene.select("fwmark != 1")].sort(), said("mark"));
  for (const path of scene.cgroupPaths) {
    assertEquals([...scene.select(`cgroup = ${path}`), ...scene.select(`cgroup != ${path}`)].sort(), said("cgroup"));
  }
});
