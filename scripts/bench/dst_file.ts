// What a long list of destinations costs, beside the one in it that there are connections to.

import { median, time } from "./measure.ts";
import { TCPHUP } from "./paths.ts";
import type { Row } from "./row.ts";
import { World } from "./world.ts";

const ADDRESSES = 10_000;
const SOCKETS = 50_000;
const PROCESSES = 4;
const TIMES = 11;

const PORT = 9000;
/** One of the servers. */
const PEER = "127.0.0.2";

/**
 * A peer, and addresses all over 127.0.0.0/8, where all peers are: so the kernel, whose filter is a few prefixes, lets
 * every socket through, and each is looked up in the list.
 */
function addresses(): string[] {
  const random = (below: number) => Math.floor(Math.random() * below);
  const others = Array.from({ length: ADDRESSES - 1 }, () => `127.${1 + random(254)}.${random(256)}.${random(256)}`);
  return [PEER, ...others];
}

/** `--dst-file` beside one address. */
export async function dstFile(): Promise<Row[]> {
  await using _world = await World.open({ [PORT]: SOCKETS / 2 }, PROCESSES);
  const path = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(path, addresses().join("\n") + "\n");
    const many: number[] = [];
    const one: number[] = [];
    for (let i = 0; i < TIMES; i++) {
      many.push((await time([...TCPHUP, "--dst-file", path, "--dport", `${PORT}`, "--dry-run"])).ms);
      one.push((await time([...TCPHUP, PEER, `${PORT}`, "--dry-run"])).ms);
    }
    const ms = median(many);
    const name = `--dst-file, ${SOCKETS} sockets`;
    const note = `${median(one).toFixed(0)} ms with one`;
    // Pair by pair, so that a machine whose speed drifts does not make the ratio.
    const ratio = median(many.map((ms, i) => ms / one[i]!));
    return [{ name, n: ADDRESSES, median_ms: ms, against: "one address", ratio, note }];
  } finally {
    await Deno.remove(path);
  }
}
