// The flags that select by what the kernel lists: each alone, together, and the wrong way round with --not.

import { assertEquals } from "@std/assert";
import { Directory } from "../harness/directory.ts";
import { Namespace } from "../harness/namespace.ts";
import { assertSelects, selected } from "../harness/selected.ts";
import { Dialogue } from "../harness/lines.ts";
import { python } from "../harness/peer.ts";
import { assertOneLine, assertUsageError, assertUsageErrors, DOOMED_PORT, KEPT_PORT, Scene } from "../harness/scene.ts";
import { systemTest } from "../harness/system.ts";
import { tcphup } from "../harness/tcphup.ts";

/** A user whom no other program of the host runs as. */
const USER = 54_321;

async function withFile(text: string, use: (path: string) => Promise<void>): Promise<void> {
  using directory = new Directory();
  const path = `${directory.path}/path`;
  await Deno.writeTextFile(path, text);
  await use(path);
}

systemTest("addresses and ports of both ends: one kind is or, several are and", [], async (netns) => {
  const { doomed, kept, client } = await Scene.make(netns);
  const other = await client.connect("127.0.0.3", DOOMED_PORT);
  const [to8000, to9000] = [`${DOOMED_PORT}`, `${KEPT_PORT}`];
  await assertSelects(netns, ["--dst", "127.0.0.2", "--dport", to8000], doomed.ports);
  await assertSelects(netns, ["127.0.0.2", "--dst", "127.0.0.3", "--dport", to8000], [...doomed.ports, ...other.ports]);
  await assertSelects(netns, ["--dport", to8000, "--dport=9000-9001"], [
    ...doomed.ports,
    ...kept.ports,
    ...other.ports,
  ]);
  await assertSelects(netns, ["127.0.0.2", to8000, "--dport", to9000], [...doomed.ports, ...kept.ports]);
  await assertSelects(netns, ["--sport", to8000, "--src", "127.0.0.2"], doomed.ports.map(() => DOOMED_PORT));
  await assertSelects(netns, ["--src", "127.0.0.1", "--dst", "127.0.0.3"], other.ports);
  await assertSelects(netns, ["--dport", to8000, "-6"], []);
});

systemTest("--not leaves out, whatever it stands before", [], async (netns) => {
  const { doomed, kept, client } = await Scene.make(netns);
  const other = await client.connect("127.0.0.3", DOOMED_PORT);
  const clients = ["--src", "127.0.0.1"];
  await assertSelects(netns, [...clients, "--not", "--dst", "127.0.0.3"], [...doomed.ports, ...kept.ports]);
  await assertSelects(netns, [...clients, "--not", "--dst", "127.0.0.3", "--not", "--dport=9000"], doomed.ports);
  await assertSelects(netns, [...clients, "--not", "--dport", "8000", "--not", "--dport", "9000"], []);
  await assertSelects(netns, [...clients, "--not", "-f", "dport = :9000 or dst 127.0.0.2"], other.ports);
  await assertSelects(netns, [...clients, "--not", "--state", "established"], []);
  await assertSelects(netns, ["any", "--not", "--src", "127.0.0.2", "--not", "--src", "127.0.0.3"], [
    ...doomed.ports,
    ...kept.ports,
    ...other.ports,
  ]);
});

systemTest("--filter takes ss's language, and goes with the other flags", [], async (netns) => {
  const { doomed, kept } = await Scene.make(netns);
  await assertSelects(netns, ["-f", "dst 127.0.0.2 and dport = :8000"], doomed.ports);
  await assertSelects(netns, ["-f", "dst 127.0.0.2", "--not", "--dport", "8000"], kept.ports);
  await assertSelects(netns, ["--filter=dport = :8000", "-f", "dport = :9000"], [...doomed.ports, ...kept.ports]);
  await assertSelects(netns, ["-f", "state listening sport = :8000"], [8000]);
  // Where one filter asks for a state, another one still means connections.
  const sockets = await selected(netns, ["-f", "state listening sport = :8000", "-f", "sport = :8000"]);
  assertEquals(sockets.map(({ state }) => state).sort(), ["ESTAB", "ESTAB", "ESTAB", "LISTEN"]);
});

