// What scripts/docs.ts makes: up to date where it is committed, and accepted by the programs that read the rest.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { drifted, SHARED, writeShared } from "../../scripts/docs.ts";
import { demonstrate, PICTURE, pictureOf } from "../../scripts/picture.ts";
import { Place } from "../harness/attach.ts";
import { Directory } from "../harness/directory.ts";
import { Peer } from "../harness/peer.ts";
import { run } from "../harness/process.ts";
import { DOOMED_PORT, Scene } from "../harness/scene.ts";
import { hostTest, systemTest } from "../harness/system.ts";
import { tcphup } from "../harness/tcphup.ts";

Deno.test("README.md, JSON.md and the Ansible module are what deno task docs makes", async () => {
  assertEquals([...(await drifted()).keys()], []);
});

/** A picture apart from its numbers, which differ from one run to the next. */
function comparable(picture: string): string {
  return picture.replace(/\d+/g, "0");
}

hostTest("the picture in README.md shows what the demonstration prints", [], async () => {
  assertEquals(comparable(await Deno.readTextFile(PICTURE)), comparable(pictureOf(await demonstrate())));
});

Deno.test("a picture has text as it stands, each cell of a table where it begins, and green where it is", () => {
  const picture = pictureOf('$ a <b> "c" & d\n\n12345678  \x1b[32mok\x1b[0m\n');
  assertMatch(picture, /^<svg [^>]* width="166" height="100" /);
  assertMatch(picture, /<text x="20" y="34" class="command">\$ a &lt;b&gt; "c" &amp; d<\/text>/);
  assertMatch(picture, /<text x="20" y="74">12345678<\/text>\n<text x="104" y="74" class="good">ok<\/text>/);
  assertMatch(picture, /@media \(prefers-color-scheme: dark\)/);
});

async function withShared(use: (directory: string) => Promise<void>): Promise<void> {
  using directory = new Directory();
  await writeShared(directory.path);
  await use(directory.path);
}

/** The tables of a section of JSON.md: the type of each key. */
type Reference = ReadonlyMap<string, ReadonlyMap<string, string>>;

async function jsonReference(): Promise<Reference> {
  const text = await Deno.readTextFile(new URL("../../.github/JSON.md", import.meta.url));
  return new Map(
    text.split(/^###? /m).slice(1).map((section) => {
      const rows = [...section.matchAll(/^\| `(\w+)` +\| (.*?) +\|/gm)];
      return [section.slice(0, section.indexOf("\n")), new Map(rows.map(([, key = "", type = ""]) => [key, type]))];
    }),
  );
}

