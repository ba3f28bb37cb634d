// How long programs with pools of connections wait after a failover, and what they lose, with several things done about it.

import { Lab, POOL_KINDS, type PoolKind, WITH_CGROUPS } from "../../test/harness/failover.ts";
import { Attached } from "../../test/harness/attach.ts";
import { median } from "./measure.ts";
import { TCPHUP } from "./paths.ts";

const NAME = "db.internal";
/** After that, it is not waited any longer. */
const BOUND_MS = 20_000;
const AFTER_MS = 2000;
const TIMES = 3;

/** What became of a pool. */
interface Outcome {
  /** From the call until each client was served. */
  ms: number;
  /** Requests that failed although they were begun after the call. */
  lost: number;
}

type Outcomes = Map<PoolKind, Outcome>;

/** What is done after a failover, in the order of the columns. */
const WAYS = ["nothing", "ss -K", "tcphup", "--redirect", "follow"] as const;
type Way = typeof WAYS[number];

/**
 * Waits until all pools are served, or for so long. Returns what came of each.
 *
 * @param after_ms What is not counted: the time in which nothing is done yet.
 */
async function outcomes(lab: Lab, call: number, after_ms = 0): Promise<Outcomes> {
  const deadline = call + after_ms + BOUND_MS;
  while (Date.now() < deadline && lab.pools.some((pool) => pool.servedAt(call) === null)) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  // Something may be lost yet.
  await new Promise((resolve) => setTimeout(resolve, 1000));
  return new Map(lab.pools.map((pool) => {
    const ms = (pool.servedAt(call) ?? Infinity) - call - after_ms;
    return [pool.kind, { ms, lost: pool.failures(call).length }];
  }));
}

/** Has all pools be served again, however they were left. */
async function heal(lab: Lab, ...addresses: string[]): Promise<void> {
  await lab.netns.exec(...TCPHUP, "hup", ...addresses.flatMap((address) => ["--dst", address]));
  const now = Date.now();
  for (const pool of lab.pools) await pool.served(now);
}

/** What can be done when an address has moved. */
const REMEDIES: Partial<Record<Way, (lab: Lab) => Promise<void>>> = {
  nothing: () => Promise.resolve(),
  "ss -K": async ({ netns, address }) => {
    await netns.exec("ss", "-K", "-tn", "dst", address);
  },
  tcphup: async ({ netns, address }) => {
    await netns.exec(...TCPHUP, address, "--silent-for", "2500ms");
  },
};

type Results = Map<string, Map<Way, Outcomes[]>>;

function add(results: Results, situation: string, way: Way, outcomes: Outcomes): void {
  const ways = results.get(situation) ?? new Map<Way, Outcomes[]>();
  results.set(situation, ways.set(way, [...ways.get(way) ?? [], outcomes]));
}

/**
 * An address moves, to a host that drops what it does not know and back to one that resets that. Returns how long each
 * command itself took while the pools were busy.
 */
async function moveAddress(results: Results): Promise<Map<Way, number[]>> {
  const durations = new Map<Way, number[]>();
  await using lab = await Lab.create();
  await lab.startPools(POOL_KINDS, lab.address);
  for (const [way, remedy] of Object.entries(REMEDIES) as [Way, (lab: Lab) => Promise<void>][]) {
    for (let i = 0; i < (way === "nothing" ? 1 : TIMES); i++) {
      for (const isIdle of [false, true]) {
        for (const drops of [true, false]) {
          const situation = `address, ${drops ? "drops" : "resets"}, ${isIdle ? "idle" : "busy"}`;
          console.error(`measuring ${situation}: ${way} …`);
          const call = await lab.failOver(isIdle, () => lab.moveAddress(), async () => {
            const began = performance.now();
            await remedy(lab);
            if (!isIdle) durations.set(way, [...durations.get(way) ?? [], performance.now() - began]);
          });
          add(results, situation, way, await outcomes(lab, call));
          await heal(lab, lab.address);
        }
      }
    }
  }
  durations.delete("nothing");
  return durations;
}

