// What /proc says of processes, of this one and of others.

import { assert, assertEquals } from "@std/assert";
import { O_DIRECTORY, open } from "../../../ffi/fs.ts";
import type { Descriptor } from "../../../ffi/descriptor.ts";
import {
  ancestry,
  comm,
  environment,
  openDirectory,
  parent,
  processes,
  readFile,
  readNumbers,
  readStat,
  self,
  terminalsOf,
  threads,
} from "../../../src/linux/proc/process.ts";
import { Dialogue } from "../../harness/lines.ts";
import { functionTest } from "../../harness/needs.ts";
import { python } from "../../harness/peer.ts";
import { withHolder } from "../../resolve/holder.ts";
import { asUnprivileged } from "../../resolve/user.ts";

/** No process has this number: it is above what pid_max can be. */
const NOBODY = 4_194_305;

Deno.test("a file is read whole, however long it is", async () => {
  assertEquals(readFile("/proc/self/cmdline"), Deno.readTextFileSync("/proc/self/cmdline"));
  const file = await Deno.makeTempFile();
  try {
    for (const size of [0, 1, 32 * 1024, 32 * 1024 + 1, 200_000]) {
      // Characters of three bytes, so that one lies across the end of a piece.
      const text = "€".repeat(Math.ceil(size / 3));
      await Deno.writeTextFile(file, text);
      assertEquals(readFile(file), text);
    }
  } finally {
    await Deno.remove(file);
  }
});

Deno.test("what is gone reads as null", () => {
  assertEquals(readFile(`/proc/${NOBODY}/stat`), null);
  assertEquals(openDirectory(`/proc/${NOBODY}/fd`), null);
  assertEquals([comm(NOBODY), parent(NOBODY), threads(NOBODY)], ["", 0, []]);
});

functionTest("another user's process reads as null, or is unreadable", ["another user's process"], () => {
  asUnprivileged(() => {
    assertEquals(readFile("/proc/1/environ"), null);
    assertEquals(openDirectory("/proc/1/fd"), "unreadable");
  });
});

Deno.test("a directory's numbers are its entries that are numbers", async () => {
  const path = await Deno.makeTempDir();
  const names = ["0", "7", "42", "1000000", "007", "x", "1x", "-1", "4.2", "1 "];
  for (const name of names) await Deno.writeTextFile(`${path}/${name}`, "");
  const directory = open(path, O_DIRECTORY);
  try {
    assertEquals(readNumbers(directory).sort((a, b) => a - b), [0, 7, 7, 42, 1000000]);
  } finally {
    directory.close();
    await Deno.remove(path, { recursive: true });
  }
});

functionTest("more entries than come at once are all read", ["python3"], async () => {
  await withHolder(["many", 3000], (pid) => {
    const directory = openDirectory(`/proc/${pid}/fd`) as Descriptor;
    try {
      const numbers = readNumbers(directory);
      const expected = [...Deno.readDirSync(`/proc/${pid}/fd`)].map(({ name }) => Number(name));
      assertEquals(numbers.toSorted((a, b) => a - b), expected.sort((a, b) => a - b));
      assert(numbers.length > 3000);
    } finally {
      directory.close();
    }
  });
});

Deno.test("this process is among the processes, with its threads and its parent", () => {
  assertEquals(self(), Deno.pid);
  assert(processes().includes(Deno.pid));
  assert(processes().includes(Deno.ppid));
  assertEquals(parent(Deno.pid), Deno.ppid);
  assert(threads(Deno.pid).includes(Deno.pid));
  assert(threads(Deno.pid).length > 1);
});

functionTest("the threads of a process, be it one or several", ["python3"], async () => {
  await withHolder(["many", 1], (pid) => assertEquals(threads(pid), [pid]));
  await withHolder(["shared-thread"], (pid, { tid }) => assertEquals(threads(pid), [pid, tid]));
});

Deno.test("the line of a process is itself, its parent, that one's parent and so on to the first process", () => {
  const line = ancestry(Deno.pid);
  assertEquals(line.slice(0, 2).map(({ pid }) => pid), [Deno.pid, Deno.ppid]);
  line.forEach(({ parent }, i) => assertEquals(parent, line[i + 1]?.pid ?? 0));
});

const ON_A_TERMINAL = `
import fcntl, os, sys, termios
ends = [os.openpty() for _ in range(300)]  # so that the number of the last one takes more than eight bits
child = os.fork()
if child == 0:
    os.setsid()
    fcntl.ioctl(ends[-1][1], termios.TIOCSCTTY, 0)
    print(os.getpid(), flush=True)
sys.stdin.read()
`;

functionTest("a terminal is known by one number to who has it open and to whom it controls", ["python3"], async () => {
  await using child = Dialogue.start(python(ON_A_TERMINAL));
  const { pid, parent, session, terminal } = readStat(Number(await child.line()))!;
  assertEquals([parent, session], [child.pid, pid]);
  assert(terminalsOf(child.pid).includes(terminal), `${terminal}`);
  assertEquals(terminalsOf(NOBODY), []);
  await child.end();
});

Deno.test("a name may have any characters, and the parent is found behind them", async () => {
  for (const name of ["a) S 1 (b", "()", "new\\nline", "two words"]) {
    await using shell = Dialogue.start(["sh", "-c", `printf '${name}' > /proc/$$/comm; echo; read line`]);
    await shell.line();
    assertEquals(comm(shell.pid), name.replace("\\n", "\n"));
    assertEquals(parent(shell.pid), Deno.pid);
  }
});

Deno.test("a variable of the environment is the one that the process was started with", () => {
  const name = Object.keys(Deno.env.toObject()).find((name) => name !== "_" && environment(name) !== undefined)!;
  assertEquals(environment(name), Deno.env.get(name));
  assertEquals(environment(name, Deno.pid), Deno.env.get(name));
  assertEquals(environment("NO_SUCH_VARIABLE_ANYWHERE"), undefined);
  // Not the end of another one's name.
  assertEquals(environment(name.slice(1)), Deno.env.get(name.slice(1)));
  Deno.env.set("SET_BY_A_TEST", "1");
  assertEquals(environment("SET_BY_A_TEST"), undefined);
  Deno.env.delete("SET_BY_A_TEST");
});
