// Publishing can be repeated, wherever it failed: tried on a copy of the project, with programs in place of npm and gh that
// keep what is published in a directory.

import { assertEquals, assertMatch } from "@std/assert";
import { notes } from "../../scripts/release/publish.ts";
import { pack } from "../../scripts/release/archive.ts";
import { Directory } from "../harness/directory.ts";
import { run } from "../harness/process.ts";
import { hostTest } from "../harness/system.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
const { version: VERSION } = JSON.parse(await Deno.readTextFile(`${ROOT}deno.json`));

/** Publishes each version once. */
const NPM = `#!/bin/bash
cd "$REGISTRY"
case $1 in
view) cat integrity 2>/dev/null || exit 1 ;;
publish)
  [ ! -e integrity ] || exit 1
  for tarball; do :; done
  sum=$(sha512sum "$tarball" | cut -c -128 | sed 's/../\\\\x&/g')
  echo "sha512-$(printf "$sum" | base64 --wrap=0)" >integrity
  ;;
esac`;

/** Fails to upload while there is a file "broken". */
const GH = `#!/bin/sh
cd "$REGISTRY"
shift
command=$1
case $command in
view) [ -e title ] && if [ -e public ]; then echo '{"isDraft":false}'; else echo '{"isDraft":true}'; fi ;;
create) [ ! -e title ] && echo "$2 $6" >title && cat >notes ;;
upload) [ ! -e public ] && shift 3 && mkdir -p files && cp "$1" files && [ ! -e broken ] && cp "$@" files ;;
edit) [ "$3" = --draft=false ] && touch public ;;
download) cat "files/$4" ;;
esac`;

/** Has a storage of its own, a base image in place of the one on a registry, and a directory in place of a registry. */
const PODMAN = `#!/bin/bash
arguments=("\${@/#docker:*/oci:$REGISTRY/image}")
storage=(--root "$REGISTRY/root" --runroot "$REGISTRY/run" --storage-driver=vfs)
if [ "$1" = build ]; then
  arguments=(build --pull=never --isolation=chroot --from "localhost/base:\${3#linux/}" "\${@:2}")
fi
exec /usr/bin/podman "\${storage[@]}" "\${arguments[@]}"`;

/** A copy of the project that has built a release, and what is published. */
class Project {
  readonly #directory: string;
  readonly registry: string;

  constructor(directory: string) {
    this.#directory = directory;
    this.registry = `${directory}/registry`;
  }

  static async make(directory: string): Promise<Project> {
    const project = new Project(directory);
    for (const name of ["registry", "bin", "build/release"]) {
      await Deno.mkdir(`${directory}/${name}`, { recursive: true });
    }
    await run([
      "cp",
      "-r",
      ...["deno.json", "CHANGELOG.md", "cli.ts", "ffi", "scripts", "src"].map((name) => ROOT + name),
      directory,
    ]);
    for (const [name, text] of [["npm", NPM], ["gh", GH], ["podman", PODMAN]] as const) {
      await Deno.writeTextFile(`${directory}/bin/${name}`, text, { mode: 0o755 });
    }
    await project.build("first");
    return project;
  }

  /** Writes a release. */
  async build(text: string): Promise<void> {
    for (const name of ["SHA256SUMS", `tcphup-${VERSION}.tgz`]) {
      await Deno.writeTextFile(`${this.#directory}/build/release/${name}`, `${text} ${name}\n`);
    }
  }

  /** Returns the exit status, and what it says. */
  async publish(...where: string[]): Promise<[number, string]> {
    const command = [Deno.execPath(), "run", "--allow-all", "scripts/release/publish.ts", ...where];
    return await this.run(command);
  }