/** A name moves, whose old address is silent. */
async function moveName(results: Results): Promise<void> {
  await using lab = await Lab.create();
  const [old, live] = lab.hosts.map(({ address }) => address) as [string, string];
  const dns = await lab.nameServer({ [NAME]: [old] });
  await lab.startPools(POOL_KINDS, NAME);
  const start = (...args: string[]) => new Attached(lab.netns.spawn([...TCPHUP, ...args], WITH_CGROUPS));
  for (const way of ["nothing", "--redirect", "follow"] as const) {
    for (let i = 0; i < (way === "nothing" ? 1 : TIMES); i++) {
      for (const isIdle of [false, true]) {
        const situation = `name, ${isIdle ? "idle" : "busy"}`;
        console.error(`measuring ${situation}: ${way} …`);
        let running: Attached | undefined;
        if (way === "follow") {
          running = start("follow", NAME, "--every=200ms", `--after=${AFTER_MS}ms`, "--redirect=live");
          await running.untilLine("following ");
        }
        const call = await lab.failOver(isIdle, () => dns.set({ [NAME]: [live] }), async () => {
          if (way === "follow") await running!.untilLine(`${old}: hung up on `);
          if (way !== "--redirect") return;
          running = start(old, "--redirect", live);
          await running.untilLine("connects are redirected ");
        });
        add(results, situation, way, await outcomes(lab, call, way === "follow" ? AFTER_MS : 0));
        await running?.end();
        await dns.set({ [NAME]: [old] });
        await lab.hosts[0].revive();
        await heal(lab, old, live);
      }
    }
  }
}

/** The slowest of some pools in the middle one of some runs, and what they lost together in the worst one. */
function worst(runs: readonly Outcomes[] | undefined, kinds: readonly PoolKind[]): Outcome | null {
  if (runs === undefined) return null;
  const each = runs.map((run) => kinds.map((kind) => run.get(kind)!));
  return {
    ms: median(each.map((run) => Math.max(...run.map(({ ms }) => ms)))),
    lost: Math.max(...each.map((run) => run.reduce((sum, { lost }) => sum + lost, 0))),
  };
}

function cell(outcome: Outcome | null): string {
  if (outcome === null) return "";
  const time = outcome.ms === Infinity ? `> ${BOUND_MS / 1000} s` : `${(outcome.ms / 1000).toFixed(2)} s`;
  return outcome.lost === 0 ? time : `${time}, ${outcome.lost} lost`;
}

function table(what: string, rows: [string, (way: Way) => Outcome | null][]): string[][] {
  const header = [[what, ...WAYS], ["---", ...WAYS.map(() => "--:")]];
  return [...header, ...rows.map(([name, outcome]) => [name, ...WAYS.map((way) => cell(outcome(way)))])];
}

/** A table of the situations with all pools together, and one of the pools with the worst of the situations. */
export async function failover(): Promise<string[][][]> {
  const results: Results = new Map();
  const durations = await moveAddress(results);
  await moveName(results);
  const situations = [...results].map(([situation, ways]) => {
    return [situation, (way: Way) => worst(ways.get(way), POOL_KINDS)] as [string, (way: Way) => Outcome | null];
  });
  situations.push(["the command itself, busy", (way) => {
    const all_ms = durations.get(way);
    return all_ms === undefined ? null : { ms: median(all_ms), lost: 0 };
  }]);
  const pools = POOL_KINDS.map((kind) => {
    return [kind, (way: Way) => {
      const outcomes = [...results.values()].flatMap((ways) => worst(ways.get(way), [kind]) ?? []);
      return { ms: Math.max(...outcomes.map(({ ms }) => ms)), lost: Math.max(...outcomes.map(({ lost }) => lost)) };
    }] as [string, (way: Way) => Outcome | null];
  });
  return [table("what moves, to which host", situations), table("pool", pools)];
}
