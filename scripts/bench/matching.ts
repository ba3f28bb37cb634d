// What our matcher costs, beside the dump whose rows it decides about: the ratio is of its time alone to the dump's.

import { parsePrefix } from "../../src/model/address.ts";
import { all, type Filter, not } from "../../src/select/filter.ts";
import { compileMatcher, type Matcher } from "../../src/select/matcher.ts";
import { CONNECTED } from "../../src/model/tcp_states.ts";
import { SockDiag } from "../../src/linux/netlink/sock_diag.ts";
import { median } from "./measure.ts";
import type { Row } from "./row.ts";
import { World } from "./world.ts";

const SOCKETS = 50_000;
const PROCESSES = 4;
const TIMES = 25;

const AF_UNSPEC = 0;
const IPPROTO_TCP = 6;

function prefixes(count: number): Filter {
  const random = () => Math.floor(Math.random() * 256);
  const texts = Array.from({ length: count }, () => `127.${random()}.${random()}.${random()}`);
  return { op: "address", side: "dst", prefixes: texts.map((text) => parsePrefix(text)!) };
}

const port = (from: number, to = from): Filter => ({ op: "port", side: "dst", from, to });

const FILTERS: Record<string, Filter> = {
  "an address and a port": all([prefixes(1), port(9000)]),
  "10000 addresses": prefixes(10_000),
  "three kinds and an exception": all([port(1, 65_000), not(prefixes(100)), { op: "uid", uid: 0 }, not(port(22))]),
};

/** How long a dump of everything takes, in milliseconds, when each row is decided about. */
function dump(diag: SockDiag, matches: Matcher): number {
  const request = { family: AF_UNSPEC, protocol: IPPROTO_TCP, states: CONNECTED, extensions: 0, bytecode: null };
  let matched = 0;
  const start = performance.now();
  diag.dump(request, (row) => {
    if (matches(row)) matched++;
  });
  return performance.now() - start + 0 * matched;
}

/** Matching, for a few filters. */
export async function matching(): Promise<Row[]> {
  await using _world = await World.open({ 9000: SOCKETS / 2 }, PROCESSES);
  const diag = new SockDiag();
  try {
    return Object.entries(FILTERS).map(([name, filter]) => {
      const matches = compileMatcher(filter);
      const extra: number[] = [];
      const plain: number[] = [];
      for (let i = 0; i < TIMES; i++) {
        const without = dump(diag, () => true);
        plain.push(without);
        extra.push(dump(diag, matches) - without);
      }
      const ms = median(extra);
      const note = `the dump: ${median(plain).toFixed(0)} ms`;
      return { name: `match ${name}`, n: SOCKETS, median_ms: ms, against: "the dump", ratio: ms / median(plain), note };
    });
  } finally {
    diag.close();
  }
}