systemTest("--state takes what ss takes", [], async (netns) => {
  const { server } = await Scene.make(netns);
  await (await server.serving(6)).only([]).close();
  await assertSelects(netns, ["--state", "listening"], [DOOMED_PORT, KEPT_PORT]);
  await assertSelects(netns, ["--state", "LISTEN", "--sport", "8000"], [DOOMED_PORT]);
  await assertSelects(netns, ["--state", "syn-sent", "--state", "close-wait"], []);
  const established = await selected(netns, ["--state", "established", "--dport", "8000"]);
  assertEquals(established.map(({ state }) => state), ["ESTAB", "ESTAB", "ESTAB"]);
  assertEquals((await selected(netns, ["--state", "all"])).length, 14);
});

systemTest(
  "--state bound-inactive finds what is bound, and neither listens nor connects",
  ["Linux 6.8"],
  async (netns) => {
    await Scene.make(netns);
    const bound = `import socket, sys
inactive = socket.socket()
inactive.bind(("127.0.0.1", 5555))
print(flush=True)
sys.stdin.read()`;
    await using holder = new Dialogue(netns.spawn(python(bound)), "python3");
    await holder.line();
    await assertSelects(netns, ["--state", "bound-inactive"], [5555]);
    await assertSelects(netns, ["-f", "state bound-inactive sport = :5555"], [5555]);
    await assertSelects(netns, ["--state", "closed"], []);
    await assertSelects(netns, ["--not", "--state", "bound-inactive", "--sport", "5555"], []);
    const { state } = (await selected(netns, ["--state", "bound-inactive"]))[0]!;
    assertEquals(state, "UNCONN", "as ss has it");
    assertUsageError(await tcphup(["--state", "bound-inactive", "--destroy"], { netns }), /listeners never/);
    await holder.end();
  },
);

systemTest("listeners are never hung up on, whatever is said", [], async (netns) => {
  const scene = await Scene.make(netns);
  for (const selection of [["--state", "listening"], ["-f", "state listening"], ["-f", "state closed dport = 1"]]) {
    assertUsageError(await tcphup([...selection, "--destroy"], { netns }), /listeners/);
  }
  assertUsageError(await tcphup(["--state", "time-wait"], { netns }), /--destroy/);
  const run = await tcphup(["--state", "all", "--json", "--sport", "8000"], { netns, code: 0 });
  assertEquals(run.outcomes(), ["hung-up", "hung-up", "hung-up"]);
  await scene.kept.assertAlive();
  await (await scene.client.connect("127.0.0.2", DOOMED_PORT)).assertAlive();
});

systemTest(
  "--dst-file: addresses, prefixes and names, with comments; an empty one selects nothing",
  [],
  async (netns) => {
    await netns.hosts(["127.0.0.4 dead-pod"]);
    const { doomed, kept, client } = await Scene.make(netns);
    const others = await Promise.all(
      ["127.0.0.3", "127.0.0.4", "127.0.0.5"].map((to) => client.connect(to, DOOMED_PORT)),
    );
    const many = Array.from({ length: 5000 }, (_, i) => `10.${i >> 8}.${i & 255}.1 # pod ${i}`).join("\n");
    await withFile(`# dead pods\n\n${many}\r\n127.0.0.2\n  127.0.0.3/32\t# this one too\ndead-pod`, async (path) => {
      const expected = [...doomed.ports, ...others[0]!.ports, ...others[1]!.ports];
      await assertSelects(netns, ["--dst-file", path, "--dport", "8000"], expected);
      await assertSelects(netns, ["--dst-file", path, "--not", "--dport", "8000"], kept.ports);
      await assertSelects(netns, ["--dst-file", path, "--dst", "127.0.0.5", "--dport", "8000"], [
        ...expected,
        ...others[2]!.ports,
      ]);
      await tcphup(["--dst-file", path, "8000", "--json"], { netns, code: 2 });
      const hung = await tcphup(["--dst-file", path, "--dport", "8000", "--json"], { netns, code: 0 });
      assertEquals(hung.json().hung_up, 5);
    });
    await kept.assertAlive();
    await others[2]!.assertAlive();
    await withFile("# none today\n", async (path) => {
      await assertSelects(netns, ["--dst-file", path], []);
      await assertSelects(netns, ["--dst-file", path, "--dst", "127.0.0.5"], others[2]!.ports);
    });
  },
);

