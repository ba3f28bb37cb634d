// Which connections rounds take, and in which order. Later ones take what the first has missed, and nothing that is new.

import { assertEquals } from "@std/assert";
import { Discovery, type DiscoveryOptions, type DiscoveryStages } from "../../src/act/discovery.ts";
import type { Connection } from "../../src/model/connection.ts";
import type { Target } from "../../src/model/result.ts";
import { isInStates } from "../../src/model/tcp_states.ts";
import { PhaseTimer } from "../../src/report/report.ts";
import { sampleConnection } from "../harness/sample.ts";

const LONG_MS = 3_600_000;

/** Makes rounds that list these connections, and have no owner for those whose inode is 0. */
class Rounds {
  readonly discovery: Discovery;
  /** The cookies of what each round has queued. */
  readonly queued: string[][] = [];
  /** Whether each listing asked for tcp_info. */
  readonly asked: boolean[] = [];
  #listed: readonly Connection[] = [];

  constructor(options: DiscoveryOptions = {}) {
    const list = (states = ~0, withInfo = false) => {
      this.asked.push(withInfo);
      return this.#listed.filter(({ state }) => isInStates(state, states));
    };
    const stages = {
      finder: { find: list, owners: undefined, selector: { isInParts: false, remaining: () => this.#listed } },
      resolver: {
        unreadable: 0,
        resolve: (targets: readonly Target[]) => {
          for (const target of targets) {
            target.owners = target.connection.inode === 0 ? [] : [{ pid: 7, fd: 3 as never, comm: "app" }];
          }
        },
      },
      cutQueue: {
        add: (targets: readonly Target[]) => this.queued.push(targets.map(({ connection }) => connection.cookie)),
      },
      escalation: { add() {} },
      timer: new PhaseTimer(),
    };
    const given = { includeSession: true, ...options };
    this.discovery = new Discovery(stages as unknown as DiscoveryStages, given, false);
  }

  async list(...listed: Connection[]): Promise<string[]> {
    this.#listed = listed;
    this.queued.length = 0;
    await this.discovery.round();
    return this.queued.flat();
  }

  outcomeOf(cookie: string): unknown[] {
    const { outcome, reason } = this.discovery.connections.get(cookie)?.result ?? {};
    return [outcome, reason];
  }
}

const connection = (cookie: string, given: Partial<Connection> = {}) => sampleConnection({ cookie, ...given });
const old = connection("a", { silentMs: 0 });
const missed = connection("b", { silentMs: LONG_MS });
const others = [
  connection("c", { silentMs: 0 }),
  // Nothing is known of these.
  connection("d", { silentMs: null }),
  connection("e"),
  connection("f", { state: "SYN-SENT", silentMs: null }),
];

Deno.test("later rounds take what the first has missed, and spare what is new or may be", async () => {
  const rounds = new Rounds();
  assertEquals(await rounds.list(old, ...others.slice(0, 1)), ["a", "c"]);
  assertEquals(rounds.discovery.recovered, 0);
  const more = others.slice(1);
  assertEquals(await rounds.list(old, missed, ...more), ["b"]);
  assertEquals(await rounds.list(old, missed, ...more), []);
  assertEquals(rounds.discovery.recovered, more.length);
  assertEquals(rounds.discovery.connections.total, 3);
  assertEquals(rounds.discovery.nextRound, Infinity);
  assertEquals(rounds.asked, [false, true, true]);
});

Deno.test("with repeat each round takes what is new, and asks for no more than the first", async () => {
  const rounds = new Rounds({ repeat: { forMs: LONG_MS } });
  assertEquals(await rounds.list(old), ["a"]);
  assertEquals(await rounds.list(missed, ...others), ["b", "c", "d", "e", "f"]);
  assertEquals(rounds.discovery.recovered, 0);
  assertEquals(rounds.asked, [false, false]);
});

Deno.test("while connects are refused or go elsewhere, what slipped through before is taken", async () => {
  const rounds = new Rounds({ beforeCuts() {} });
  assertEquals(await rounds.list(old), ["a"]);
  assertEquals(await rounds.list(missed, ...others), ["b", "c", "d", "e", "f"]);
  assertEquals(rounds.discovery.recovered, 0);
});

Deno.test("what was being opened, had no owner, and is established then is left alone", async () => {
  const opening = { state: "SYN-SENT", inode: 0 } as const;
  const rounds = new Rounds();
  assertEquals(await rounds.list(connection("a", opening), connection("b", opening)), []);
  const now = [connection("a", { silentMs: 0 }), connection("b", { state: "SYN-SENT", silentMs: null })];
  assertEquals(await rounds.list(...now), ["b"]);
  assertEquals(rounds.outcomeOf("a"), ["skipped", "recovered"]);
});

Deno.test("what had no owner at first is taken later, although its peer was heard", async () => {
  const rounds = new Rounds();
  assertEquals(await rounds.list(connection("a", { inode: 0 })), []);
  assertEquals(await rounds.list(old), ["a"]);
});

Deno.test("what had no owner at first, and is closing then, is hung up on where its application still reads", async () => {
  const rounds = new Rounds();
  assertEquals(await rounds.list(...["a", "b", "c"].map((cookie) => connection(cookie, { inode: 0 }))), []);
  const closing = { state: "FIN-WAIT-2", silentMs: 0 } as const;
  const now = [
    connection("b", { ...closing, inode: 0 }),
    connection("c", { ...closing, shutdown: 2 }),
    connection("d", closing),
  ];
  assertEquals(await rounds.list(...now), ["c"]);
  assertEquals(rounds.outcomeOf("a"), ["already-gone", "gone"]);
  assertEquals(rounds.outcomeOf("b"), ["already-gone", "closing"]);
  assertEquals(rounds.discovery.recovered, 0);
});

Deno.test("what has data in flight is cut first, attempts to connect last", async () => {
  const listed = [
    connection("a", { state: "SYN-SENT", wqueue: 1 }),
    connection("b"),
    connection("c", { wqueue: 100 }),
    connection("d", { state: "CLOSE-WAIT" }),
    connection("e", { wqueue: 1 }),
  ];
  assertEquals(await new Rounds().list(...listed), ["c", "e", "b", "d", "a"]);
});

const attempts = [
  connection("a", { state: "SYN-SENT", timer: { name: "on", expiresMs: 900, retransmits: 0 } }),
  connection("b", { state: "SYN-SENT", timer: { name: "on", expiresMs: 2900, retransmits: 4 } }),
  connection("c", { state: "SYN-SENT", timer: { name: "on", expiresMs: 3100, retransmits: 2 } }),
];

Deno.test("an attempt to connect is ended where its next SYN is far away", async () => {
  const rounds = new Rounds();
  assertEquals(await rounds.list(...attempts), ["c"]);
  assertEquals(rounds.outcomeOf("a"), ["skipped", "connecting"]);
  assertEquals(rounds.outcomeOf("b"), ["skipped", "connecting"]);
});

for (
  const options of [
    { endsAttempts: true },
    { areOut: true },
    { destroy: true },
    { repeat: { forMs: LONG_MS } },
    { beforeCuts() {} },
  ]
) {
  Deno.test(`each is, whatever its age, with ${Object.keys(options)}`, async () => {
    assertEquals(await new Rounds(options).list(...attempts), ["a", "b", "c"]);
  });
}

Deno.test("what was being opened to a peer that is out, and is established then, is taken", async () => {
  const rounds = new Rounds({ areOut: true });
  assertEquals(await rounds.list(connection("a", { state: "SYN-SENT", inode: 0 })), []);
  assertEquals(await rounds.list(connection("a", { silentMs: 0 })), ["a"]);
});
