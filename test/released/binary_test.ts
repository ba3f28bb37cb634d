// The compiled program needs nothing beside it, whatever host it is copied to, and leaves nothing there.

import { assert, assertEquals } from "@std/assert";
import { Directory } from "../harness/directory.ts";
import type { Namespace } from "../harness/namespace.ts";
import { type Need, systemTest } from "../harness/system.ts";
import { DOOMED_PORT, Scene } from "../harness/scene.ts";
import { BINARY, tcphup } from "../harness/tcphup.ts";

const HUP = ["127.0.0.2", `${DOOMED_PORT}`];
const USER = 65534;

/** The program, alone in a directory. */
class Alone extends Directory {
  readonly program = `${this.path}/tcphup`;

  constructor() {
    super();
    Deno.copyFileSync(BINARY!, this.program);
    Deno.chmodSync(this.path, 0o755);
  }

  /** Fails if something has joined it. */
  assertAlone(): void {
    assertEquals([...Deno.readDirSync(this.path)].map(({ name }) => name), ["tcphup"]);
  }
}

/** Registers a test of the compiled program, which `prefix` may start in some way of its own. */
function binaryTest(
  name: string,
  needs: readonly Need[],
  body: (
    netns: Namespace,
    alone: Alone,
    hup: (prefix: readonly string[], user?: number) => Promise<unknown>,
  ) => unknown,
): void {
  systemTest(name, ["TCPHUP_COMPILED", ...needs], async (netns) => {
    using alone = new Alone();
    await body(netns, alone, (prefix, user) => {
      return tcphup(HUP, { netns, user, cwd: alone.path, command: [...prefix, alone.program], code: 0 });
    });
    alone.assertAlone();
  });
}

binaryTest("the program alone in a directory, with an empty environment", [], async (netns, _, hup) => {
  const scene = await Scene.make(netns);
  await hup(["env", "-i"]);
  await scene.assertHungUp();
});

binaryTest("from a shell that is not interactive, with its standard input closed", [], async (netns, _, hup) => {
  const scene = await Scene.make(netns);
  await hup(["setsid", "--wait", "sh", "-c", 'exec "$0" "$@" <&-']);
  await scene.assertHungUp();
});

binaryTest("for a user without privileges", ["setpriv"], async (netns, _, hup) => {
  const scene = await Scene.make(netns, { user: USER });
  await hup(["env", "-i"], USER);
  await scene.assertHungUp();
});

/** Runs "$@" where nothing can be written, and fails if something can. */
const READ_ONLY = `
for directory in / /tmp /var/tmp /dev/shm /run; do
  mount --bind "$directory" "$directory" && mount -o remount,bind,ro "$directory" || exit 90
  ! touch "$directory/tcphup-test" 2>/dev/null || exit 91
done
exec "$0" "$@"`;

binaryTest("on a file system that is read-only, without TMPDIR", [], async (netns, _, hup) => {
  const scene = await Scene.make(netns);
  await hup(["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "unshare", "-m", "sh", "-c", READ_ONLY]);
  await scene.assertHungUp();
});

const WRITES =
  /^\d+ +(?:open.*(?:O_WRONLY|O_RDWR|O_CREAT|O_TRUNC)|(?:creat|mk|rename|link|symlink|unlink|truncate|ch))/;

/** Runs a command; its system calls that name a file, and how it ended. */
async function traced(command: readonly string[], netns: Namespace, env: Record<string, string>): Promise<string[]> {
  using directory = new Directory();
  const log = `${directory.path}/log`;
  const output = await netns.run(["strace", "-f", "-o", log, "-e", "trace=%file", ...command], { env });
  assertEquals(output.code, 0, output.stderr);
  return (await Deno.readTextFile(log)).split("\n");
}

binaryTest("nothing is written, and nothing is read from TMPDIR or HOME", ["strace"], async (netns, alone) => {
  const scene = await Scene.make(netns);
  using directory = new Directory();
  const env = { TMPDIR: directory.path, HOME: directory.path, XDG_CACHE_HOME: directory.path };
  const writer = await traced(["sh", "-c", "echo >$TMPDIR/file"], netns, env);
  assert(writer.some((call) => WRITES.test(call)), "a program that writes was not noticed");
  const calls = await traced([alone.program, ...HUP], netns, env);
  assertEquals(calls.filter((call) => WRITES.test(call) || call.includes(directory.path)), []);
  await scene.assertHungUp();
});
