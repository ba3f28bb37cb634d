// The house rules that no type says: folders stand in one order and imports only go down it, and only ffi/ knows the runtime.

import { assert, assertEquals } from "@std/assert";

/** From the top to the bottom. The files of src/ itself are the commands. */
const FLOORS = [
  "cli.ts",
  "mod.ts",
  "src/cli/",
  "src/cli/commands/",
  "src/cli/flags/",
  "src/cli/output/",
  "src/",
  "src/doctor/",
  "src/follow/",
  "src/act/",
  "src/attach/",
  "src/resolve/",
  "src/select/",
  "src/report/",
  "src/run/",
  "src/front/",
  "src/socket/",
  "src/bpf/",
  "src/keepalive/",
  "src/linux/",
  "src/model/",
  "ffi/",
  "deno.json",
];

/** The modules of ffi/ that the command line may know: its own process. */
const OWN_PROCESS = ["ffi/deno.ts", "ffi/native.ts", "ffi/sleep.ts"];

/** The only modules that name a runtime, or import what is not ours. */
const RUNTIMES = ["ffi/deno.ts", "ffi/node.ts"];

/** Where the program begins, and what only scripts/docs.ts and the package for npm begin with. */
const ROOTS = ["mod.ts", "cli.ts", "src/cli/flags/man_page.ts", "ffi/node.ts"];

/** An import, both ends as paths from the root. */
type Arrow = readonly [from: string, to: string];

function floorOf(path: string): number {
  const floor = FLOORS.reduce((best, floor, i) => {
    return path.startsWith(floor) && floor.length > (FLOORS[best]?.length ?? 0) ? i : best;
  }, -1);
  if (floor === -1) throw new Error(`${path} is on no floor`);
  return floor;
}

/** The words of the domain, which know neither libc nor anything else. */
const GROUND = "src/model/";

function climbs([from, to]: Arrow): boolean {
  const skips = /^(?:cli\.ts|src\/cli\/)/.test(from) && to.startsWith("ffi/") && !OWN_PROCESS.includes(to);
  return skips || (from.startsWith(GROUND) && !to.startsWith(GROUND)) || floorOf(from) > floorOf(to);
}

const ROOT = new URL("..", import.meta.url);

interface Module {
  readonly path: string;
  readonly imports: readonly string[];
  readonly text: string;
}

/** All modules of the program, as Deno sees them; what is not ours among the imports keeps its whole name. */
async function readModules(): Promise<Module[]> {
  const graphs = await Promise.all(ROOTS.map(async (root) => {
    const args = ["info", "--json", root];
    const { stdout } = await new Deno.Command(Deno.execPath(), { args, cwd: ROOT, stderr: "null" }).output();
    return JSON.parse(new TextDecoder().decode(stdout)).modules as {
      specifier: string;
      dependencies?: { code?: { specifier: string }; type?: { specifier: string } }[];
    }[];
  }));
  const modules = new Map<string, Module>();
  for (const { specifier, dependencies = [] } of graphs.flat()) {
    if (!specifier.startsWith(ROOT.href)) continue;
    const path = ours(specifier);
    if (!/^(?:src|ffi)\/|^(?:mod|cli)\.ts$/.test(path)) continue;
    const imports = dependencies.map(({ code, type }) => ours((code ?? type)!.specifier));
    modules.set(path, { path, imports, text: await Deno.readTextFile(new URL(path, ROOT)) });
  }
  return [...modules.values()];
}

function ours(specifier: string): string {
  return specifier.startsWith(ROOT.href) ? specifier.slice(ROOT.href.length) : specifier;
}

function isOurs(path: string): boolean {
  return !/^[a-z]+:/.test(path);
}

/** Each circle once, as the modules on it. */
function circles(modules: readonly Module[]): string[][] {
  const imports = new Map(modules.map((module) => [module.path, module.imports]));
  const done = new Set<string>();
  const found: string[][] = [];
  const visit = (path: string, trail: readonly string[]) => {
    if (trail.includes(path)) return void found.push(trail.slice(trail.indexOf(path)));
    if (done.has(path)) return;
    for (const next of imports.get(path) ?? []) visit(next, [...trail, path]);
    done.add(path);
  };
  for (const { path } of modules) visit(path, []);
  return found;
}

