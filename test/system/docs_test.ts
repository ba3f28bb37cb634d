// What scripts/docs.ts makes: up to date where it is committed, and accepted by the programs that read the rest.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { drifted, SHARED, writeShared } from "../../scripts/docs.ts";
import { demonstrate, PICTURE, pictureOf } from "../../scripts/picture.ts";
import { run } from "../harness/process.ts";
import { hostTest } from "../harness/system.ts";

Deno.test("README.md and the Ansible module are what deno task docs makes", async () => {
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
  const directory = await Deno.makeTempDir({ prefix: "tcphup-test-" });
  try {
    await writeShared(directory);
    await use(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

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
