// What a long list of destinations costs, beside a single one.

import { median, run } from "./measure.ts";
import { TCPHUP } from "./paths.ts";
import type { Row } from "./row.ts";
import { World } from "./world.ts";

const ADDRESSES = 10_000;
const SOCKETS = 50_000;
const PROCESSES = 4;
const TIMES = 11;

/**
 * Addresses all over 127.0.0.0/8, where all peers are, but none of them a peer: so the kernel, whose filter is a few
 * prefixes, lets every socket through, and each is looked up in the list.
 */
function addresses(): string[] {
  const random = (below: number) => Math.floor(Math.random() * below);
  return Array.from({ length: ADDRESSES }, () => `127.${1 + random(254)}.${random(256)}.${random(256)}`);
}

/** `--dst-file` beside one address. */
export async function dstFile(): Promise<Row[]> {
  await using _world = await World.open({ 9000: SOCKETS / 2 }, PROCESSES);
  const path = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(path, addresses().join("\n") + "\n");
    const [many, one]: number[][] = [[], []];
    for (let i = 0; i < TIMES; i++) {
      many.push((await run([...TCPHUP, "--dst-file", path, "--dry-run"])).ms);
      one.push((await run([...TCPHUP, "127.1.1.1", "--dry-run"])).ms);
    }
    const ms = median(many);
    const name = `--dst-file, ${SOCKETS} sockets`;
    const note = `${median(one).toFixed(0)} ms with one`;
    return [{ name, n: ADDRESSES, median_ms: ms, against: "one address", ratio: ms / median(one), note }];
  } finally {
    await Deno.remove(path);
  }
}
