// For `node --import`, after register.ts: the part of `Deno` that the pure tests use, on Node's own test runner. The
// program itself is run without it.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
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

class Command {
  readonly #program: string;
  readonly #args: readonly string[];

  constructor(program: string, { args = [] }: { args?: readonly string[] }) {
    this.#program = program;
    this.#args = args;
  }

  spawn(): { pid: number; status: Promise<{ success: boolean }>; kill: ChildProcess["kill"] } {
    const child = spawn(this.#program, this.#args, { stdio: ["ignore", "inherit", "inherit"] });
    const status = once(child, "exit").then(([code]) => ({ success: code === 0 }));
    return { pid: child.pid!, status, kill: (signal) => child.kill(signal) };
  }
}

const deno = {
  test,
  errors: { NotFound },
  Command,
  pid: process.pid,
  ppid: process.ppid,
  env: { get: (name: string) => process.env[name] },
  addSignalListener: (signal: NodeJS.Signals, listener: () => void) => process.on(signal, listener),
  removeSignalListener: (signal: NodeJS.Signals, listener: () => void) => process.off(signal, listener),
  makeTempDirSync: () => fs.mkdtempSync(`${tmpdir()}/tcphup-`),
  mkdirSync: fs.mkdirSync,
  readDirSync: (path: string | URL) =>
    fs.readdirSync(path, { withFileTypes: true }).map((entry) => ({
      name: entry.name,
      isFile: entry.isFile(),
      isDirectory: entry.isDirectory(),
    })),
  readFileSync: (path: string | URL) => new Uint8Array(fs.readFileSync(path)),
  readLinkSync: (path: string | URL) => fs.readlinkSync(path),
  readTextFileSync: (path: string | URL) => fs.readFileSync(path, "utf8"),
  removeSync: (path: string | URL, options?: { recursive?: boolean }) => fs.rmSync(path, options),
  statSync: fs.statSync,
  writeTextFileSync: (path: string | URL, text: string, options?: { mode?: number }) =>
    fs.writeFileSync(path, text, options),
};

Object.assign(globalThis, { Deno: deno });
