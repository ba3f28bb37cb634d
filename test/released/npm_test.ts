// The package for npm. scripts/build_npm.ts compiles it with dnt, which comes from jsr.io. Here tsc compiles the same
// sources; the files beside the modules and the examination are the same.

import { installTools, NODE_TYPES, packAndExamine } from "../../scripts/npm/examine.ts";
import { completePackage } from "../../scripts/npm/package.ts";
import { run } from "../../scripts/process.ts";
import { Directory } from "../harness/directory.ts";
import { hostTest } from "../harness/system.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
const SOURCES = ["mod.ts", "cli.ts", "deno.json", "src", "ffi"];

/** Returns the paths of all modules in a directory. */
function modules(directory: string): string[] {
  return [...Deno.readDirSync(directory)].flatMap(({ name, isDirectory }) => {
    const path = `${directory}/${name}`;
    return isDirectory ? modules(path) : name.endsWith(".ts") ? [path] : [];
  });
}

/** Returns a module as dnt would have it: it is for Node, uses Node's backend and imports JavaScript. */
function transform(module: string): string {
  return module.replace(/^#!.*/, "#!/usr/bin/env node").replace(
    /\b(from |import\()"(\.[^"]+)\.ts"/g,
    (_, keyword, path) => `${keyword}"${path.replace(/\/deno$/, "/node")}.js"`,
  );
}

/** Compiles the package's modules, and their declarations, into `directory`. */
async function compileModules(directory: string): Promise<void> {
  const sources = `${directory}/sources`;
  await Deno.mkdir(sources);
  await run(["cp", "-r", ...SOURCES.map((name) => ROOT + name), sources]);
  await Deno.remove(`${sources}/ffi/deno.ts`);
  for (const path of modules(sources)) await Deno.writeTextFile(path, transform(await Deno.readTextFile(path)));
  const target = ["--target", "es2022", "--lib", "esnext", "--module", "nodenext", ...NODE_TYPES];
  const checks = ["--strict", "--skipLibCheck", "--noEmitOnError"];
  const output = ["--declaration", "--rootDir", sources, "--outDir", `${directory}/esm`];
  const tsc = ["tsc", ...target, ...checks, ...output, `${sources}/mod.ts`, `${sources}/cli.ts`];
  await run(tsc, { cwd: directory, env: await installTools() });
}

hostTest("npm: publint, are the types wrong?, tsc and Node are content with the package", ["npm"], async () => {
  using directory = new Directory();
  await completePackage(directory.path);
  await compileModules(directory.path);
  await packAndExamine(directory.path, directory.path);
});
