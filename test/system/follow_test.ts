// tcphup follow: hanging up on what a name, or a file, has left. Real name servers, real resolvers.

import { assert, assertEquals, assertMatch } from "@std/assert";
import type { JsonDocument } from "../../src/cli/output/json.ts";
import type { FollowEvent } from "../../src/follow.ts";
import { Directory } from "../harness/directory.ts";
import { Lines } from "../harness/lines.ts";
import { Namespace } from "../harness/namespace.ts";
import { type Connections, Peer, pythonProgram } from "../harness/peer.ts";
import { eventually } from "../harness/process.ts";
import { PgPool } from "../harness/pg.ts";
import { deadPeer, DOOMED_PORT } from "../harness/scene.ts";
import { NameServer, postgresql } from "../harness/servers.ts";
import { type Need, systemTest } from "../harness/system.ts";
import { engineOf, TCPHUP, tcphup } from "../harness/tcphup.ts";

const OLD = "127.0.0.2";
const NEW = "127.0.0.3";
const PORT = 8000;
const NAME = "db.internal";
/** Soon, and yet with several answers in between. */
const SOON = ["--every=200ms", "--after=1s"];

type Event = JsonDocument<FollowEvent> & { time: string };
type EventOf<Name extends FollowEvent["event"]> = Event & { event: Name };

/** A follow that runs until it is told to end. Its events are read in order, and none is skipped unless a test says so. */
class Follow {
  readonly #child: Deno.ChildProcess;
  readonly #events: Lines;
  readonly #stderr: Promise<string>;

  constructor(netns: Namespace, args: readonly string[]) {
    this.#child = netns.spawn([...TCPHUP, "follow", ...args, "--json-lines"]);
    this.#events = new Lines(this.#child.stdout);
    this.#stderr = new Response(this.#child.stderr).text();
  }

  get pid(): number {
    return this.#child.pid;
  }

  async next(): Promise<Event> {
    const [line] = await this.#events.next(1);
    return JSON.parse(line!);
  }

  /** Waits for the next event, which has to be of this kind. */
  async event<Name extends FollowEvent["event"]>(name: Name): Promise<EventOf<Name>> {
    const event = await this.next();
    assertEquals(event.event, name, JSON.stringify(event));
    return event as EventOf<Name>;
  }

