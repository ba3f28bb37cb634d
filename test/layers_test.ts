// The floors of the house: arrows between modules point down, and only the lowest floor knows the runtime.
//
// A floor is what a path says it is. On floor 2 each folder is one subject; floor 3 is every other file of src/, so a
// module that floor 2 is to share has to be named here, and be as pure as those on floor 1 are.

import { assertEquals } from "@std/assert";

/** Modules that stand in src/ itself and belong to floor 1. */
const PURE = ["address", "closest", "connection", "mountinfo", "sleep", "unsupported", "usage_error"].map((name) =>
  `src/${name}.ts`
);

/** What the command line may not know: sockets and bytes. Of floor 0 it knows its own process. */
const BELOW_THE_COMMAND_LINE = /^src\/(netlink|sockdiag|duplicate|netns)\//;
const OWN_PROCESS = ["ffi/deno.ts", "ffi/native.ts"];

/** The only modules that name a runtime. */
const RUNTIMES = ["ffi/deno.ts", "ffi/node.ts"];

function floorOf(path: string): number {
  if (path.startsWith("ffi/")) return 0;
  if (path.startsWith("src/netlink/") || PURE.includes(path)) return 1;
  if (path.startsWith("src/cli/") || path === "cli.ts") return 4;
  return /^src\/[^/]+\//.test(path) ? 2 : 3;
}

/** `src/owners` of a file in it: its subject, on floor 2. */
function subjectOf(path: string): string {
  return path.split("/").slice(0, 2).join("/");
}

/** A module: its path from the root, and its text without comments. */
interface Module {
  path: string;
  code: string;
}

/** Drops the lines that are comments: those of `deno fmt`'s layout start with their mark. */
function withoutComments(text: string): string {
  return text.split("\n").filter((line) => !/^\s*(\/\/|\/\*|\*)/.test(line)).join("\n");
}

