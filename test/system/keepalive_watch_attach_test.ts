// tcphup keepalive --watch where BPF may be used: new connections have the values from the start, and looking is for the rest.

import { assertEquals, assertMatch } from "@std/assert";
import { Place } from "../harness/attach.ts";
import { DEFAULTS, UNTOUCHED } from "../harness/keepalive.ts";
import { Namespace, uniqueAddress } from "../harness/namespace.ts";
import { eventually } from "../harness/process.ts";
import { DOOMED_PORT, Scene } from "../harness/scene.ts";
import { type Need, systemTest } from "../harness/system.ts";
import { engineOf } from "../harness/tcphup.ts";
import { untilSet, Watch } from "../harness/watch.ts";

const PORT = `${DOOMED_PORT}`;
const ATTACHED =
  /^tcphup: attached: new connections get it as they are made \(BPF\); looking every (.*) for what that /;

function attachTest(name: string, needs: readonly Need[], body: (place: Place) => Promise<void>): void {
  systemTest(`keepalive --watch: ${name}`, ["cgroup v2", "unshare", ...needs], async (netns) => {
    await using place = await Place.make(netns);
    await body(place);
  });
}

/** Starts a watch in a place, which attaches. */
async function watchIn(place: Place, args: readonly string[], interval = "100 ms"): Promise<Watch> {
  const watch = new Watch(place.netns, args, place.inside());
  const [, every] = ATTACHED.exec(await watch.complaint()) ?? [];
  assertEquals(every, interval);
  return watch;
}

attachTest(
  "new connections have the values before their applications have them, open ones as ever",
  [],
  async (place) => {
    const { client, server, doomed, kept } = await Scene.make(place.netns);
    const watch = await watchIn(place, ["127.0.0.2", PORT, "-v", "--watch"], "10 s");
    assertMatch((await watch.lines(3)).join("\n"), / off → 15s\+9\*15s,/);
    await untilSet(doomed);
    const later = await client.connect("127.0.0.2", DOOMED_PORT, { count: 2 });
    assertEquals(await later.keepalive(), [DEFAULTS, DEFAULTS]);
    const other = await client.connect("127.0.0.3", DOOMED_PORT);
    assertEquals(await other.keepalive(), [UNTOUCHED]);
    await using elsewhere = await Namespace.create();
    assertEquals(await (await Scene.make(elsewhere, { count: 1 })).doomed.keepalive(), [UNTOUCHED]);
    const { code, rest, complaints } = await watch.end();
    assertEquals(code, 0);
    assertMatch(complaints.at(-1)!, /^tcphup: looked \d+ times, set keepalive on 3$/);
    assertMatch(rest.join("\n"), new RegExp(`^Destination .*\nto 127\\.0\\.0\\.2:${PORT} +2 +0 +0$`));
    assertEquals(await (await client.connect("127.0.0.2", DOOMED_PORT)).keepalive(), [UNTOUCHED]);
    assertEquals(await kept.keepalive(), [UNTOUCHED, UNTOUCHED, UNTOUCHED]);
    assertEquals((await (await server.serving(10)).keepalive()).filter(({ enabled }) => enabled), []);
  },
);

attachTest("a line for each that was set as it was made, once it is found", [], async (place) => {
  const { client } = await Scene.make(place.netns, { count: 1 });
  const watch = await watchIn(place, ["127.0.0.2", PORT]);
  await watch.lines(1);
  const later = await client.connect("127.0.0.2", DOOMED_PORT);
  const says = `^ESTAB 127.0.0.1:${
    later.ports[0]
  } 127.0.0.2:${PORT} ${client.pid}/python3 keepalive set: as it was made$`;
  assertMatch((await watch.lines(1))[0]!, new RegExp(says));
  assertEquals(await watch.end(), { code: 0, rest: [], complaints: [] });
  const lines = await watchIn(place, ["127.0.0.2", PORT, "--json-lines", "--idle=20"]);
  await lines.lines(2);
  await client.connect("127.0.0.2", DOOMED_PORT);
  const { outcome, reason, before, after } = JSON.parse((await lines.lines(1))[0]!);
  assertEquals([outcome, reason, before, after.idle_s], ["keepalive-set", "attached", null, 20]);
  await lines.end();
});

