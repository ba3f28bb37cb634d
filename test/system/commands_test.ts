// The lines of README.md and of src/keepalive/README.md that call tcphup, each run by a shell as it stands, on a host that
// has what they name. The recipes have tests of their own (recipes_test.ts).

import { assert, assertEquals, assertMatch } from "@std/assert";
import { Place } from "../harness/attach.ts";
import type { Cgroup } from "../harness/cgroup.ts";
import { Directory } from "../harness/directory.ts";
import { Lines } from "../harness/lines.ts";
import { type Connections, Peer } from "../harness/peer.ts";
import { outputOf, quote } from "../harness/process.ts";
import { systemTest } from "../harness/system.ts";
import { TCPHUP } from "../harness/tcphup.ts";

const ROOT = new URL("../../", import.meta.url);

/** Returns the lines of a document's blocks that call tcphup, without those of the recipes. */
async function linesOf(document: string): Promise<string[]> {
  const text = (await Deno.readTextFile(new URL(document, ROOT))).replace(/^### Recipes$.*?^## /ms, "");
  return [...text.matchAll(/^```\n(.*?)^```$/gms)].flatMap(([, block = ""]) => block.match(/^tcphup .*$/gm) ?? []);
}

/** What a line prints, by what it says. Any other only has to succeed. */
const PRINTS: readonly (readonly [RegExp, RegExp])[] = [
  [/^tcphup doctor/, /^ok +shutdown: hang up: works$/m],
  [/^tcphup ls 192\.0\.2\.10/, / 192\.0\.2\.10:5432 +4242\/python3/m],
  [/^tcphup --dry-run/, /^would act on 3 connections$/m],
  [/^tcphup follow/, /^following db\.internal: 192\.0\.2\.10$/m],
  [/^tcphup 192\.0\.2\.10 5432 +#/, /^hung up on 3 connections$/m],
  [/^tcphup keepalive any 5432/, /^set keepalive on \d connections$/m],
  [/ --attach/, /^attached to the root of cgroup v2/m],
  [/ --watch/, /keepalive/],
  [/^tcphup run/, /^started$/m],
  [/^tcphup plan/, /30 s/],
];

/** Makes a host in small of the mounts, processes and control groups that a program sees. */
const HOST =
  `umount --all --lazy --types cgroup2,cgroup && mount -t cgroup2 none /sys/fs/cgroup && mkdir /sys/fs/cgroup/nginx.service
mount --bind "/etc/netns/$0/hosts" /etc/hosts && mkdir -p /run/netns && mount -t tmpfs none /run/netns
echo ready && exec cat`;

const PID = 4242;

/** Has a line of sh(1) go on until standard input ends. A signal would not reach the process in another PID namespace. */
const UNTIL_TOLD = ` & cat; kill $!; wait $!`;

/** Such a host. Disposing of it ends what runs there. */
class Host implements AsyncDisposable {
  readonly #keeper: Deno.ChildProcess;
  readonly #cgroup: Cgroup;
  /** What runs a command there. */
  readonly within: readonly string[];

  private constructor(keeper: Deno.ChildProcess, place: Place, init: string) {
    this.#keeper = keeper;
    this.#cgroup = place.cgroup;
    const namespaces = ["--cgroup", "--mount", "--pid"];
    this.within = [...place.inside(place.cgroup).within, "nsenter", `--target=${init}`, ...namespaces, "--"];
  }

  static async make(place: Place): Promise<Host> {
    const isolated = ["unshare", "--cgroup", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
    const keeper = place.netns.spawn([...isolated, "sh", "-euc", HOST, place.netns.name], place.inside(place.cgroup));
    await using said = new Lines(keeper.stdout);
    await said.next(1);
    const children = await Deno.readTextFile(`/proc/${keeper.pid}/task/${keeper.pid}/children`);
    return new Host(keeper, place, children.trim());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#keeper.stdin.close();
    await this.#keeper.status;
    await Deno.remove(`${this.#cgroup.directory}/nginx.service`);
  }
}

systemTest("each line of README.md and src/keepalive/README.md runs", [
  "cgroup v2",
  "unshare",
  "/etc/services",
  "permission to use BPF",
], async (netns) => {
  await netns.hosts(["127.0.0.1 localhost", "192.0.2.10 db.internal"]);
  await using place = await Place.make(netns);
  await using host = await Host.make(place);
  const { within } = host;
  await netns.exec("ip", "address", "add", "192.0.2.10/32", "dev", "lo");
  const server = Peer.start(netns);
  for (const port of [5432, 8000]) await server.listen("192.0.2.10", port);
  // The next process of the PID namespace is the one that the document names.
  assertEquals((await netns.run(["sh", "-c", `echo ${PID - 1} >/proc/sys/kernel/ns_last_pid`], { within })).code, 0);
  const client = Peer.start(netns, { within });
  let doomed: Connections | undefined;
  using cwd = new Directory();
  const write = (name: string, text: string) => Deno.writeTextFile(`${cwd.path}/${name}`, text, { mode: 0o755 });
  await write("tcphup", `#!/bin/sh\nexec ${quote(TCPHUP)} "$@"\n`);
  await write("COMMAND", "#!/bin/sh\necho started\n");
  const env = { PATH: `${cwd.path}:${Deno.env.get("PATH")}` };
  const lines = [...await linesOf("README.md"), ...await linesOf("src/keepalive/README.md")];
  assert(lines.length >= 20);
  for (const line of lines) {
    // On a slow machine, nothing might have been heard from them for as long as that.
    if (!line.includes("--silent-for")) {
      doomed ??= await client.connect("192.0.2.10", 5432, { count: 3, source: "127.0.0.1" });
    }
    await client.connect("192.0.2.10", line.includes("keepalive") ? 5432 : 8000, { source: "127.0.0.1" });
    const isEndless = /^tcphup follow| --(?:watch|attach)\b/.test(line);
    const script = `cd ${cwd.path}; ${isEndless ? line.replace(/ +#.*/, UNTIL_TOLD) : line}`;
    const child = netns.spawn(["sh", "-euc", script], { within, env });
    if (isEndless) {
      await using lines = new Lines(child.stdout);
      const [, says] = PRINTS.find(([pattern]) => pattern.test(line))!;
      while (!says.test((await lines.next(1))[0]!));
      await child.stdin.close();
      assertEquals((await child.status).code, 0, line);
      continue;
    }
    const { code, stdout, stderr } = await outputOf(child, [line]);
    assertEquals(code, 0, `${line}: ${stdout}${stderr}`);
    for (const [pattern, says] of PRINTS) if (pattern.test(line)) assertMatch(stdout, says, line);
  }
  await doomed!.assertEnded("EOF");
});
