// mod.ts: the same as the command line, for other programs.

import { assertEquals } from "@std/assert";
import type { HangUpResult } from "../../src/model/result.ts";
import type { KeepaliveReport } from "../../src/report/report.ts";
import { DEFAULTS, UNTOUCHED } from "../harness/keepalive.ts";
import type { Namespace } from "../harness/namespace.ts";
import { DOOMED_PORT, Scene } from "../harness/scene.ts";
import { systemTest } from "../harness/system.ts";

const MODULE = new URL("../../mod.ts", import.meta.url).href;

/** Runs a program that has the library as `tcphup`, and whose last expression, in JSON, is the result. */
async function evaluate(netns: Namespace, expression: string): Promise<unknown> {
  const program = `import * as tcphup from "${MODULE}"; console.log(JSON.stringify(${expression}));`;
  return JSON.parse(await netns.exec(Deno.execPath(), "eval", program));
}

systemTest("list and hangUp", [], async (netns) => {
  const scene = await Scene.make(netns);
  const selection = `{ dst: "127.0.0.2", dport: ${DOOMED_PORT} }`;
  const ports = await evaluate(
    netns,
    `tcphup.listConnections(${selection}).connections.map(({ connection }) => connection.src.port)`,
  );
  assertEquals((ports as number[]).sort(), scene.doomed.ports.sort());

  const dry = await evaluate(netns, `(await tcphup.hangUp(${selection}, { dryRun: true })).hungUp`);
  assertEquals(dry, 0);
  const refused = await evaluate(netns, `(await tcphup.hangUp(${selection}, { max: 2 })).results`) as HangUpResult[];
  assertEquals(refused.map(({ outcome, reason }) => [outcome, reason]), new Array(3).fill(["skipped", "max"]));
  assertEquals(refused.map(({ connection }) => connection.src.port).sort(), scene.doomed.ports.sort());
  await scene.assertUntouched();

  assertEquals(await evaluate(netns, `(await tcphup.hangUp(${selection})).hungUp`), 3);
  await scene.assertHungUp();
});

systemTest("setKeepalive, and what it leaves when it is told to stop", [], async (netns) => {
  const { doomed } = await Scene.make(netns);
  const selection = `{ dst: "127.0.0.2", dport: ${DOOMED_PORT} }`;
  const stopped = `await tcphup.setKeepalive(${selection}, { signal: AbortSignal.abort() })`;
  const { skipped, interrupted } = await evaluate(netns, stopped) as KeepaliveReport;
  assertEquals([skipped, interrupted], [3, true]);
  assertEquals(await doomed.keepalive(), [UNTOUCHED, UNTOUCHED, UNTOUCHED]);

  const set = `await tcphup.setKeepalive(${selection}, { values: { idleS: 20, intervalS: 5, count: 2 } })`;
  const { keepaliveSet, values } = await evaluate(netns, set) as KeepaliveReport;
  assertEquals([keepaliveSet, values?.userTimeoutMs], [3, 30_000]);
  const keepalive = { enabled: true, idle_s: 20, interval_s: 5, count: 2, user_timeout_ms: 30_000 };
  assertEquals(await doomed.keepalive(), [keepalive, keepalive, keepalive]);
});

systemTest("watchKeepalive ends when it is told to, or when nobody wants more of it", [], async (netns) => {
  const { doomed } = await Scene.make(netns);
  const selection = `{ dst: "127.0.0.2", dport: ${DOOMED_PORT} }`;
  const first = `await (async () => {
    for await (const { outcome } of tcphup.watchKeepalive(${selection})) return outcome;
  })()`;
  assertEquals(await evaluate(netns, first), "keepalive-set");
  const rest = `await (async () => {
    const [stop, seen] = [new AbortController(), []];
    const options = { everyMs: 100, signal: stop.signal, onRound: () => seen.length === 2 && stop.abort() };
    for await (const { outcome } of tcphup.watchKeepalive(${selection}, options)) seen.push(outcome);
    return seen;
  })()`;
  assertEquals(await evaluate(netns, rest), ["keepalive-set", "keepalive-set"]);
  assertEquals(await doomed.keepalive(), [DEFAULTS, DEFAULTS, DEFAULTS]);
});