  /** Runs a program as `publish` does. */
  async run(command: readonly string[]): Promise<[number, string]> {
    const env = { PATH: `${this.#directory}/bin:${Deno.env.get("PATH")}`, REGISTRY: this.registry };
    const { code, stdout, stderr } = await run(command, { env, mayFail: true, cwd: this.#directory });
    return [code, `${stdout}${stderr}`.trim()];
  }

  async published(): Promise<string[]> {
    const { stdout } = await run(["find", ".", "-type", "f", "-printf", "%P\\n"], { cwd: this.registry });
    return stdout.trim().split("\n").sort();
  }
}

Deno.test("publish: npm gets a version once, and another one of the same name is refused", async () => {
  using directory = new Directory();
  const project = await Project.make(directory.path);
  assertEquals(await project.publish("npm"), [0, ""]);
  assertEquals(await project.publish("npm"), [0, `npm has tcphup ${VERSION} already`]);
  await project.build("second");
  const [code, text] = await project.publish("npm");
  assertEquals(code, 1);
  assertMatch(text, /^npm has another tcphup [\d.]+: sha512-\S+, not sha512-\S+$/);
});

Deno.test("publish: a release that failed half-way is completed before anybody sees it, and never changed after", async () => {
  using directory = new Directory();
  const project = await Project.make(directory.path);
  await Deno.writeTextFile(`${project.registry}/broken`, "");
  assertEquals((await project.publish("github"))[0], 1);
  assertEquals(await project.published(), ["broken", "files/SHA256SUMS", "notes", "title"]);

  await Deno.remove(`${project.registry}/broken`);
  assertEquals(await project.publish("github"), [0, ""]);
  const files = ["files/SHA256SUMS", `files/tcphup-${VERSION}.tgz`];
  assertEquals(await project.published(), [...files, "notes", "public", "title"]);
  assertEquals(await Deno.readTextFile(`${project.registry}/title`), `v${VERSION} tcphup ${VERSION}\n`);

  assertEquals(await project.publish("github"), [0, `GitHub has the release v${VERSION} already`]);
  await project.build("second");
  assertEquals(await project.publish("github"), [1, `GitHub has another release v${VERSION}`]);
});

const IMAGE_NEEDS = ["root", "podman", "permission to run containers", "xz", "zstd"] as const;

hostTest("publish: an image for each machine, the same each time", IMAGE_NEEDS, async () => {
  using directory = new Directory();
  const project = await Project.make(directory.path);
  await Deno.writeTextFile(`${directory.path}/empty`, "");
  await run(["tar", "--create", "--file", "base.tar", "empty"], { cwd: directory.path });
  for (const [arch, target] of Object.entries({ amd64: "x86_64", arm64: "aarch64" })) {
    const root = `${directory.path}/build/release/tcphup-${VERSION}-${target}-unknown-linux-gnu`;
    await Deno.mkdir(`${root}/bin`, { recursive: true });
    await Deno.writeTextFile(`${root}/bin/tcphup`, target);
    await pack(root);
    const base = ["--os", "linux", "--arch", arch, `${directory.path}/base.tar`, `localhost/base:${arch}`];
    const [code, text] = await project.run(["podman", "import", ...base]);
    assertEquals(code, 0, text);
  }
  const digests = [];
  for (const _ of [1, 2]) {
    const [code, text] = await project.publish("image", "localhost/tcphup");
    assertEquals(code, 0, text);
    digests.push(await Deno.readTextFile(`${directory.path}/build/image/digest`));
  }
  assertEquals(digests[0], digests[1]);
  const blob = `${project.registry}/image/blobs/${digests[0]?.replace(":", "/")}`;
  const { manifests } = JSON.parse(await Deno.readTextFile(blob));
  const platforms = manifests.map(({ platform }: { platform: Record<string, string> }) => platform);
  assertEquals(platforms, [{ architecture: "amd64", os: "linux" }, { architecture: "arm64", os: "linux" }]);
});

Deno.test("publish: the notes are this version's part of the changelog, a paragraph a line", () => {
  const changelog = `# Changelog

What changes.

## 1.1.0

A text of
two lines.

- One
  more.
- Two.

## 1.0.0

The first.
`;
  assertEquals(notes(changelog, "1.1.0"), "A text of two lines.\n\n- One more.\n- Two.");
  assertEquals(notes(changelog, "1.0.0"), "The first.");
});

Deno.test("publish: wrong usage is one line", async () => {
  using directory = new Directory();
  const project = await Project.make(directory.path);
  const usage = "Where to? Usage: publish.ts npm | github | image NAME";
  for (const where of ["pypi", "image"]) assertEquals(await project.publish(where), [2, usage]);
});
