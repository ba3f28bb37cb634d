// A process of the test's own that holds sockets: holder.py.

import { Dialogue } from "../harness/lines.ts";
import { PYTHON } from "../harness/needs.ts";

/** A socket, and the descriptor that it is held by. */
export interface Held {
  fd: number;
  inode: number;
}

/** What holder.py can be asked for, and what it answers. */
interface Answers {
  /** A socket under each of these numbers. */
  at: Held[];
  /** So many sockets, under the lowest numbers that are free. */
  many: Held[];
  /** So many sockets that a child holds too. */
  fork: { child: number; sockets: Held[] };
  /** One socket under so many numbers. */
  duplicates: [Held];
  /** One socket under two numbers. */
  twice: Held[];
  /** One socket that is in a message which nobody has received. */
  "in-flight": Held[];
  /** A socket of a thread that has a table of its own. */
  thread: Held & { tid: number };
  /** One of a thread that has none. */
  "shared-thread": Held & { tid: number };
}

/** Runs `test` while a process holds what is asked for. */
export async function withHolder<Do extends keyof Answers>(
  [what, ...numbers]: [Do, ...number[]],
  test: (pid: number, answer: Answers[Do]) => void | Promise<void>,
): Promise<void> {
  const program = new URL("holder.py", import.meta.url).pathname;
  await using holder = Dialogue.start([PYTHON, program, what, ...numbers.map(String)], "holder.py");
  await test(holder.pid, JSON.parse(await holder.line()));
}
