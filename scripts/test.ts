// Runs the tests: `deno task test [FILE...] [--filter TEXT]`, with any other flag of `deno test`. After what `deno test`
// prints come the skipped tests, whose names say what they need, and a line that counts. No test at all is a failure.

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
  return [...xml.matchAll(/<testcase ([^>]*[^/])(?:\/>|>([^]*?)<\/testcase>)/g)].map(
    ([, attributes = "", body = ""]) => {
      const [, name = ""] = /(?:^|\s)name="([^"]*)"/.exec(attributes)!;
      const failed = /<(?:failure|error)[\s>]/.test(body);
      const outcome = failed ? "failed" : body.includes("<skipped") ? "skipped" : "passed";
      return { name: unescape(name), outcome };
    },
  );
}

function isFile(arg: string): boolean {
  try {
    Deno.statSync(arg);
    return true;
  } catch {
    return false;
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
    const command = new Deno.Command(Deno.execPath(), {
      args: ["test", ...flags, ...args, ...files],
      env: { DENO_JOBS: jobs },
    });
    const { success } = await command.spawn().status;
    return { results: readJUnit(await Deno.readTextFile(junit)), success };
  } finally {
    await Deno.remove(junit);
  }
}

const { results, success } = await denoTest(Deno.args);
const having = (outcome: Result["outcome"]) => results.filter((result) => result.outcome === outcome);
const [passed, failed, skipped] = [having("passed"), having("failed"), having("skipped")];

if (skipped.length > 0) {
  console.log("Skipped:");
  for (const { name } of skipped) console.log(`  ${name}`);
}
if (!success && failed.length === 0) console.log("deno test failed outside of the tests");
if (passed.length + failed.length === 0) console.log("no test was run");
console.log(`${passed.length} passed, ${failed.length} failed, ${skipped.length} skipped`);
Deno.exit(success && failed.length === 0 && passed.length > 0 ? 0 : 1);
