// For `node --import`, after register.ts: the part of `Deno` that the pure tests use, on Node's own test runner. The
// program itself is run without it.

import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import process from "node:process";
import { test as nodeTest, type TestContext } from "node:test";

interface Steps {
  step(name: string, body: TestBody): Promise<boolean>;
}

type TestBody = (steps: Steps) => void | Promise<void>;

interface Definition {
  name: string;
  ignore?: boolean;
  fn: TestBody;
}

function run(body: TestBody): (context: TestContext) => Promise<void> {
  return async (context) => {
    await body({
      async step(name, inner) {
        await context.test(name, run(inner));
        return true;
      },
    });
  };
}

function test(nameOrDefinition: string | Definition, body?: TestBody): void {
  const { name, ignore = false, fn } = typeof nameOrDefinition === "string"
    ? { name: nameOrDefinition, fn: body! }
    : nameOrDefinition;
  nodeTest(name, { skip: ignore }, run(fn));
}

/** What of Node's errors Deno calls NotFound. */
class NotFound extends Error {
  static override [Symbol.hasInstance](error: unknown): boolean {
    return (error as NodeJS.ErrnoException).code === "ENOENT";
  }
}

const deno = {
  test,
  errors: { NotFound },
  pid: process.pid,
  env: { get: (name: string) => process.env[name] },
  makeTempDirSync: () => mkdtempSync(`${tmpdir()}/tcphup-`),
  mkdirSync,
  readDirSync: (path: string | URL) =>
    readdirSync(path, { withFileTypes: true }).map((entry) => ({
      name: entry.name,
      isFile: entry.isFile(),
      isDirectory: entry.isDirectory(),
    })),
  readTextFileSync: (path: string | URL) => readFileSync(path, "utf8"),
  removeSync: (path: string | URL, options?: { recursive?: boolean }) => rmSync(path, options),
  statSync,
  writeTextFileSync: (path: string | URL, text: string) => writeFileSync(path, text),
};

Object.assign(globalThis, { Deno: deno });
