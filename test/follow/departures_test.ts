// Departures: when an address has left, by answers at times of our own.

import { assertEquals } from "@std/assert";
import { type Answer, Departures } from "../../src/follow/departures.ts";

const OLD = "192.0.2.1";
const NEW = "192.0.2.2";
const OLD6 = "2001:db8::1";

/** An answer of IPv4 addresses, in which the name has none of IPv6. */
function four(...ipv4: string[]): Answer {
  return { ipv4, ipv6: [] };
}

/** Notes answers every 5 s from 0 on. Returns what has changed, by the second: `15: left 192.0.2.1`. */
function course(departures: Departures, answers: readonly (Answer | null)[], start = 0): string[] {
  return answers.flatMap((answer, i) => {
    const at = start + i * 5000;
    const { added, returned, left } = answer === null
      ? { added: [], returned: [], left: [] }
      : departures.note(answer, at);
    return [["added", added], ["returned", returned], ["left", left]].flatMap(([what, addresses]) =>
      (addresses as string[]).map((address) => `${at / 1000}: ${what} ${address}`)
    );
  });
}

function departures(options: { was?: string[]; afterMs?: number } = {}): Departures {
  return new Departures({ afterMs: 15_000, everyMs: 5000, ...options }, 0);
}

Deno.test("an address leaves when every answer for the time lacked it", () => {
  const some = departures();
  assertEquals(course(some, [four(OLD), four(OLD), four(NEW), four(NEW)]), [`0: added ${OLD}`, `10: added ${NEW}`]);
  assertEquals([some.live, some.left, some.missing, some.stayed], [[NEW], [], [OLD], [OLD, NEW]]);
  assertEquals(some.dueAfter(15_000), 20_000);
  assertEquals(course(some, [four(NEW), four(NEW)], 20_000), [`20: left ${OLD}`]);
  assertEquals([some.live, some.left, some.missing, some.stayed], [[NEW], [OLD], [], [NEW]]);
});

Deno.test("an address that flickers leaves once it stays away", () => {
  const some = departures();
  const flicker = [four(OLD), four(NEW), four(OLD), four(NEW), four(NEW), four(OLD), four(NEW), four(NEW), four(NEW)];
  assertEquals(course(some, flicker), [`0: added ${OLD}`, `5: added ${NEW}`, `40: left ${OLD}`]);
});

Deno.test("an address that returns leaves again", () => {
  const some = departures();
  const first = [four(OLD), four(NEW), four(NEW), four(NEW), four(NEW, OLD), four(NEW), four(NEW)];
  assertEquals(course(some, first).slice(2), [`15: left ${OLD}`, `20: added ${OLD}`, `20: returned ${OLD}`]);
  assertEquals(some.left, []);
  assertEquals(course(some, [four(NEW), four(NEW)], 35_000), [`35: left ${OLD}`]);
});

Deno.test("of a name that answers with a few of many addresses none leaves that comes up in time", () => {
  const all = Array.from({ length: 12 }, (_, i) => `198.51.100.${i}`);
  const some = departures({ afterMs: 30_000 });
  // Four at a time, so that each comes up every 15 s.
  const answers = Array.from({ length: 1000 }, (_, i) => four(...all.slice(i % 3 * 4, i % 3 * 4 + 4)));
  assertEquals(course(some, answers).filter((change) => !change.includes("added")), []);
  assertEquals(some.stayed.length, 12);
  const rest = Array.from({ length: 20 }, (_, i) => four(...all.slice(i % 2 * 4, i % 2 * 4 + 4)));
  assertEquals(course(some, rest, 5_000_000).length, 4);
  assertEquals([...some.left].sort(), all.slice(8).sort());
});

Deno.test("without an answer, and by an empty one, nothing leaves", () => {
  const some = departures();
  const outage = Array.from({ length: 100 }, (_, i) => i % 2 === 0 ? null : four());
  assertEquals(course(some, [four(OLD), four(NEW), ...outage]), [`0: added ${OLD}`, `5: added ${NEW}`]);
  assertEquals([some.live, some.left], [[NEW], []]);
  // The time without answers does not count as one in which they lacked it.
  assertEquals(course(some, [four(NEW), four(NEW)], 600_000), [`605: left ${OLD}`]);
});

Deno.test("a pause of this process does not count", () => {
  const some = departures();
  course(some, [four(OLD), four(NEW)]);
  assertEquals(course(some, [four(NEW)], 3_600_000), []);
  assertEquals(course(some, [four(NEW)], 3_605_000), [`3605: left ${OLD}`]);
});

Deno.test("a family that an answer does not tell stays as it is", () => {
  const some = departures();
  course(some, [{ ipv4: [OLD], ipv6: [OLD6] }]);
  const half: Answer = { ipv4: [NEW], ipv6: null };
  assertEquals(course(some, [half, half, half, half, half], 5000), [`5: added ${NEW}`, `15: left ${OLD}`]);
  assertEquals([some.live, some.left], [[NEW, OLD6], [OLD]]);
  // A name may give one family up.
  assertEquals(course(some, [four(NEW), four(NEW), four(NEW)], 30_000), [`40: left ${OLD6}`]);
});

Deno.test("an address that was live before leaves when the answers lack it", () => {
  const some = departures({ was: [OLD] });
  assertEquals(course(some, [four(NEW), four(NEW), four(NEW)]), [`0: added ${NEW}`]);
  assertEquals(course(some, [four(NEW)], 15_000), [`15: left ${OLD}`]);
  assertEquals(course(departures({ was: [OLD] }), [four(OLD), four(OLD), four(NEW), four(NEW)]), [`10: added ${NEW}`]);
});

Deno.test("everything else counts as elsewhere after the same time, by family", () => {
  const some = departures();
  course(some, [{ ipv4: [NEW], ipv6: null }, four(NEW), four(NEW)]);
  assertEquals(some.settled, []);
  course(some, [{ ipv4: [NEW], ipv6: null }], 15_000);
  assertEquals(some.settled, ["ipv4"]);
  course(some, [four(NEW)], 20_000);
  assertEquals(some.settled, ["ipv4", "ipv6"]);
});

Deno.test("without a time, the first answer that lacks it is enough", () => {
  const some = departures({ afterMs: 0 });
  assertEquals(course(some, [four(OLD), four(NEW)]), [`0: added ${OLD}`, `5: added ${NEW}`, `5: left ${OLD}`]);
});

Deno.test("what has left is forgotten at some time", () => {
  const some = departures();
  const many = Array.from({ length: 5000 }, (_, i) => `10.0.${i >> 8}.${i & 255}`);
  course(some, [four(...many), four(NEW), four(NEW), four(NEW)]);
  assertEquals([some.left.length, some.left.at(-1)], [4096, many.at(-1)]);
});
