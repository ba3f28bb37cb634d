// The queue of the work, as all that take from it see it.

import { assert, assertEquals } from "@std/assert";
import { Queue, queueSize } from "../../src/crew/queue.ts";

const held = (pid: number, fd: number, cookie: string) => ({ owners: [{ pid, fd, comm: "" }], cookie });

Deno.test("a queue says who holds what, what was done, and when to stop", () => {
  const bytes = new Uint8Array(queueSize(2));
  const [ours, theirs] = [new Queue(bytes), new Queue(bytes)];
  ours.fill([held(7, 0, "c0ffee"), held(4194303, 9, "123456789abcdef0")], 5000);
  assertEquals([theirs.count, theirs.linger_ms], [2, 5000]);
  assertEquals([theirs.pid(0), theirs.fd(0), theirs.cookie(0)], [7, 0, [0xc0ffee, 0]]);
  assertEquals([theirs.pid(1), theirs.fd(1), theirs.cookie(1)], [4194303, 9, [0x9abcdef0, 0x12345678]]);

  theirs.setDone(1);
  ours.keep(0);
  assertEquals([ours.isDone(0), ours.isDone(1)], [false, true]);
  assertEquals([ours.isKept(0), ours.isKept(1)], [true, false]);
  assert(!theirs.isStopped);
  ours.stop();
  assert(theirs.isStopped);
  assertEquals([theirs.count, theirs.linger_ms], [2, 5000], "and says nothing else");
});

Deno.test("everything in a queue is taken once, and there is an end to it", () => {
  for (const count of [1, 31, 32, 33, 1000]) {
    const bytes = new Uint8Array(queueSize(count));
    const queues = [new Queue(bytes), new Queue(bytes), new Queue(bytes)];
    queues[0].fill(Array.from({ length: count }, (_, i) => held(1, i, "1")), 0);
    const taken: number[] = [];
    for (let turn = 0;; turn++) {
      const [from, to] = queues[turn % 3].take();
      if (from === to) break;
      for (let i = from; i < to; i++) taken.push(i);
    }
    assertEquals(taken, Array.from({ length: count }, (_, i) => i));
    for (const queue of queues) assertEquals(queue.take(), [count, count]);
  }
});

Deno.test("a queue that is filled again begins anew", () => {
  const queue = new Queue(new Uint8Array(queueSize(2)));
  queue.fill([held(1, 2, "3"), held(1, 3, "4")], 0);
  queue.take();
  queue.setDone(0);
  queue.keep(1);
  queue.fill([held(5, 6, "7"), held(5, 7, "8")], 0);
  assertEquals([queue.isDone(0), queue.isKept(1)], [false, false]);
  assertEquals(queue.take(), [0, 2]);
});
