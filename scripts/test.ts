// Runs the tests: `deno task test [FILE...] [--filter TEXT]`, with any other flag of `deno test`. What was skipped comes at
// the end, by what was missing, and the last line counts. No test at all is a failure.

// This file imports no package, so that it can say what to do where packages cannot be fetched.

import { INSTALLED } from "../test/harness/needs.ts";

/** One test, or one step of a test, as the JUnit report has it. */
interface Result {
  name: string;
  outcome: "passed" | "failed" | "skipped";
}

const ENTITIES: Record<string, string> = { lt: "<", gt: ">", quot: '"', apos: "'", amp: "&" };

function unescape(text: string): string {
  return text.replace(/&(?:(lt|gt|quot|apos|amp)|#(\d+)|#x([0-9a-f]+));/gi, (entity, name, decimal, hexadecimal) => {
    if (name) return ENTITIES[name] ?? entity;
    return String.fromCodePoint(decimal ? parseInt(decimal) : parseInt(hexadecimal, 16));
  });
}

function readJUnit(xml: string): Result[] {
  const cases = [...xml.matchAll(/<testcase ([^>]*[^/])(?:\/>|>([^]*?)<\/testcase>)/g)];
  // What --filter leaves out is in the report too, without a time.
  return cases.filter(([, attributes = ""]) => / time="/.test(attributes)).map(([, attributes = "", body = ""]) => {
    const [, name = ""] = /(?:^|\s)name="([^"]*)"/.exec(attributes)!;
    const failed = /<(?:failure|error)[\s>]/.test(body);
    const outcome = failed ? "failed" : body.includes("<skipped") ? "skipped" : "passed";
    return { name: unescape(name), outcome };
  });
}

function isFile(arg: string): boolean {
  try {
    Deno.statSync(arg);
    return true;
  } catch {
    return false;
  }
}

// deno-lint-ignore no-control-regex -- what a terminal understands begins with ESC.
const COLOR = /\x1b\[[0-9;]*m/g;
const CLEAR_LINE = "\r\x1b[K";
const RESULT = /^.* \.\.\. (ok|FAILED|ignored)(?: \(.*\))?$/;
/** What stands in the block at the end, or was said before. */
const REPEATED = /^Check |^error: Test failed$|^ok \| | \.\.\. ignored \(/;

/** Shows what `deno test` prints, less what it repeats. On a terminal, one line stands for all tests that pass. */
class Display {
  /** Whether some package came from a server with a certificate that Deno does not know. */
  isUntrusted = false;
  readonly #isTerminal = Deno.stdout.isTerminal();
  readonly #counts: Record<string, number> = { ok: 0, FAILED: 0, ignored: 0 };

  async show(stream: ReadableStream<Uint8Array>): Promise<void> {
    let rest = "";
    let isList = false;
    for await (const piece of stream.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + piece).split("\n");
      rest = lines.pop()!;
      for (const line of lines) {
        // The list of failures, and the counts after it, repeat what stands above.
        isList ||= line.replaceAll(COLOR, "") === " FAILURES ";
        if (!isList) this.#showLine(line);
      }
    }
    if (rest !== "") this.#showLine(rest);
  }

  #showLine(line: string): void {
    const text = line.replaceAll(COLOR, "");
    if (/UnknownIssuer/.test(text)) this.isUntrusted = true;
    const [, outcome] = RESULT.exec(text) ?? [];
    if (outcome) this.#counts[outcome]!++;
    if (!REPEATED.test(text) && !(this.#isTerminal && outcome === "ok")) {
      this.#write(this.#isTerminal ? `${CLEAR_LINE}${line}\n` : `${line}\n`);
    }
    if (outcome && this.#isTerminal) this.#showProgress(text);
  }

  #showProgress(text: string): void {
    const { ok, FAILED, ignored } = this.#counts;
    const progress = `${ok} passed, ${FAILED} failed, ${ignored} skipped: ${text}`;
    this.#write(CLEAR_LINE + progress.slice(0, Deno.consoleSize().columns - 1));
  }

  end(): void {
    if (this.#isTerminal) this.#write(CLEAR_LINE);
  }

  #write(text: string): void {
    let bytes = new TextEncoder().encode(text);
    while (bytes.length > 0) bytes = bytes.subarray(Deno.stdout.writeSync(bytes));
  }
}

async function denoTest(args: readonly string[]): Promise<{ results: Result[]; success: boolean }> {
  const junit = await Deno.makeTempFile({ prefix: "tcphup-test-", suffix: ".xml" });
  try {
    const files = args.some(isFile) ? [] : ["test/"];
    // Every file has namespaces of its own, so that files may run at the same time.
    const flags = ["-A", "--parallel", `--junit-path=${junit}`];
    if (/^2\.[67]\./.test(Deno.version.deno)) {
      flags.push(`--preload=${import.meta.resolve("../test/harness/lenient.ts")}`);
    }
    // Most of a test's time goes into waiting.
    const jobs = Deno.env.get("DENO_JOBS") ?? `${2 * navigator.hardwareConcurrency}`;
    const child = new Deno.Command(Deno.execPath(), {
      args: ["test", ...flags, ...args, ...files],
      env: { DENO_JOBS: jobs },
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const display = new Display();
    await Promise.all([display.show(child.stdout), display.show(child.stderr)]);
    const { success } = await child.status;
    display.end();
    if (display.isUntrusted && !Deno.env.has("DENO_TLS_CA_STORE")) {
      console.log("Behind a proxy with a certificate authority of its own, set DENO_TLS_CA_STORE=system");
    }
    return { results: readJUnit(await Deno.readTextFile(junit)), success };
  } finally {
    await Deno.remove(junit);
  }
}

/** Says how many tests were skipped for what, and what to do about it. A test that lacks two things counts for both. */
function explainSkipped(skipped: readonly Result[]): string[] {
  const counts = new Map<string, number>();
  for (const { name } of skipped) {
    const needs = / \(needs ([^()]*)\)$/.exec(name)?.[1]?.split(", ") ?? [name];
    for (const need of needs) counts.set(need, (counts.get(need) ?? 0) + 1);
  }
  const digits = `${skipped.length}`.length;
  const lines = [...counts].sort(([, a], [, b]) => b - a).map(([need, count]) =>
    `  ${`${count}`.padStart(digits)} ${need}${need in INSTALLED ? " *" : ""}`
  );
  const isInstallable = [...counts.keys()].some((need) => need in INSTALLED);
  return ["Skipped, for what was missing:", ...lines, ...(isInstallable ? ["* sudo .ci/install installs it"] : [])];
}

const { results, success } = await denoTest(Deno.args);
const having = (outcome: Result["outcome"]) => results.filter((result) => result.outcome === outcome);
const [passed, failed, skipped] = [having("passed"), having("failed"), having("skipped")];

if (skipped.length > 0) console.log(explainSkipped(skipped).join("\n"));
if (!success && failed.length === 0) console.log("deno test failed outside of the tests");
if (passed.length + failed.length === 0) console.log("no test was run");
console.log(`${passed.length} passed, ${failed.length} failed, ${skipped.length} skipped`);
Deno.exit(success && failed.length === 0 && passed.length > 0 ? 0 : 1);
