// Makes the npm package, the library and the command, in build/npm: `deno task npm`.
//
// dnt, which does the work, is published on jsr.io only. The variable DNT names another copy of its mod.ts.

import description from "../deno.json" with { type: "json" };
import { readArguments } from "./arguments.ts";
import { KOFFI } from "./node/packages.ts";
import { run } from "./process.ts";
import { BUILD, fail, ROOT } from "./tools.ts";

const DNT = Deno.env.get("DNT") ?? "jsr:@deno/dnt@0.43.2";
const REPOSITORY = "https://github.com/tcphup/tcphup";
const PACKAGE = "build/npm";

/** What we use of dnt. */
interface Dnt {
  build(options: Record<string, unknown>): Promise<void>;
}

/** Loaded here and not imported, so that no other script waits for jsr.io. */
async function loadDnt(): Promise<Dnt> {
  try {
    return await import(DNT);
  } catch (error) {
    throw new Error(
      `dnt cannot be loaded from ${DNT}: ${
        (error as Error).message.replace(/[.\s]+$/, "")
      }. Build where jsr.io can be reached, or name ` +
        "the mod.ts of a copy of dnt in the variable DNT. Without the package, deno task test:node tries these sources " +
        "with Node",
    );
  }
}

/** package.json, apart from what dnt finds out. */
const manifest = {
  name: "tcphup",
  version: description.version,
  description: "Hang up on TCP connections from outside the programs that hold them",
  keywords: ["tcp", "failover", "keepalive", "connection", "shutdown", "netlink"],
  license: description.license,
  repository: { type: "git", url: `git+${REPOSITORY}.git` },
  homepage: `${REPOSITORY}#readme`,
  bugs: `${REPOSITORY}/issues`,
  engines: { node: ">=22.18" },
  os: ["linux"],
  cpu: ["x64", "arm64"],
  libc: ["glibc"],
  dependencies: { koffi: `~${KOFFI}` },
  devDependencies: { "@types/node": "^22" },
};

async function build(): Promise<void> {
  const dnt = await loadDnt();
  await Deno.remove(`${BUILD}npm`, { recursive: true }).catch(() => {});
  // dnt wants paths from the project's root.
  Deno.chdir(ROOT);
  await dnt.build({
    entryPoints: ["./mod.ts", { kind: "bin", name: "tcphup", path: "./cli.ts" }],
    outDir: `./${PACKAGE}`,
    configFile: "./deno.json",
    mappings: { "./ffi/deno.ts": "./ffi/node.ts" },
    shims: {},
    scriptModule: false,
    test: false,
    skipSourceOutput: true,
    // `deno check` has checked these sources, ffi/node.ts among them, with a TypeScript of its own.
    typeCheck: false,
    compilerOptions: { target: "ES2022", lib: ["ESNext"] },
    package: manifest,
    postBuild() {
      for (const file of ["README.md", "LICENSE.txt"]) Deno.copyFileSync(ROOT + file, `${BUILD}npm/${file}`);
    },
  });
}

/** Packs the package, installs it as a user does, and has Node run the command and the library. Returns the tarball. */
async function tryPackage(): Promise<string> {
  const pack = ["npm", "pack", "--loglevel=error", "--pack-destination", "build", `./${PACKAGE}`];
  const { stdout } = await run(pack, { cwd: ROOT });
  const tarball = BUILD + stdout.trim();
  const directory = await Deno.makeTempDir({ prefix: "tcphup-npm-" });
  try {
    await run(["npm", "install", "--no-audit", "--no-fund", "--prefix", directory, tarball], { cwd: directory });
    await expectOutput(`tcphup ${description.version}\n`, [`${directory}/node_modules/.bin/tcphup`, "--version"]);
    await run([`${directory}/node_modules/.bin/tcphup`, "doctor"]);
    const use =
      `import { listConnections } from "tcphup"; console.log(listConnections({ dst: "203.0.113.1" }).connections.length)`;
    await expectOutput("0\n", ["node", "--input-type=module", "--eval", use], directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
  return tarball;
}

async function expectOutput(expected: string, command: string[], cwd?: string): Promise<void> {
  const { stdout } = await run(command, { cwd });
  if (stdout !== expected) throw new Error(`${command.join(" ")} says ${stdout}, not ${expected}`);
}

/** Builds the package and tries it. Returns the path of the tarball that `npm publish` takes. */
export async function buildPackage(): Promise<string> {
  await build();
  return await tryPackage();
}

async function main(): Promise<void> {
  readArguments(Deno.args, {});
  console.log(`${await buildPackage()} works with Node`);
}

if (import.meta.main) await main().catch(fail);