systemTest("--dst-file with bad lines: the file and the first of them, and nothing is touched", [], async (netns) => {
  const scene = await Scene.make(netns);
  await withFile("127.0.0.2\n127.0.0.300\n\nnot an address\n10.0.0.0/33 # bad\nany\n127.0.0.9:80\n", async (path) => {
    const run = await tcphup(["--dst-file", path], { netns });
    assertUsageError(run, /: line 2 and 4 more: /);
    assertEquals([run.stderr.includes(path), run.stderr.includes("127.0.0.300")], [true, false]);
  });
  await withFile("127.0.0.2\0.example\n", async (path) => {
    assertUsageError(await tcphup(["--dst-file", path], { netns }), /: line 1: /);
  });
  await withFile("127.0.0.2\n127.0.0.9/8\n", async (path) => {
    assertUsageError(await tcphup(["--dst-file", path], { netns }), /Line 2 .*127\.0\.0\.9\/32 or 127\.0\.0\.0\/8/);
  });
  assertUsageError(await tcphup(["--dst-file", "/dev/zero"], { netns }), /"\/dev\/zero" is larger than 16 MiB/);
  assertUsageError(await tcphup(["--dst-file", "/no/such/file"], { netns }), /\/no\/such\/file.*ENOENT/);
  assertUsageError(await tcphup(["--dst-file", "/"], { netns }), /"\/".*EISDIR/);
  await scene.assertUntouched();
});

systemTest("--user: by number and by name", ["setpriv"], async (netns) => {
  const { doomed, kept } = await Scene.make(netns, { user: USER });
  await assertSelects(netns, ["--user", `${USER}`], [...doomed.ports, ...kept.ports]);
  await assertSelects(netns, ["--user", `${USER}`, "--dport", "8000"], doomed.ports);
  await assertSelects(netns, ["--user", "root", "--dport", "8000"], []);
  await assertSelects(netns, ["any", "--not", "--user", "root"], [...doomed.ports, ...kept.ports]);
  await assertSelects(netns, ["--user", "root", "--user", `${USER}`, "--dport", "8000"], doomed.ports);
  assertUsageError(await tcphup(["--user", "no-such-user"], { netns }), /no-such-user/);
});

systemTest("--mark, with and without a mask", [], async (netns) => {
  const { doomed, kept } = await Scene.make(netns);
  await doomed.setMark(0x1ff);
  await kept.setMark(0x2ff);
  await assertSelects(netns, ["--mark", "0x1ff"], doomed.ports);
  await assertSelects(netns, ["--mark", "511", "--mark", "0x2ff"], [...doomed.ports, ...kept.ports]);
  await assertSelects(netns, ["--mark", "0x200/0xf00"], kept.ports);
  await assertSelects(netns, ["--mark", "0xff/0xff", "--not", "--mark", "0x200/0xf00"], doomed.ports);
  assertUsageError(await tcphup(["--mark", "0xfffffffff"], { netns }), /0xfffffffff/);
});

systemTest(
  "marks that are hidden: refused, whichever way they are asked for",
  ["setpriv", "unshare"],
  async (netns) => {
    const scene = await Scene.make(netns);
    await scene.doomed.setMark(0x1ff);
    const selections = [
      ["--mark", "0x1ff"],
      ["any", "--not", "--mark", "0x1ff"],
      ["-f", "fwmark = 0x1ff or dport = 8000"],
      ["any", "--netns", netns.name, "--netns", `${scene.server.pid}`, "--mark", "0x2ff"],
    ];
    // Root of a user namespace of its own has every capability, but none over a network namespace of the host's.
    const waysToBeLess = [{ netns, without: ["net_admin"] }, {
      netns,
      within: ["unshare", "--user", "--map-root-user"],
    }];
    for (const options of waysToBeLess) {
      for (const selection of selections) {
        const run = await tcphup(selection, { ...options, code: 4 });
        assertOneLine(run, /Marks of sockets are shown to CAP_NET_ADMIN /);
      }
    }
    // In a network namespace of its own it may see them.
    const own = ["unshare", "--user", "--map-root-user", "--net"];
    await tcphup(["--mark", "0x1ff"], { netns, within: own, code: 0 });
    await scene.assertUntouched();
  },
);

