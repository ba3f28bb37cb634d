// The part of `Deno` that the pure tests use, on Node and its own test runner.

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

  constructor(program: string, { args = [] }: { args?: readonly string[] } = {}) {
    this.#program = program;
    this.#args = args;
  }

  /** Without pipes: Node's are sockets, which is not what tests of sockets expect. */
  spawn(): { pid: number; status: Promise<{ success: boolean }>; kill: ChildProcess["kill"] } {
    const child = spawn(this.#program, this.#args, { stdio: ["ignore", "inherit", "inherit"] });
    const status = once(child, "exit").then(([code]) => ({ success: code === 0 }));
    return { pid: child.pid!, status, kill: (signal) => child.kill(signal) };
  }
}

type Path = string | URL;

/** What there is. A test that needs more is not run with Node. */
export const deno = {
  test,
  errors: { NotFound },
  Command,
  args: process.argv.slice(2),
  pid: process.pid,
  ppid: process.ppid,
  uid: () => process.getuid!(),
  env: { get: (name: string) => process.env[name] },
  exit: (code: number) => process.exit(code),
  addSignalListener: (signal: NodeJS.Signals, listener: () => void) => process.on(signal, listener),
  removeSignalListener: (signal: NodeJS.Signals, listener: () => void) => process.off(signal, listener),
  makeTempDirSync: () => fs.mkdtempSync(`${tmpdir()}/tcphup-`),
  mkdirSync: fs.mkdirSync,
  readDirSync: (path: Path) =>
    fs.readdirSync(path, { withFileTypes: true }).map((entry) => ({
      name: entry.name,
      isFile: entry.isFile(),
      isDirectory: entry.isDirectory(),
    })),
  readFileSync: (path: Path) => new Uint8Array(fs.readFileSync(path)),
  readLinkSync: (path: Path) => fs.readlinkSync(path),
  readTextFileSync: (path: Path) => fs.readFileSync(path, "utf8"),
  removeSync: (path: Path, options?: { recursive?: boolean }) => fs.rmSync(path, options),
  statSync: fs.statSync,
  writeTextFileSync: (path: Path, text: string, options?: { mode?: number }) => fs.writeFileSync(path, text, options),
};
