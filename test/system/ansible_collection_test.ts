// What Ansible's own tools say of the collection in scripts/ansible.

import { assertEquals, assertMatch } from "@std/assert";
import { parse } from "@std/yaml";
import { COLLECTION, installCollection } from "../harness/ansible.ts";
import { Directory } from "../harness/directory.ts";
import { PYTHON } from "../harness/needs.ts";
import { python } from "../harness/peer.ts";
import { run } from "../harness/process.ts";
import { hostTest, VALIDATE_MODULES } from "../harness/system.ts";

/** Where the module is in the collection. */
const MODULE = "plugins/modules/tcphup.py";

/** Calls `use` with the directory of the collection as it is installed, and the environment in which it is found. */
async function withCollection(use: (path: string, env: Record<string, string>) => Promise<void>): Promise<void> {
  using directory = new Directory();
  const path = await installCollection(directory.path);
  const env = {
    ANSIBLE_COLLECTIONS_PATH: directory.path,
    ANSIBLE_LOCAL_TEMP: `${directory.path}/tmp`,
    HOME: directory.path,
  };
  await use(path, { ...env, PYTHONPATH: directory.path, LC_ALL: "C.UTF-8", NO_COLOR: "1" });
}

hostTest("Ansible: ansible-lint has nothing to say of the collection", ["ansible-lint"], async () => {
  await withCollection(async (cwd, env) => {
    const { code, stdout, stderr } = await run(["ansible-lint"], { cwd, env, mayFail: true });
    assertEquals([code, stdout], [0, ""], stderr);
    assertMatch(stderr, /Passed with production profile|Passed: 0 failure/);
  });
});

hostTest("Ansible: validate-modules finds what is to be ignored, and no more", ["validate-modules"], async () => {
  await withCollection(async (cwd, env) => {
    const flags = ["--format=json", "--arg-spec", "--collection=ansible_collections/tcphup/tcphup"];
    const { stdout } = await run([PYTHON, VALIDATE_MODULES, ...flags, MODULE], { cwd, env, mayFail: true });
    const { errors, warnings }: { errors: { code: string }[]; warnings: unknown[] } = JSON.parse(stdout)[MODULE];
    const { stdout: version } = await run(python("import ansible; print(ansible.__version__)"));
    const ignored = await Deno.readTextFile(`${cwd}/tests/sanity/ignore-${/^\d+\.\d+/.exec(version)![0]}.txt`);
    const found = errors.map(({ code }) => `${MODULE} validate-modules:${code} # MIT License\n`).join("");
    assertEquals([found, warnings], [ignored, []]);
  });
});

hostTest("Ansible: ansible-doc shows the module's options", ["ansible-playbook"], async () => {
  await withCollection(async (cwd, env) => {
    const { stdout } = await run(["ansible-doc", "--type=module", "--json", "tcphup.tcphup.tcphup"], { cwd, env });
    const { doc, return: returned } = JSON.parse(stdout)["tcphup.tcphup.tcphup"];
    assertEquals([doc.options.destroy_after.type, doc.options.connections.default], ["raw", 0]);
    assertEquals(Object.keys(returned).sort(), ["connections", "exit_code", "report"]);
  });
});

Deno.test("Ansible: the collection has the version of tcphup", async () => {
  const { version } = JSON.parse(await Deno.readTextFile(`${COLLECTION}/../../deno.json`));
  assertEquals((parse(await Deno.readTextFile(`${COLLECTION}/galaxy.yml`)) as { version: string }).version, version);
});