  /** Ends it. Returns the events that were not yet read, without the last. */
  async end(signal: Deno.Signal = "SIGTERM"): Promise<Event[]> {
    this.#child.kill(signal);
    const events: Event[] = (await this.#events.rest()).map((line) => JSON.parse(line));
    assertEquals([(await this.#child.status).code, await this.#stderr], [0, ""]);
    assertEquals(events.at(-1)?.event, "ended");
    return events.slice(0, -1);
  }
}

/** Servers at both addresses, and a client with connections to each. */
async function pools(netns: Namespace, client = Peer.start(netns)): Promise<[Connections, Connections]> {
  const server = Peer.start(netns);
  await server.listen("0.0.0.0", PORT);
  return [await client.connect(OLD, PORT, { count: 3 }), await client.connect(NEW, PORT, { count: 3 })];
}

systemTest("follow: the record moves, and so do the connections", ["dnsmasq"], async (netns) => {
  await using dns = await NameServer.start(netns, { [NAME]: [OLD] });
  const client = Peer.start(netns);
  const [old, kept] = await pools(netns, client);
  const follow = new Follow(netns, [NAME, `${PORT}`, ...SOON]);
  assertEquals((await follow.event("started")).live, [OLD]);
  await dns.asked(8);
  await old.assertAlive();

  await dns.set({ [NAME]: [NEW] });
  const { live, added, missing } = await follow.event("changed");
  assertEquals([live, added, missing], [[NEW], [NEW], [OLD]]);
  const left = await follow.event("left");
  assertEquals([left.addresses, left.live], [[OLD], [NEW]]);
  const { addresses, report } = await follow.event("cut");
  assertEquals([addresses, report.matched, report.hung_up], [[OLD], 3, 3]);
  await old.assertEnded("EOF");

  // A client that has cached the address.
  const late = await client.connect(OLD, PORT, { count: 2 });
  assertEquals((await follow.event("cut")).report.hung_up, 2);
  await late.assertEnded("EOF");

  await dns.set({ [NAME]: [NEW, OLD] });
  assertEquals((await follow.event("returned")).addresses, [OLD]);
  const again = await client.connect(OLD, PORT, { count: 2 });
  await dns.asked(12);
  await again.assertAlive();
  await kept.assertAlive();
  assertEquals(await follow.end(), []);
  assertEquals(await netns.resetsSent(), 0);
});

systemTest("follow as text, and its end", ["dnsmasq"], async (netns) => {
  await using dns = await NameServer.start(netns, { [NAME]: [OLD] });
  const [old] = await pools(netns);
  const following = netns.spawn([...TCPHUP, "follow", NAME, `${PORT}`, ...SOON]);
  await using lines = new Lines(following.stdout);
  assertEquals(await lines.next(1), [`following ${NAME}: ${OLD}`]);
  await dns.set({ [NAME]: [NEW] });
  assertEquals(await lines.next(3), [
    `${NAME} has changed: ${NEW}; missing: ${OLD}`,
    `left: ${OLD}; live: ${NEW}`,
    `${OLD}: hung up on 3 connections`,
  ]);
  await old.assertEnded("EOF");
  following.kill("SIGINT");
  assertMatch(
    (await lines.next(1))[0]!,
    /^followed for [\d.]+ s: 1 departure, 0 returns, hung up on 3 of 3 connections$/,
  );
  assertEquals((await following.status).code, 0);
});

systemTest("follow: a record that flickers ends with nothing on the old address", ["dnsmasq"], async (netns) => {
  await using dns = await NameServer.start(netns, { [NAME]: [OLD] });
  const client = Peer.start(netns);
  const [old, kept] = await pools(netns, client);
  const follow = new Follow(netns, [NAME, `${PORT}`, ...SOON]);
  await follow.event("started");
  for (let i = 0; i < 4; i++) {
    for (const address of [NEW, OLD]) {
      await dns.set({ [NAME]: [address] });
      await dns.asked(2);
    }
  }
  await old.assertAlive();
  await follow.event("changed");
  await dns.set({ [NAME]: [NEW] });
  assertEquals((await follow.event("left")).addresses, [OLD]);
  assertEquals((await follow.event("cut")).report.hung_up, 3);
  await old.assertEnded("EOF");
  await kept.assertAlive();
  assertEquals(await netns.ss("state", "established", "dst", `${OLD}:${PORT}`), []);
  assertEquals(await follow.end(), []);
});

systemTest("follow: a name server that rotates through many addresses makes no churn", ["dnsmasq"], async (netns) => {
  const all = Array.from({ length: 12 }, (_, i) => `127.0.1.${i + 1}`);
  const server = Peer.start(netns);
  await server.listen("0.0.0.0", PORT);
  const client = Peer.start(netns);
  const connections = await Promise.all(all.map((address) => client.connect(address, PORT)));
  await using dns = await NameServer.start(netns, { [NAME]: all.slice(0, 3) });
  const follow = new Follow(netns, [NAME, `${PORT}`, "--every=100ms", "--after=5s"]);
  await follow.event("started");
  const rotate = async (addresses: readonly string[], rounds: number) => {
    for (let i = 0; i < rounds; i++) {
      for (let from = 0; from < addresses.length; from += 3) {
        await dns.set({ [NAME]: addresses.slice(from, from + 3) });
        await dns.asked(2);
      }
    }
  };
  await rotate(all, 6);
  for (let seen = 3; seen < all.length; seen += 3) await follow.event("changed");
  for (const one of connections) await one.assertAlive();
  // The last three are taken out.
  const rotating = rotate(all.slice(0, 9), 12);
  const { addresses } = await follow.event("left");
  const gone = [...addresses];
  let cut = 0;
  while (gone.length < 3 || cut < 3) {
    const event = await follow.next();
    if (event.event === "left") gone.push(...event.addresses);
    else if (event.event === "cut") cut += event.report.hung_up;
    else throw new Error(JSON.stringify(event));
  }
  assertEquals(gone.sort(), all.slice(9).sort());
  await rotating;
  for (const one of connections.slice(0, 9)) await one.assertAlive();
  for (const one of connections.slice(9)) await one.assertEnded("EOF");
  assertEquals(await follow.end(), []);
});

systemTest("follow: a name server that is dead changes nothing, and delays no cut", ["dnsmasq"], async (netns) => {
  const other = "cache.internal";
  await using dns = await NameServer.start(netns, { [NAME]: [OLD, NEW], [other]: [NEW] });
  const client = Peer.start(netns);
  const [old, kept] = await pools(netns, client);
  const follow = new Follow(netns, [NAME, `${PORT}`, ...SOON]);
  await follow.event("started");
  await dns.set({ [NAME]: [NEW] });
  await follow.event("left");
  await follow.event("cut");
  await old.assertEnded("EOF");

  dns.kill("SIGSTOP");
  const { name, reason } = await follow.event("cannot-resolve");
  assertEquals([name, reason], [NAME, "no name server answers, or it fails (EAI_AGAIN)"]);
  const late = await client.connect(OLD, PORT, { count: 2 });
  assertEquals((await follow.event("cut")).report.hung_up, 2);
  await late.assertEnded("EOF");
  dns.kill("SIGCONT");
  assertEquals((await follow.event("resolves-again")).name, NAME);

  // A name without an address is no answer either.
  await dns.set({ [other]: [NEW] });
  assertMatch((await follow.event("cannot-resolve")).reason, /^it does not exist, or has no address$/);
  await dns.asked(12);
  await kept.assertAlive();
  await dns.set({ [NAME]: [NEW] });
  await follow.event("resolves-again");
  assertEquals(await follow.end(), []);
});

systemTest("follow: a resolver that hangs delays neither a cut nor the end", [], async (netns) => {
  // What is sent to the name server is neither answered nor refused.
  await using other = await Namespace.create();
  await netns.link(other, ["192.0.2.1/24"], ["192.0.2.53/24"]);
  await netns.silence("192.0.2.53", other);
  await netns.nameServer("192.0.2.53", "timeout:30 attempts:5");
  await netns.hosts([`${NEW} ${NAME}`]);
  const client = Peer.start(netns);
  const [old, kept] = await pools(netns, client);
  // The file has its IPv4 address, for that of IPv6 the name server is asked.
  const follow = new Follow(netns, [NAME, `${PORT}`, ...SOON, "--was", OLD]);
  await follow.event("started");
  await follow.event("left");
  await follow.event("cut");
  await old.assertEnded("EOF");
  const { name, reason } = await follow.event("cannot-resolve");
  assertEquals([name, reason], [`${NAME} (IPv6)`, "the resolver has not answered for 10 s"]);
  const late = await client.connect(OLD, PORT);
  await follow.event("cut");
  await late.assertEnded("EOF");
  await kept.assertAlive();
  // Fifty looks have not started as many lookups.
  const status = await Deno.readTextFile(`/proc/${await engineOf(follow.pid)}/status`);
  const [, threads] = /^Threads:\s+(\d+)$/m.exec(status)!;
  assert(Number(threads) < 40, `${threads} threads`);
  assertEquals(await follow.end(), []);
});

for (const failure of ["fail", "mute"]) {
  systemTest(
    `follow: one family of addresses cannot be resolved (${failure}), the other is followed`,
    [],
    async (netns) => {
      const address = "127.0.0.54";
      const serve = async (...answers: string[]) => {
        const program = netns.spawn(pythonProgram("dns.py", address, ...answers));
        assertEquals(await new Lines(program.stdout).next(1), ["ready"]);
        return program;
      };
      await netns.nameServer(address);
      const first = await serve(OLD, failure);
      const [old] = await pools(netns);
      const v6 = await Peer.start(netns).connect("::1", PORT).catch(() => null);
      const follow = new Follow(netns, [NAME, `${PORT}`, ...SOON, "--was", "::1"]);
      const events = [await follow.next(), await follow.next()];
      assertEquals(events.map(({ event }) => event).sort(), ["cannot-resolve", "started"]);
      first.kill("SIGKILL");
      await first.status;
      await serve(NEW, failure);
      const seen: Event[] = [];
      while (seen.at(-1)?.event !== "cut") seen.push(await follow.next());
      const left = seen.filter((event) => event.event === "left");
      assertEquals(left.flatMap((event) => (event as EventOf<"left">).addresses), [OLD]);
      await old.assertEnded("EOF");
      await v6?.assertAlive();
      await follow.end();
    },
  );
}

/** Waits until a process has read so many more times. */
async function reads(pid: number, count: number): Promise<void> {
  const made = async () => Number(/^syscr: (\d+)$/m.exec(await Deno.readTextFile(`/proc/${pid}/io`))![1]);
  const wanted = await made() + count;
  await eventually(`${count} reads`, async () => await made() >= wanted);
}

const POSTGRESQL: Record<typeof PgPool.kinds[number], readonly Need[]> = {
  psycopg2: ["postgresql", "setpriv", "dnsmasq", "psycopg2"],
  "node-postgres": ["postgresql", "setpriv", "dnsmasq"],
};

for (const kind of PgPool.kinds) {
  systemTest(
    `follow: a pool of ${kind} moves to the promoted replica, the old primary stays up`,
    POSTGRESQL[kind],
    async (netns) => {
      await using dns = await NameServer.start(netns, { [NAME]: [OLD] });
      await using primary = await postgresql(netns, OLD);
      await primary.execute("CREATE TABLE writes (number serial)");
      await using replica = await primary.replica(NEW);
      const pool = new PgPool(netns, kind, { host: NAME, clients: 4 });
      await pool.each(({ server }) => server === OLD);
      const follow = new Follow(netns, [NAME, "5432", "--every=200ms", "--after=3s", "--ready"]);
      await follow.event("started");

      await replica.execute("SELECT pg_promote()");
      await primary.execute("ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()");
      await dns.set({ [NAME]: [NEW] });
      // The pool keeps its connections, on which reading goes on.
      await pool.each(({ error }) => error?.includes("read-only transaction") ?? false);
      await follow.event("changed");
      await follow.event("left");
      const { report } = await follow.event("cut");
      assert(report.hung_up >= pool.clients, JSON.stringify(report));
      const changes = await pool.each(({ server }) => server === NEW);
      assertEquals(changes.filter(({ server }) => server === OLD), []);
      await follow.end();
    },
  );
}

systemTest("follow --live-file: replaced, half written, unreadable, gone", [], async (netns) => {
  using directory = new Directory();
  const path = `${directory.path}/live`;
  const replace = async (text: string) => {
    await Deno.writeTextFile(`${path}.new`, text);
    await Deno.rename(`${path}.new`, path);
  };
  await replace(`# both\n${OLD}\n${NEW} # the replica\n`);
  const client = Peer.start(netns);
  const [old, kept] = await pools(netns, client);
  const follow = new Follow(netns, ["--live-file", path, `${PORT}`, "--every=100ms", "--after=1s"]);
  assertEquals((await follow.event("started")).live, [OLD, NEW]);
  for (
    const [text, reason] of [
      [`${NEW}`, "its last line does not end, as in a file that is only half written"],
      ["", "it has no address"],
      [`${NEW}\n127.0.0.\n`, "line 2 is no address"],
    ] as const
  ) {
    await replace(text);
    const event = await follow.event("cannot-resolve");
    assertEquals([event.name, event.reason], [path, reason]);
    await reads(await engineOf(follow.pid), 50);
    await replace(`${OLD}\n${NEW}\n`);
    await follow.event("resolves-again");
  }
  await Deno.remove(path);
  assertEquals((await follow.event("cannot-resolve")).reason, "ENOENT");
  await old.assertAlive();
  await replace(`${NEW}\n`);
  await follow.event("resolves-again");
  await follow.event("left");
  await follow.event("cut");
  await old.assertEnded("EOF");
  await kept.assertAlive();
  assertEquals(await follow.end(), []);
});

systemTest(
  "follow: to a silent address attempts are ended, and who reads late reads end-of-file",
  [],
  async (netns) => {
    await using other = await Namespace.create();
    const { stuck, kept } = await deadPeer(netns, other);
    await stuck.stopReading();
    const client = Peer.start(netns);
    using directory = new Directory();
    const path = `${directory.path}/live`;
    await Deno.writeTextFile(path, "10.1.0.2\n");
    const args = ["--live-file", path, `${DOOMED_PORT}`, "--was", "10.1.0.9", "--every=100ms", "--after=300ms"];
    const follow = new Follow(netns, [...args, "--linger=1s"]);
    await follow.event("started");
    await follow.event("left");
    assertEquals((await follow.event("cut")).report.hung_up, 2);
    for (let i = 0; i < 2; i++) {
      const attempt = await client.beginConnect("10.1.0.9", DOOMED_PORT);
      const { report } = await follow.event("cut");
      assertEquals([report.matched, report.hung_up], [1, 1]);
      await attempt.assertEnded("ECONNRESET");
    }
    await eventually("nothing is left there", async () => {
      return (await netns.ss("state", "connected", "dst", "10.1.0.9")).length === 0;
    });
    await eventually("no error is left", async () => !(await stuck.failing()).includes(true));
    await stuck.goOnReading();
    await stuck.assertEnded("EOF");
    await kept.assertAlive();
    await follow.end();
  },
);

systemTest("follow --elsewhere: everything at the port that is not in the answers", ["dnsmasq"], async (netns) => {
  await using dns = await NameServer.start(netns, { [NAME]: [NEW] });
  const client = Peer.start(netns);
  const [old, kept] = await pools(netns, client);
  const server = Peer.start(netns);
  await server.listen("0.0.0.0", 9000);
  const otherPort = await client.connect(OLD, 9000);
  const spared = await client.connect("127.0.0.9", PORT);
  const args = [NAME, `${PORT}`, ...SOON, "--elsewhere", "--not", "--dst", "127.0.0.9", "--pid", `${client.pid}`];
  const follow = new Follow(netns, args);
  await follow.event("started");
  const { addresses, report } = await follow.event("cut");
  assertEquals([addresses, report.hung_up], [null, 3]);
  await old.assertEnded("EOF");
  await dns.set({ [NAME]: [OLD] });
  await follow.event("changed");
  await follow.event("left");
  assertEquals((await follow.event("cut")).report.hung_up, 3);
  await kept.assertEnded("EOF");
  await otherPort.assertAlive();
  await spared.assertAlive();
  assertEquals(await follow.end(), []);
});

systemTest("follow --ready: waits until the new address accepts connections", ["dnsmasq"], async (netns) => {
  await using dns = await NameServer.start(netns, { [NAME]: [OLD] });
  const server = Peer.start(netns);
  await server.listen(OLD, PORT);
  const old = await Peer.start(netns).connect(OLD, PORT, { count: 3 });
  const follow = new Follow(netns, [NAME, `${PORT}`, ...SOON, "--ready"]);
  await follow.event("started");
  await dns.set({ [NAME]: [NEW] });
  await follow.event("changed");
  await follow.event("left");
  const { live, port, matched } = await follow.event("waiting");
  assertEquals([live, port, matched], [[NEW], PORT, 3]);
  await dns.asked(8);
  await old.assertAlive();
  await server.listen(NEW, PORT);
  assertEquals((await follow.event("cut")).report.hung_up, 3);
  await old.assertEnded("EOF");
  assertEquals(await follow.end(), []);
});

systemTest("follow: pacing ends when the address returns", ["dnsmasq"], async (netns) => {
  await using dns = await NameServer.start(netns, { [NAME]: [OLD, NEW] });
  const [old] = await pools(netns);
  const follow = new Follow(netns, [NAME, `${PORT}`, ...SOON, "--rate=20/m", "--jitter=0"]);
  await follow.event("started");
  await dns.set({ [NAME]: [NEW] });
  await follow.event("left");
  await eventually("the first is cut", async () => (await old.seen()).some(({ ends }) => ends.length > 0));
  await dns.set({ [NAME]: [OLD, NEW] });
  await follow.event("returned");
  const { report } = await follow.event("cut");
  assert(report.hung_up >= 1 && report.hung_up < 3, JSON.stringify(report));
  await dns.asked(10);
  const alive = (await old.seen()).filter(({ ends }) => ends.length === 0);
  assertEquals(alive.length, 3 - report.hung_up);
  assertEquals(await follow.end(), []);
});

systemTest(
  "follow: what cannot be cut is said once; a dry run and a maximum touch nothing",
  ["dnsmasq"],
  async (netns) => {
    await using dns = await NameServer.start(netns, { [NAME]: [NEW] });
    const [old] = await pools(netns);
    const was = [NAME, `${PORT}`, ...SOON, "--was", OLD];
    const dry = new Follow(netns, [...was, "--dry-run"]);
    const few = new Follow(netns, [...was, "--max=2"]);
    for (const follow of [dry, few]) {
      await follow.event("started");
      await follow.event("left");
    }
    const [{ report: would }, { report: refused }] = [await dry.event("cut"), await few.event("cut")];
    assertEquals([would.dry_run, would.would_act], [true, 3]);
    assertEquals([refused.skipped, refused.refused], [3, "3 connections match, more than the 2 allowed"]);
    await dns.asked(20);
    for (const follow of [dry, few]) assertEquals(await follow.end(), []);
    await old.assertAlive();
  },
);

systemTest("follow: an engine that is killed is replaced, and knows what was live", ["dnsmasq"], async (netns) => {
  await using dns = await NameServer.start(netns, { [NAME]: [OLD] });
  const [old, kept] = await pools(netns);
  const following = netns.spawn([...TCPHUP, "follow", NAME, `${PORT}`, "--every=200ms", "--after=2s"]);
  await using lines = new Lines(following.stdout);
  await lines.next(1);
  await dns.set({ [NAME]: [NEW] });
  await lines.next(1);
  Deno.kill(await engineOf(following.pid), "SIGKILL");
  assertEquals(await lines.next(3), [
    `following ${NAME}: ${NEW}`,
    `left: ${OLD}; live: ${NEW}`,
    `${OLD}: hung up on 3 connections`,
  ]);
  await old.assertEnded("EOF");
  await kept.assertAlive();
  following.kill("SIGTERM");
  assertEquals((await following.status).code, 0);
});

systemTest("follow: each line of src/follow/README.md runs", [], async (netns) => {
  const readme = await Deno.readTextFile(new URL("../../src/follow/README.md", import.meta.url));
  const lines = readme.match(/^tcphup follow .*$/gm)!.map((line) => line.replace(/ +#.*$/, "").split(" ").slice(1));
  assert(lines.length >= 5);
  const names = lines.map(([, name]) => name!).filter((name) => !name.startsWith("-"));
  await netns.hosts(names.map((name) => `${OLD} ${name}`));
  using directory = new Directory();
  await Deno.writeTextFile(`${directory.path}/live`, `${OLD}\n`);
  for (const args of lines) {
    const following = netns.spawn([...TCPHUP, ...args, "--ipv4"], { cwd: directory.path });
    await using stdout = new Lines(following.stdout);
    assertMatch((await stdout.next(1))[0]!, new RegExp(`^following .*: ${OLD}$`), args.join(" "));
    following.kill("SIGTERM");
    assertEquals((await following.status).code, 0);
  }
});

systemTest("follow: a name that is given twice is followed as one that is given once", [], async (netns) => {
  await netns.hosts([`${OLD} ${NAME}`]);
  const follow = new Follow(netns, [NAME, "--name", NAME, `${PORT}`, "--ipv4", ...SOON]);
  assertEquals((await follow.event("started")).live, [OLD]);
  assertEquals(await follow.end(), []);
});

systemTest("follow: wrong usage", [], async (netns) => {
  for (
    const [args, message] of [
      [[], /^tcphup: Nothing to follow: expected a host name, or --live-file$/m],
      [["10.0.0.5", "5432"], /^tcphup: Not a host name: "10\.0\.0\.5": expected a name whose addresses change$/m],
      [["any", "5432"], /Not a host name: "any"/],
      [[NAME, "5432", "6"], /Unexpected argument "6": expected tcphup follow NAME \[PORT\]/],
      [["--live-file", "f", "5432", "6"], /Unexpected argument "6": expected tcphup follow --live-file FILE \[PORT\]/],
      [[NAME, "--elsewhere"], /Option --elsewhere needs --dport/],
      [[NAME, "any", "--elsewhere"], /at a port only: expected the port of the peers/],
      [[NAME, "--ready"], /Option --ready needs --dport/],
      [[NAME, "80-90", "--ready"], /at one port only: expected that port/],
      [[NAME, "--dst", "10.0.0.5"], /--dst cannot be given: the names say which peers are meant/],
      [[NAME, "--was", "10.0.0.0/8"], /Not an address: "10\.0\.0\.0\/8"/],
      [[NAME, "--every", "10ms"], /--every "10ms" is out of range: expected 100ms to 24 days/],
      [[NAME, "--name", "[::1]"], /Not a host name: "\[::1\]"/],
      [["--name", "other", "--live-file", "f"], /"other" and --live-file cannot be followed together/],
      [[NAME, "5432", "--netns", "no-such"], /no-such/],
      [[NAME, "--jitter", "5"], /Option --jitter needs --rate or --over/],
      [[NAME, "--interactive"], /"tcphup follow" has no option "--interactive"/],
    ] as [string[], RegExp][]
  ) {
    const run = await tcphup(["follow", ...args], { netns, code: 2 });
    assertEquals([run.stdout, run.stderr.split("\n").length], ["", 2], run.stderr);
    assertMatch(run.stderr, message);
  }
});
