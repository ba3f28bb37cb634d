// tcphup and ss(8) asked the same: for random sockets and random destinations they list the same connections.

import { assertEquals } from "@std/assert";
import { formatPrefix, parsePrefix } from "../../src/model/address.ts";
import type { Namespace } from "../harness/namespace.ts";
import { Peer } from "../harness/peer.ts";
import { systemTest } from "../harness/system.ts";
import { tcphup } from "../harness/tcphup.ts";
import { Random } from "../select/random.ts";

const IPV4 = ["127.0.0.2", "127.0.0.3", "127.0.1.2", "127.1.0.2", "127.128.0.2", "127.255.255.254"];
const IPV6 = ["::1", "2001:db8::1", "2001:db8::ffff", "2001:db8:0:1::1", "2001:db9::1", "fd00:1:2:3:4:5:6:7"];
const MAPPED = IPV4.map((address) => `::ffff:${address}`);
const PORTS = [80, 443, 1024, 7999, 8000, 8001, 8080, 65535];
const SERVICES: Record<string, number> = { http: 80, https: 443, "http-alt": 8080 };

/** The seed of all choices. It can be set, to see a failure again. */
const SEED = Number(Deno.env.get("SEED") ?? 1 + Math.floor(Math.random() * (2 ** 32 - 1)));

/** A question, in tcphup's words and in ss's. */
interface Question {
  tcphup: string[];
  ss: string[];
}

function randomQuestion(random: Random): Question {
  const [dest, destTerms] = random.one([randomPrefix, randomAddress, () => ["any", []] as const])(random);
  const [port, portTerms] = random.one([randomRange, randomPort, randomService, () => [[], []] as const])(random);
  return { tcphup: [dest, ...port], ss: [...destTerms, ...portTerms] };
}

type Terms = readonly [string, readonly string[]];

function randomAddress(random: Random): Terms {
  const address = random.one([...IPV4, ...IPV6]);
  // Without its length, ss would take the last group of an IPv6 address for a port.
  return [address, [`dst ${address}/${address.includes(":") ? 128 : 32}`]];
}

function randomPrefix(random: Random): Terms {
  const address = random.one([...IPV4, ...IPV6]);
  // To ss v4-mapped addresses are IPv6: it lets a prefix that covers ::ffff:0:0/96 take them. To us they are IPv4.
  const shortest = !address.includes(":") ? 1 : address.startsWith("::") ? 81 : 3;
  const length = shortest + random.below((address.includes(":") ? 128 : 32) - shortest + 1);
  // To ss bits beyond the length are nothing, we refuse them.
  return [formatPrefix(parsePrefix(`${address}/${length}`)!), [`dst ${address}/${length}`]];
}

type PortTerms = readonly [readonly string[], readonly string[]];

function randomPort(random: Random): PortTerms {
  const port = random.one(PORTS);
  return [[`${port}`], [`dport = :${port}`]];
}

function randomRange(random: Random): PortTerms {
  const [from, to] = [random.one(PORTS), random.one(PORTS)].sort((a, b) => a - b);
  return [[`${from}-${to}`], [`dport >= :${from}`, `dport <= :${to}`]];
}

function randomService(random: Random): PortTerms {
  const [name, port] = random.one(Object.entries(SERVICES));
  return [[name], [`dport = :${port}`]];
}

/** Opens random connections: IPv4, IPv6, v4-mapped and MPTCP; some of them closed by the server. */
async function openRandomly(random: Random, server: Peer, client: Peer): Promise<void> {
  for (let i = 0; i < 60; i++) {
    const address = random.one([...IPV4, ...IPV6, ...MAPPED]);
    const protocol = random.below(5) === 0 ? "mptcp" : "tcp";
    const connection = await client.connect(address, random.one(PORTS), { protocol });
    await connection.assertAlive();
    if (protocol === "tcp" && random.below(6) === 0) {
      await (await server.serving(1)).only(connection.ports).close();
    }
  }
}

/** What identifies a row to both: state, both ends and, for plain TCP, the cookie. */
async function askTcphup(netns: Namespace, args: string[]): Promise<string[]> {
  const run = await tcphup(["ls", ...args, "--json"], { netns, code: 0 });
  return run.json().connections.map(({ state, src, dst, cookie, protocol }) => {
    const [from, to] = [src, dst].map(({ address, port }) => `${address} ${port}`);
    return `${state} ${from} ${to} ${protocol === "tcp" ? cookie : protocol}`;
  }).sort();
}

async function askSs(netns: Namespace, terms: string[]): Promise<string[]> {
  const filter = terms.length > 0 ? [`( ${terms.join(" and ")} )`] : [];
  const lines = await netns.ss("-ei", "state", "connected", "exclude", "time-wait", ...filter);
  return lines.map((line) => {
    const [state, , , src = "", dst = ""] = line.split(/\s+/);
    const cookie = line.match(/ sk:([0-9a-f]+)/)?.[1];
    return `${state} ${canonical(src)} ${canonical(dst)} ${/tcp-ulp-mptcp/.test(line) ? "mptcp" : cookie}`;
  }).sort();
}

/** `[::ffff:10.0.0.1]:80`, as ss writes it, as `10.0.0.1 80`. */
function canonical(endpoint: string): string {
  const [, address, port] = endpoint.match(/^\[?(?:::ffff:(?=[\d.]+\]))?(.*?)\]?:(\d+)$/)!;
  return `${address} ${port}`;
}

systemTest("tcphup ls and ss agree", ["IPv6", "MPTCP"], async (netns) => {
  const random = new Random(SEED);
  // What the server has closed is to stay for as long as this takes.
  await netns.exec("sysctl", "-qw", "net.ipv4.tcp_fin_timeout=600");
  for (const address of IPV6.slice(1)) await netns.exec("ip", "address", "add", `${address}/128`, "dev", "lo");
  const server = Peer.start(netns);
  for (const port of PORTS) await server.listen("::", port, { protocol: "mptcp" });
  const client = Peer.start(netns);
  for (let round = 0; round < 3; round++) {
    await openRandomly(random, server, client);
    for (let i = 0; i < 10; i++) {
      const questions = Array.from({ length: 4 }, () => randomQuestion(random));
      await Promise.all(questions.map(async (question) => {
        const context = `SEED=${SEED}: tcphup ls ${question.tcphup.join(" ")}, ss ${question.ss.join(" and ")}`;
        assertEquals(await askTcphup(netns, question.tcphup), await askSs(netns, question.ss), context);
      }));
    }
  }
});