/** Drops the lines that are comments: those of `deno fmt`'s layout start with their mark. */
function withoutComments(text: string): string {
  return text.split("\n").filter((line) => !/^\s*(\/\/|\/\*|\*)/.test(line)).join("\n");
}

const modules = await readModules();

Deno.test("imports only go down", () => {
  const arrows = modules.flatMap(({ path, imports }) => imports.filter(isOurs).map((to): Arrow => [path, to]));
  assertEquals(arrows.filter(climbs), []);
  assertEquals(climbs(["src/linux/proc/process.ts", "src/select/selector.ts"]), true);
  assertEquals(climbs(["src/cli/main.ts", "ffi/fs.ts"]), true);
  assertEquals(climbs(["src/model/errors.ts", "ffi/errno.ts"]), true);
  assertEquals(climbs(["src/list.ts", "src/resolve/finder.ts"]), false);
});

Deno.test("there are no circles", () => {
  assertEquals(circles(modules), []);
  const made = (path: string, ...imports: string[]) => ({ path, imports, text: "" });
  assertEquals(circles([made("a", "b"), made("b", "c"), made("c", "b")]), [["b", "c"]]);
});

Deno.test("at most nine rooms stand on each other", () => {
  const roomOf = (path: string) => /^(?:src\/[^/]+(?=\/)|ffi)/.exec(path)?.[0] ?? path;
  const below = new Map<string, Set<string>>();
  for (const { path, imports } of modules) {
    const rooms = below.get(roomOf(path)) ?? new Set();
    below.set(roomOf(path), rooms);
    for (const room of imports.filter((to) => isOurs(to) && to.endsWith(".ts")).map(roomOf)) {
      if (room !== roomOf(path)) rooms.add(room);
    }
  }
  const stack = (room: string): string[] => {
    const stacks = [...below.get(room) ?? []].map(stack);
    return [room, ...stacks.sort((a, b) => b.length - a.length)[0] ?? []];
  };
  const highest = stack("cli.ts");
  assert(highest.length <= 9, highest.join(" > "));
});

Deno.test("every module of src/ and ffi/ belongs to the program", async () => {
  const files = async (folder: string): Promise<string[]> => {
    const entries = await Array.fromAsync(Deno.readDir(new URL(folder, ROOT)));
    const lists = entries.map(({ name, isDirectory }) =>
      isDirectory ? files(`${folder}${name}/`) : [`${folder}${name}`]
    );
    return (await Promise.all(lists)).flat().filter((path) => path.endsWith(".ts") && !path.endsWith(".d.ts"));
  };
  const all = [...await files("src/"), ...await files("ffi/")];
  assertEquals(all.filter((path) => !modules.some((module) => module.path === path)), []);
});

Deno.test("only the backends name a runtime, or import what is not ours", () => {
  for (const { path, imports, text } of modules) {
    if (RUNTIMES.includes(path)) continue;
    assertEquals(imports.filter((specifier) => !isOurs(specifier)), [], path);
    assertEquals(/\bDeno\s*(?:\.|\[|\?\.)/.exec(withoutComments(text)), null, path);
  }
});

Deno.test("Node 22 can read every module by erasing its types", () => {
  for (const { path, text } of modules) {
    const using = /^\s*(?:await\s+)?using\s+[\w$]+\s*=|\((?:await\s+)?using\s+[\w$]+\s+of\b/m;
    assertEquals(using.exec(withoutComments(text)), null, path);
  }
  const { compilerOptions } = JSON.parse(Deno.readTextFileSync(new URL("deno.json", ROOT)));
  assertEquals(compilerOptions.erasableSyntaxOnly, true);
});

Deno.test("every module begins by saying what it is", () => {
  const silent = modules.filter(({ text }) => !/^(#!.*\n)?(\/\/ |\/\*\*\n \* )\S/.test(text));
  assertEquals(silent.map(({ path }) => path), []);
});