attachTest(
  "looking sets what an application has set otherwise since, except with --only-missing",
  [],
  async (place) => {
    const { client, doomed } = await Scene.make(place.netns, { count: 1 });
    for (const flags of [[], ["--only-missing"]]) {
      await doomed.setKeepalive({ enabled: false });
      const watch = await watchIn(place, ["127.0.0.2", PORT, ...flags]);
      await watch.lines(1);
      const engine = await engineOf(watch.pid);
      Deno.kill(engine, "SIGSTOP");
      const later = await client.connect("127.0.0.2", DOOMED_PORT);
      assertEquals(await later.keepalive(), [DEFAULTS]);
      await later.setKeepalive({ idle_s: 7200 });
      Deno.kill(engine, "SIGCONT");
      if (flags.length === 0) {
        assertMatch((await watch.lines(1))[0]!, / 7200s\+9\*15s,.* → 15s\+9\*15s,.* keepalive set$/);
        await untilSet(later);
      } else {
        // A later one is found after it.
        await client.connect("127.0.0.2", DOOMED_PORT);
        await watch.lines(1);
        assertEquals(await later.keepalive(), [{ ...DEFAULTS, idle_s: 7200 }]);
      }
      assertEquals((await watch.end()).rest, []);
    }
  },
);

attachTest("looking sets MPTCP sockets, and listeners", ["MPTCP"], async (place) => {
  const watch = await watchIn(place, ["any", "--listeners"]);
  const { doomed } = await Scene.make(place.netns, { count: 2, protocol: "mptcp" });
  await eventually("keepalive on MPTCP", async () => (await doomed.keepalive()).every(({ enabled }) => enabled));
  // What it finds first depends on when it looks.
  let line = "";
  while (!line.startsWith("LISTEN ")) line = (await watch.lines(1))[0]!;
  assertMatch(line, / off → 15s/);
  await watch.end();
});

attachTest("in all network namespaces with --netns all", [], async (place) => {
  const address = uniqueAddress();
  const watch = await watchIn(place, [address, PORT, "--netns", "all", "--watch"], "10 s");
  await using other = await Namespace.create();
  for (const netns of [place.netns, other]) {
    const { doomed, kept } = await Scene.make(netns, { address, count: 1 });
    assertEquals(await doomed.keepalive(), [DEFAULTS]);
    assertEquals(await kept.keepalive(), [UNTOUCHED]);
  }
  await watch.end();
});

attachTest("SIGKILL of either process leaves nothing behind", [], async (place) => {
  const { client } = await Scene.make(place.netns, { count: 1 });
  const isSet = async () => (await (await client.connect("127.0.0.2", DOOMED_PORT)).keepalive())[0]!.enabled;
  const watch = await watchIn(place, ["127.0.0.2", PORT, "--watch"], "10 s");
  assertEquals(await isSet(), true);
  Deno.kill(await engineOf(watch.pid), "SIGKILL");
  assertMatch(await watch.complaint(), /killed by signal 9/);
  // Another engine does without BPF, since it may have been BPF for which the first one was killed.
  assertEquals(await isSet(), false);
  await watch.end("SIGKILL");
});

attachTest("where it may not, or cannot tell, it looks as ever, and says why", ["setpriv"], async (place) => {
  const cases: [string[], RegExp, object?][] = [
    [["--no-bpf"], /: --no-bpf$/],
    [["--comm", "python3"], /: the selection goes by what is not known as a connection is made$/],
    [["--user", "0"], /what is not known/],
    [["--pid", `${Deno.pid}`], /what is not known/],
    [["--not", "--pid", "1"], /what is not known/],
    [["--state", "established"], /what is not known/],
    [[], /BPF is denied: needs CAP_BPF$/, { without: ["bpf", "sys_admin"] }],
    [[], /BPF is denied: needs CAP_BPF and CAP_NET_ADMIN$/, { without: ["bpf", "net_admin", "sys_admin"] }],
    [["--dry-run"], /: nothing is attached in a dry run$/],
  ];
  const { client } = await Scene.make(place.netns, { count: 1 });
  for (const [args, says, options] of cases) {
    const watch = new Watch(place.netns, ["127.0.0.2", "-v", "--watch", ...args], { ...place.inside(), ...options });
    const complaint = await watch.complaint();
    assertMatch(complaint, /^tcphup: looking every 1 s for new connections: /);
    assertMatch(complaint, says);
    assertEquals((await watch.end()).code, 0);
  }
  await using bare = await Place.make(place.netns, { cgroup: false });
  const watch = new Watch(place.netns, ["127.0.0.2", "-v"], bare.inside());
  assertMatch(await watch.complaint(), /cgroup v2 is not mounted here/);
  await untilSet(await client.connect("127.0.0.2", DOOMED_PORT));
  assertEquals((await watch.end()).code, 0);
});