systemTest("watchKeepalive closes what it opened, however it ends", [], async (netns) => {
  await Scene.make(netns);
  const selection = `{ dst: "127.0.0.2", dport: ${DOOMED_PORT} }`;
  // Deno opens sockets of its own, which are neither TCP's nor netlink's.
  const open = `() => {
    const listed = ["netlink", "tcp"].map((name) => Deno.readTextFileSync("/proc/thread-self/net/" + name)).join(" ");
    const inodes = new Set(listed.split(/\\s+/));
    const links = [...Deno.readDirSync("/proc/self/fd")].map(({ name }) => {
      try {
        return Deno.readLinkSync("/proc/self/fd/" + name);
      } catch {
        return "the directory that is read";
      }
    });
    return links.filter((link) => link.includes("pidfd") || inodes.has(/^socket:.(\\d+)/.exec(link)?.[1]));
  }`;
  const ended = await evaluate(
    netns,
    `await (async () => {
      const open = ${open};
      const watch = async (options, each) => {
        try {
          for await (const _ of tcphup.watchKeepalive(${selection}, options)) if (each() === "leave") break;
          return "ended";
        } catch (error) {
          return error.message;
        }
      };
      const fail = (message) => { throw new Error(message); };
      const stop = new AbortController();
      const ends = [];
      const during = [];
      await watch({}, () => (during.push(...open()), "leave"));
      if (during.length === 0) return "nothing is open while it lasts";
      ends.push(await watch({}, () => "leave"));
      ends.push(await watch({ off: true }, () => fail("from the loop")));
      ends.push(await watch({ onRound: () => fail("from onRound") }, () => {}));
      // The second round is a minute away when the signal is aborted.
      ends.push(await watch({ everyMs: 60_000, signal: stop.signal, onRound: () => setTimeout(() => stop.abort()) }, () => {}));
      ends.push(await watch({ signal: AbortSignal.abort() }, () => fail("never")));
      return [...ends, ...open()];
    })()`,
  );
  assertEquals(ended, ["ended", "from the loop", "from onRound", "ended", "ended"]);
});

systemTest("plan", [], async (netns) => {
  const plan =
    "tcphup.planKeepalive({ values: tcphup.valuesWithin(30), sysctls: tcphup.readSysctls(), hosts: 200 }).idleMs";
  assertEquals(await evaluate(netns, plan), 30_000);
});

systemTest("what is wrong is thrown as an error of its own, and nothing is touched", [], async (netns) => {
  const scene = await Scene.make(netns);
  for (const selection of ["{}", `{ dst: "127.0.0.256" }`, `{ dst: "127.0.0.2", dport: 65536 }`]) {
    const name = await evaluate(netns, `await tcphup.hangUp(${selection}).catch(({ name }) => name)`);
    assertEquals(name, "UsageError", selection);
  }
  const wrong = [
    "{ values: { idleS: 40000 } }",
    "{ off: true, values: { count: 3 } }",
    "{ off: true, onlyMissing: true }",
  ];
  for (const options of wrong) {
    const set = `await tcphup.setKeepalive({ dst: "any" }, ${options}).catch(({ name }) => name)`;
    assertEquals(await evaluate(netns, set), "UsageError", options);
  }
  await scene.assertUntouched();
});

systemTest("followName ends when it is told to, or when nobody wants more of it", [], async (netns) => {
  const scene = await Scene.make(netns);
  await netns.hosts(["127.0.0.1 localhost", "127.0.0.9 db.internal"]);
  const options = `{ selection: { dport: ${DOOMED_PORT}, version: 4 }, was: "127.0.0.2", everyMs: 100, afterMs: 300 }`;
  const first = `await (async () => {
    for await (const { event } of tcphup.followName("db.internal", { ...${options}, dryRun: true })) return event;
  })()`;
  assertEquals(await evaluate(netns, first), "started");
  await scene.assertUntouched();
  const rest = `await (async () => {
    const [stop, seen] = [new AbortController(), []];
    for await (const { event, report } of tcphup.followName("db.internal", { ...${options}, signal: stop.signal })) {
      seen.push(report?.hungUp ?? event);
      if (report) stop.abort();
    }
    return seen;
  })()`;
  assertEquals(await evaluate(netns, rest), ["started", "left", 3, "ended"]);
  await scene.assertHungUp();
  const wrong = `await tcphup.followName("10.0.0.5").next().catch(({ name }) => name)`;
  assertEquals(await evaluate(netns, wrong), "UsageError");
});