const IMPORT = /\b(?:from|import)\s*\(?\s*(["'])([^"'\n]+)\1/g;

/** What a module imports, as it is written. Types count too: they are knowledge. */
function specifiersOf({ code }: Module): string[] {
  return [...code.matchAll(IMPORT)].map(([, , specifier]) => specifier);
}

function resolve(from: string, specifier: string): string {
  return new URL(specifier, `file:///${from}`).pathname.slice(1);
}

/** The modules of ours that a module imports. */
function importsOf(module: Module): string[] {
  return specifiersOf(module).filter((specifier) => specifier.startsWith("."))
    .map((specifier) => resolve(module.path, specifier))
    .filter((path) => path.endsWith(".ts"));
}

/** Why one module may not import another; null where it may. */
function objection(from: string, to: string): string | null {
  const [above, below] = [floorOf(from), floorOf(to)];
  if (below > above) return `floor ${above} imports from floor ${below}`;
  if (above === 1 && below === 0) return "floor 1 is pure";
  if (above === 2 && below === 2 && subjectOf(from) !== subjectOf(to)) return "two subjects of floor 2";
  if (above === 4 && (BELOW_THE_COMMAND_LINE.test(to) || (below === 0 && !OWN_PROCESS.includes(to)))) {
    return "the command line knows no sockets";
  }
  return null;
}

function wrongArrows(modules: readonly Module[]): string[] {
  return modules.flatMap((module) =>
    importsOf(module).flatMap((to) => {
      const why = objection(module.path, to);
      return why === null ? [] : [`${module.path} → ${to}: ${why}`];
    })
  );
}

/** Each circle once, as the modules on it. */
function circles(modules: readonly Module[]): string[][] {
  const imports = new Map(modules.map((module) => [module.path, importsOf(module)]));
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

/** What only a backend may do: name the runtime, or import something that is not ours. */
function foreign(modules: readonly Module[]): string[] {
  return modules.filter(({ path }) => !RUNTIMES.includes(path)).flatMap((module) => [
    ...[...module.code.matchAll(/\bDeno\s*(?:\.|\[|\?\.)\s*\w*/g)].map(([text]) => `${module.path}: ${text}`),
    ...specifiersOf(module).filter((specifier) => !specifier.startsWith(".")).map((text) => `${module.path}: ${text}`),
  ]);
}

/** `using`, which Node 22 does not read. What else is not to be erased is refused by `erasableSyntaxOnly`. */
function unreadable(modules: readonly Module[]): string[] {
  return modules.filter(({ code }) =>
    /^\s*(?:await\s+)?using\s+[\w$]+\s*=|\((?:await\s+)?using\s+[\w$]+\s+of\b/m.test(code)
  )
    .map(({ path }) => path);
}

const ROOT = new URL("..", import.meta.url);

function readModule(path: string): Module {
  return { path, code: withoutComments(Deno.readTextFileSync(new URL(path, ROOT))) };
}

function modulesIn(folder: string): Module[] {
  return [...Deno.readDirSync(new URL(folder, ROOT))].flatMap(({ name, isDirectory }) => {
    if (isDirectory) return modulesIn(`${folder}${name}/`);
    return name.endsWith(".ts") && !name.endsWith(".d.ts") ? [readModule(`${folder}${name}`)] : [];
  });
}

const MODULES = [...modulesIn("ffi/"), ...modulesIn("src/"), readModule("cli.ts"), readModule("mod.ts")];

Deno.test("arrows point down, and floor 2's subjects do not know each other", () => {
  assertEquals(wrongArrows(MODULES), []);
});

Deno.test("there are no circles", () => {
  assertEquals(circles(MODULES), []);
});

Deno.test("every import leads to a module that is there", () => {
  const paths = MODULES.map(({ path }) => path);
  assertEquals(MODULES.flatMap(importsOf).filter((path) => !paths.includes(path)), []);
});

Deno.test("only the backends name a runtime, or import what is not ours", () => {
  assertEquals(foreign(MODULES), []);
});

Deno.test("Node 22 can read every module by erasing its types", () => {
  assertEquals(unreadable(MODULES), []);
  const { compilerOptions } = JSON.parse(Deno.readTextFileSync(new URL("deno.json", ROOT)));
  assertEquals(compilerOptions.erasableSyntaxOnly, true);
});

Deno.test("every module begins by saying what it is", () => {
  const silent = MODULES.filter(({ path }) =>
    !/^(#!.*\n)?(\/\/ |\/\*\*\n \* )\S/.test(Deno.readTextFileSync(new URL(path, ROOT)))
  );
  assertEquals(silent.map(({ path }) => path), []);
});

/** Modules that a test makes up, by their paths. */
function made(texts: Record<string, string>): Module[] {
  return Object.entries(texts).map(([path, text]) => ({ path, code: withoutComments(text) }));
}

Deno.test("wrong arrows are seen in whatever way they are written", () => {
  const arrows: Record<string, [string, string]> = {
    "ffi/libc.ts": ['import { ipv4 } from "../src/address.ts";', "floor 0 imports from floor 1"],
    "src/address.ts": ['export * from "../ffi/libc.ts";', "floor 1 is pure"],
    "src/netlink/message.ts": ['import type { A } from "../owners/find.ts";', "floor 1 imports from floor 2"],
    "src/owners/find.ts": ['import {\n  a,\n  b,\n} from "../sockdiag/list.ts";', "two subjects of floor 2"],
    "src/sockdiag/list.ts": ['const { a } = await import("../hang_up.ts");', "floor 2 imports from floor 3"],
    "src/hang_up.ts": ['import "./cli/main.ts";', "floor 3 imports from floor 4"],
    "src/cli/main.ts": ['import { a } from "../sockdiag/list.ts";', "the command line knows no sockets"],
    "cli.ts": ['import { shutdown } from "./ffi/libc.ts";', "the command line knows no sockets"],
  };
  for (const [path, [text, why]] of Object.entries(arrows)) {
    const [found, ...others] = wrongArrows(made({ [path]: text }));
    assertEquals([found.endsWith(`: ${why}`), others], [true, []], found);
  }
});

Deno.test("right arrows are let pass", () => {
  const right = {
    "src/address.ts": 'import type { Connection } from "./connection.ts";',
    "src/owners/find.ts": 'import { open } from "../../ffi/libc.ts";\nimport { BLOCK } from "./table.ts";',
    "src/hang_up.ts": 'import { findOwners } from "./owners/find.ts";\nimport { list } from "./list.ts";',
    "src/cli/main.ts": 'import { host } from "../../ffi/deno.ts";\nimport { hangUp } from "../hang_up.ts";',
    "mod.ts": '// import "./src/cli/main.ts";\n/**\n * import "./cli.ts";\n */\nexport { list } from "./src/list.ts";',
  };
  assertEquals(wrongArrows(made(right)), []);
});

Deno.test("a circle is seen, however long", () => {
  const around = made({
    "src/a.ts": 'import "./b.ts";\nimport "./d.ts";',
    "src/b.ts": 'import type { C } from "./c.ts";',
    "src/c.ts": 'export { a } from "./a.ts";',
    "src/d.ts": 'import "./e.ts";',
    "src/e.ts": "",
  });
  assertEquals(circles(around), [["src/a.ts", "src/b.ts", "src/c.ts"]]);
});

Deno.test("a runtime and what is not ours are seen", () => {
  const strangers = made({
    "ffi/deno.ts": "Deno.args;",
    "ffi/libc.ts": "// Deno.args\nglobalThis.Deno?.args;",
    "src/list.ts": 'import fs from "node:fs";',
    "src/cli/main.ts": 'import { a } from "@std/assert";\nDeno.exit(1);',
  });
  assertEquals(foreign(strangers), [
    "ffi/libc.ts: Deno?.args",
    "src/list.ts: node:fs",
    "src/cli/main.ts: Deno.exit",
    "src/cli/main.ts: @std/assert",
  ]);
});

Deno.test("`using` is seen", () => {
  const texts = ["using file = open();", "  await using file = open();", "for (using file of files) {}"];
  for (const code of texts) assertEquals(unreadable([{ path: "a.ts", code }]), ["a.ts"], code);
  assertEquals(unreadable([{ path: "a.ts", code: "const using = 1;\nusing(file);\n// using a = b" }]), []);
});