/** What an object has that its section does not say, and the other way round. */
function differences(reference: Reference, title: string, object: Record<string, unknown>): string[] {
  const table = reference.get(title);
  if (table === undefined) return [`no section "${title}"`];
  const absent = [...table].filter(([key, type]) => !(key in object) && !type.endsWith(", or absent"));
  return [
    ...absent.map(([key]) => `${title}: no ${key}`),
    ...Object.entries(object).flatMap(([key, value]) => {
      const type = table.get(key);
      if (type === undefined) return [`${title}: ${key} is not in JSON.md`];
      const [, linked] = /\[([\w ]+)\]\(#/.exec(type) ?? [];
      if (linked === undefined) {
        return typesOf(type).includes(kindOf(value)) ? [] : [`${title}: ${key} is ${kindOf(value)}`];
      }
      const objects = [value].flat().filter((one) => one !== null) as Record<string, unknown>[];
      return objects.flatMap((one) => differences(reference, linked, one));
    }),
  ];
}

function kindOf(value: unknown): string {
  if (Array.isArray(value)) return "array";
  return value === null ? "null" : typeof value;
}

function typesOf(type: string): string[] {
  return type.replace(", or absent", "").split(" or ").map((one) => {
    if (one.startsWith("`")) return typeof JSON.parse(one.slice(1, -1));
    return one.startsWith("array") || one.startsWith("object") ? one.split(" ")[0]! : one;
  });
}

systemTest("JSON.md has every key of the documents, and of none another type", [], async (netns) => {
  const scene = await Scene.make(netns);
  const reference = await jsonReference();
  const target = ["127.0.0.2", `${DOOMED_PORT}`];
  const commands: Record<string, readonly string[]> = {
    "tcphup plan --json": ["plan"],
    "tcphup doctor --json": ["doctor"],
    "tcphup ls --json": ["ls", ...target, "--keepalive", "--idle-for=1ms"],
    "tcphup ls --summary --json": ["ls", ...target, "--summary"],
    "tcphup keepalive --json": ["keepalive", ...target, "--dry-run", "--maxseg=1000"],
    "tcphup hup --json": [...target, "--verify"],
  };
  for (const [title, args] of Object.entries(commands)) {
    const document = (await tcphup([...args, "--json"], { netns })).json<Record<string, unknown>>();
    assertEquals(differences(reference, title, document), [], title);
    const lists = [document.connections, document.groups].filter((list) => list !== undefined);
    for (const list of lists) assert((list as unknown[]).length > 0, title);
  }
  await scene.doomed.assertEnded("EOF");
});

systemTest("JSON.md has every key of what is attached and pinned", ["cgroup v2", "unshare"], async (netns) => {
  await using place = await Place.make(netns);
  const reference = await jsonReference();
  const peer = Peer.start(netns, place.inside(place.cgroup));
  await peer.listen("127.0.0.2", 8000);
  const pin = ["keepalive", "any", "--cgroup", place.cgroup.path, "--netns", netns.name, "--pin", "one", "--json"];
  const attached = (await place.tcphup(pin)).json<Record<string, unknown>>();
  assert("attached" in attached);
  assertEquals(differences(reference, "tcphup keepalive --json", attached), []);
  await peer.connect("127.0.0.2", 8000);
  const listed = (await place.tcphup(["ls", "--pinned", "--json"])).json<{ pinned: { counters: unknown[] }[] }>();
  assertEquals(listed.pinned.map(({ counters }) => counters.length), [2]);
  assertEquals(differences(reference, "tcphup ls --pinned --json", { ...listed }), []);
  await place.tcphup(["unpin", "one"], { code: 0 });
});

Deno.test("the man page and the completions are laid out as under /usr", async () => {
  await withShared(async (directory) => {
    for (const path of Object.keys(SHARED)) assert((await Deno.readTextFile(`${directory}/${path}`)).length > 1000);
  });
});

hostTest("groff formats the man page without a warning", ["groff"], async () => {
  await withShared(async (directory) => {
    const page = `${directory}/share/man/man1/tcphup.1`;
    const { stdout, stderr } = await run(["groff", "-man", "-Tutf8", "-ww", "-P-cbou", page]);
    assertEquals(stderr, "");
    assertMatch(stdout, /TCPHUP\(1\)/);
    assertMatch(stdout, /^ +--destroy-after TIME$/m);
    assertMatch(stdout, /^ +-n, --dry-run$/m);
    assertMatch(stdout, /^ +tcphup ls --columns \+idle --sort -idle any$/m);
  });
});

hostTest("man shows it without a warning, and whatis finds it", ["man"], async () => {
  await withShared(async (directory) => {
    const env = { MANPAGER: "cat", MANWIDTH: "80", LC_ALL: "C.UTF-8", MANPATH: `${directory}/share/man` };
    const { stdout, stderr } = await run(["man", "--warnings", "-l", `${directory}/share/man/man1/tcphup.1`], { env });
    assertEquals(stderr, "");
    assertEquals(stdout.split("\n").filter((line) => line.length > 80), []);
    const { stdout: name } = await run(["lexgrog", `${directory}/share/man/man1/tcphup.1`]);
    assertMatch(name, /"tcphup - hang up on TCP connections/);
  });
});
