// Makes the npm package, the library and the command, in build/npm: `deno task npm`.
//
// dnt, which does the work, is published on jsr.io only. The variable DNT names another copy of its mod.ts.

import { readArguments } from "./arguments.ts";
import { packAndExamine } from "./npm/examine.ts";
import { completePackage, manifest } from "./npm/package.ts";
import tools from "./npm/tools/package.json" with { type: "json" };
import { BUILD, fail, ROOT } from "./tools.ts";

const DNT = Deno.env.get("DNT") ?? "jsr:@deno/dnt@0.43.2";
const DIRECTORY = `${BUILD}npm`;

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

async function build(): Promise<void> {
  const dnt = await loadDnt();
  await Deno.remove(DIRECTORY, { recursive: true }).catch(() => {});
  // dnt wants paths from the project's root.
  Deno.chdir(ROOT);
  await dnt.build({
    entryPoints: ["./mod.ts", { kind: "bin", name: "tcphup", path: "./cli.ts" }],
    outDir: "./build/npm",
    configFile: "./deno.json",
    mappings: { "./ffi/deno.ts": "./ffi/node.ts" },
    shims: {},
    // Every Node that `engines` allows has what dnt has polyfills for.
    polyfills: false,
    scriptModule: false,
    test: false,
    skipSourceOutput: true,
    // `deno check` has checked these sources, ffi/node.ts among them, with a TypeScript of its own.
    typeCheck: false,
    compilerOptions: { target: "ES2022", lib: ["ESNext"] },
    // dnt compiles with what this installs. Its package.json gives way to ours afterwards.
    package: { ...manifest, files: undefined, devDependencies: { "@types/node": tools.dependencies["@types/node"] } },
    postBuild: () => completePackage(DIRECTORY),
  });
}

/** Builds the package and examines it. Returns the path of the tarball that `npm publish` takes. */
export async function buildPackage(): Promise<string> {
  await build();
  return await packAndExamine(DIRECTORY, `${ROOT}build`);
}

async function main(): Promise<void> {
  readArguments(Deno.args, {});
  console.log(`${await buildPackage()} works with Node`);
}

if (import.meta.main) await main().catch(fail);
