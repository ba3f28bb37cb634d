// Examines the package for npm: publint and "are the types wrong?" judge it, tsc checks a program that uses it, and the
// oldest Node that it supports runs it.

import { run } from "../process.ts";
import { BUILD, ROOT } from "../tools.ts";
import { manifest } from "./package.ts";

/** The packages that examine, locked, so that a new version does not fail what has not changed. */
const LOCKED = `${ROOT}scripts/npm/tools/`;
const DIRECTORY = `${BUILD}npm-tools`;

/** The flags with which tsc knows the globals and the modules of Node. */
export const NODE_TYPES: readonly string[] = ["--types", "node", "--typeRoots", `${DIRECTORY}/node_modules/@types`];

/** The ways in which tsc finds a package, each with the globals that a program has there. */
const RESOLUTIONS: Record<string, readonly string[]> = {
  bundler: ["--module", "esnext", "--lib", "es2022,dom"],
  node16: ["--module", "node16", "--lib", "es2022", ...NODE_TYPES],
  nodenext: ["--module", "nodenext", "--lib", "es2022", ...NODE_TYPES],
};

/** Fails to compile where tsc has not found the types: a function without types takes anything. */
const TYPED = `
export function misuse(): unknown {
  // @ts-expect-error: an address is no number.
  return hangUp({ dst: 5432 });
}
`;

/** Installs the tools, which stay for the next time. Returns the environment that finds them. */
export async function installTools(): Promise<Record<string, string>> {
  const installed = `${DIRECTORY}/node_modules/.package-lock`;
  const lock = await Deno.readTextFile(`${LOCKED}package-lock.json`);
  if (await Deno.readTextFile(installed).catch(() => null) !== lock) {
    await Deno.mkdir(DIRECTORY, { recursive: true });
    for (const name of ["package.json", "package-lock.json"]) {
      await Deno.copyFile(LOCKED + name, `${DIRECTORY}/${name}`);
    }
    await run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"], { cwd: DIRECTORY });
    await Deno.writeTextFile(installed, lock);
  }
  // npm before version 10 makes no link to the program of a package that is optional.
  const node = `${DIRECTORY}/node_modules/node-linux-${Deno.build.arch === "x86_64" ? "x64" : "arm64"}/bin`;
  return { PATH: `${node}:${DIRECTORY}/node_modules/.bin:${Deno.env.get("PATH")}` };
}

/** Packs a package into the directory `destination`, and examines it. Returns the path of the tarball. */
export async function packAndExamine(directory: string, destination: string): Promise<string> {
  // npm packs the rights of files, which are a matter of whose umask made them.
  await run(["chmod", "-R", "a=rX,u+w", directory]);
  const pack = ["npm", "pack", "--loglevel=error", "--pack-destination", destination];
  const tarball = `${destination}/${(await run(pack, { cwd: directory })).stdout.trim()}`;
  const env = await installTools();
  const { stdout } = await run(["publint", tarball], { env });
  if (!stdout.includes("All good!")) throw new Error(stdout);
  // The rule is about versions of Node whose require() loads no ES modules. `engines` excludes them.
  await run(["attw", tarball, "--ignore-rules", "cjs-resolves-to-esm"], { env });
  const prefix = await Deno.makeTempDir({ prefix: "tcphup-npm-" });
  try {
    await useAsUser(tarball, prefix, env);
  } finally {
    await Deno.remove(prefix, { recursive: true });
  }
  return tarball;
}

/** Installs the package globally by the line of README.md, and uses the command and the library. */
async function useAsUser(tarball: string, prefix: string, env: Record<string, string>): Promise<void> {
  const page = await Deno.readTextFile(`${ROOT}README.md`);
  const [line = ""] = /^npm install --global .* tcphup$/m.exec(page) ?? [];
  const install = line.replace(/tcphup$/, tarball).split(" ");
  // Nothing is to come from the registry that has tcphup's name.
  const npm = { npm_config_prefix: prefix, npm_config_yes: "false", npm_config_prefer_offline: "true" };
  await run([...install, "--no-audit", "--no-fund"], { cwd: prefix, env: npm });
  const project = `${prefix}/lib`;
  const command = `${prefix}/bin/tcphup`;
  const expectOutput = async (expected: string, ...words: string[]) => {
    const { stdout } = await run(words, { cwd: project, env: { ...env, ...npm } });
    if (stdout !== expected) throw new Error(`${words.join(" ")} says ${stdout}, not ${expected}`);
  };
  await expectOutput(`tcphup ${manifest.version}\n`, "npx", "tcphup", "--version");
  await expectOutput(`tcphup ${manifest.version}\n`, command, "--version");
  await run([command, "doctor"], { env });
  // Where man(1) finds it.
  await Deno.stat(`${prefix}/share/man/man1/tcphup.1`);

  const readme = await Deno.readTextFile(`${project}/node_modules/${manifest.name}/README.md`);
  const [, example] = /^```ts\n(.*?)^```$/ms.exec(readme)!;
  await Deno.writeTextFile(`${project}/package.json`, JSON.stringify({ private: true, type: "module" }));
  await Deno.writeTextFile(`${project}/use.ts`, `${example}${TYPED}`);
  for (const [resolution, flags] of Object.entries(RESOLUTIONS)) {
    const checks = ["--strict", "--noEmit", "--target", "es2022", "--moduleResolution", resolution, ...flags];
    await run(["tsc", ...checks, "use.ts"], { cwd: project, env });
  }
  await expectOutput("0 of 0 []\n", "node", "use.ts");
  const load = `console.log(typeof require(${JSON.stringify(manifest.name)}).hangUp)`;
  await expectOutput("function\n", "node", "--input-type=commonjs", "--eval", load);
}