systemTest("--interface: what the socket is bound to", [], async (netns) => {
  const { doomed, kept } = await Scene.make(netns);
  await doomed.bindToDevice("lo");
  await assertSelects(netns, ["--interface", "lo"], doomed.ports);
  await assertSelects(netns, ["--interface", "1"], doomed.ports);
  await assertSelects(netns, ["--dst", "127.0.0.2", "--not", "--interface", "lo"], kept.ports);
  assertUsageError(await tcphup(["--interface", "no-such0"], { netns }), /no-such0/);
});

systemTest("--interface is looked up in each namespace, and has to be in one", [], async (netns) => {
  await using other = await Namespace.create();
  // Another index than the one of the same name here.
  await other.exec("ip", "link", "add", "first", "type", "veth", "peer", "name", "second");
  for (const place of [netns, other]) {
    await place.exec("ip", "link", "add", "pair", "type", "veth", "peer", "name", "riap");
  }
  const scenes = [await Scene.make(netns), await Scene.make(other)];
  for (const { doomed } of scenes) await doomed.bindToDevice("pair");
  const namespaces = ["--netns", netns.name, "--netns", other.name];
  const ports = scenes.flatMap(({ doomed }) => doomed.ports);
  await assertSelects(netns, [...namespaces, "--interface", "pair"], ports);
  await assertSelects(netns, [...namespaces, "--interface", "first"], []);
  assertUsageError(await tcphup([...namespaces, "--interface", "no-such0"], { netns }), /no-such0/);
});

/** What is typed, and what the one line must say. */
const WRONG: Record<string, [args: string[], says: RegExp]> = {
  "nothing but what is left out": [["--not", "--dst", "10.0.0.1"], /any/],
  "nothing but a version": [["-4"], /any/],
  "nothing but a namespace": [["--netns", "all"], /any/],
  "an empty filter": [["-f", " "], /filter.*any/],
  "a state that there is not": [["--state", "estabished"], /estabished.*established/],
  "a process that is no number": [["--pid", "nginx"], /nginx/],
  "process 0": [["--pid", "0"], /"0"/],
  "--children of no process": [["any", "--children"], /--pid/],
  "--not at the end": [["any", "--not"], /--not/],
  "--not before a word": [["any", "--not", "443"], /--not.*443/],
  "--not before a flag that does not select": [["any", "--not", "--json"], /--not.*--json/],
  "--not before --not": [["any", "--not", "--not", "--dst", "::1"], /--not/],
  "--not before -4": [["any", "--not", "-4"], /--not.*-4/],
  "--not and its flag in one word": [["any", "--not-dst", "::1"], /Unknown.*--not-dst/],
  "--not without the value": [["any", "--not", "--dst"], /--not --dst/],
  "a value for --not": [["any", "--not=--dst", "::1"], /--not/],
  "a value for a flag that takes none": [["any", "--stalled=yes"], /--stalled/],
  "no keepalive, and not that": [["--no-keepalive", "--not", "--no-keepalive"], /--no-keepalive/],
  "a time without a unit": [["--idle-for", "300"], /300.*unit.*300s or 300m/],
  "a time of another unit": [["--idle-for", "5w"], /5w/],
  "no time at all": [["--idle-for", "0s"], /0s/],
  "a time that no kernel counts": [["--idle-for", "50d"], /50d/],
  "a selection for doctor": [["doctor", "--dst", "::1"], /--dst/],
  "what is left out for doctor": [["doctor", "--not", "--dst", "::1"], /--not --dst/],
};

systemTest("selections that mean nothing: exit 2, one line that says so, nothing touched", [], async (netns) => {
  await assertUsageErrors(netns, WRONG);
});

systemTest("a filter that does not parse: what is wrong, the text, a caret under the word", [], async (netns) => {
  const scene = await Scene.make(netns);
  const run = await tcphup(["-f", "dst 127.0.0.2 and dprot = :8000"], { netns, code: 2 });
  const [problem = "", text = "", caret = ""] = run.stderr.split("\n");
  assertEquals(problem.includes("dprot"), true, problem);
  assertEquals(text.trim(), "dst 127.0.0.2 and dprot = :8000");
  assertEquals(caret.indexOf("^"), text.indexOf("dprot"));
  await scene.assertUntouched();
});
