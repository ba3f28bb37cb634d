// Ansible with network namespaces for hosts: the real ansible-playbook, whose modules run in the namespace of their host.

import { assertEquals, assertNotMatch } from "@std/assert";
import type { JsonDocument } from "../../src/cli/output/json.ts";
import type { HangUpReport } from "../../src/report/report.ts";
import { Directory } from "./directory.ts";
import type { Namespace } from "./namespace.ts";
import { PYTHON } from "./needs.ts";
import { type Output, run } from "./process.ts";
import { COMPILED, TCPHUP } from "./tcphup.ts";

/** The sources of the collection. */
export const COLLECTION = new URL("../../scripts/ansible", import.meta.url).pathname;
const CALLBACK = new URL("programs/ansible_results.py", import.meta.url).pathname;

/** What a task did on a host. */
export interface TaskResult {
  host: string;
  task: string;
  outcome: "ok" | "failed" | "skipped" | "unreachable";
  result: {
    changed?: boolean;
    msg?: string;
    exit_code?: number;
    attempts?: number;
    report?: Omit<JsonDocument<HangUpReport>, "connections">;
    connections?: JsonDocument<HangUpReport>["connections"];
    diff?: { before: string; after: string };
    warnings?: string[];
  };
}

/** What a run of ansible-playbook did. */
export interface Play extends Output {
  results: TaskResult[];
}

/** A host of the inventory. */
export interface Host {
  netns: Namespace;
  /** Capabilities that Ansible lacks there: `sys_ptrace`. */
  without?: readonly string[];
}

/** An inventory, and a directory for all that Ansible writes. */
export class Inventory extends Directory {
  static async make(hosts: Record<string, Host>): Promise<Inventory> {
    const inventory = new Inventory();
    const directory = inventory.path;
    await Deno.copyFile(CALLBACK, `${directory}/ansible_results.py`);
    await Deno.writeTextFile(`${directory}/ansible.cfg`, "");
    await installCollection(directory);
    await inventory.writeProgram("");
    // In place of the host's, which runs no systemd for a test: the unit is there, and does not run yet.
    await Deno.mkdir(`${directory}/bin`);
    const state = "printf 'LoadState=loaded\\nActiveState=inactive\\nUnitFileState=disabled\\n'";
    await writeScript(
      `${directory}/bin/systemctl`,
      `echo "$*" >>${directory}/systemctl; [ "$1" != show ] || ${state}; [ "$1" != is-enabled ]`,
    );
    const variables: Record<string, Record<string, string | boolean>> = {};
    for (const [name, { netns, without }] of Object.entries(hosts)) {
      const python = netns.enter([PYTHON], { without });
      await writeScript(`${directory}/python-${name}`, `exec ${python.join(" ")} "$@"`);
      variables[name] = {
        ansible_connection: "local",
        ansible_python_interpreter: `${directory}/python-${name}`,
        ansible_become: false,
        tcphup_binary: `${directory}/tcphup`,
        tcphup_executable: inventory.executable(name),
      };
    }
    await Deno.writeTextFile(`${directory}/hosts.json`, JSON.stringify({ all: { hosts: variables } }));
    return inventory;
  }

  /** Makes the tcphup that the role is to copy, another one for each comment. */
  async writeProgram(comment: string): Promise<void> {
    if (COMPILED && comment === "") await Deno.copyFile(COMPILED, `${this.path}/tcphup`);
    else await writeScript(`${this.path}/tcphup`, `exec ${TCPHUP.join(" ")} "$@" #${comment}`);
  }

  /** Where a host has its tcphup. */
  executable(host: string): string {
    return `${this.path}/tcphup-on-${host}`;
  }

  /** A directory of the hosts, made anew, for what a playbook puts there. */
  async directory(name: string): Promise<string> {
    await Deno.mkdir(`${this.path}/${name}`);
    return `${this.path}/${name}`;
  }

  /** The commands that systemctl was given, but for questions. */
  async systemctl(): Promise<string[]> {
    const lines = (await Deno.readTextFile(`${this.path}/systemctl`)).split("\n");
    return lines.filter((line) => !/^(?:show|is-|$)/.test(line));
  }

  /** Runs one of our playbooks, or a play of the test's own. */
  async play(playbook: string | Record<string, unknown>, ...args: string[]): Promise<Play> {
    const path = typeof playbook === "string" ? `tcphup.tcphup.${playbook}` : `${this.path}/play.json`;
    if (typeof playbook !== "string") await Deno.writeTextFile(path, JSON.stringify([playbook]));
    const results = `${this.path}/results`;
    await Deno.writeTextFile(results, "");
    const output = await run(["ansible-playbook", "-i", `${this.path}/hosts.json`, path, ...args], {
      cwd: this.path,
      env: {
        PATH: `${this.path}/bin:${Deno.env.get("PATH")}`,
        ANSIBLE_CONFIG: `${this.path}/ansible.cfg`,
        ANSIBLE_CALLBACK_PLUGINS: this.path,
        ANSIBLE_CALLBACKS_ENABLED: "ansible_results",
        ANSIBLE_LOCAL_TEMP: `${this.path}/tmp`,
        ANSIBLE_REMOTE_TEMP: `${this.path}/tmp`,
        ANSIBLE_COLLECTIONS_PATH: this.path,
        ANSIBLE_NOCOLOR: "1",
        LC_ALL: "C.UTF-8",
        TCPHUP_TEST_RESULTS: results,
      },
      mayFail: true,
    });
    const lines = (await Deno.readTextFile(results)).split("\n").filter((line) => line !== "");
    return { ...output, results: lines.map((line) => JSON.parse(line)) };
  }
}

/** Installs the collection below a directory, as README.md of the collection says. Returns where it then is. */
export async function installCollection(directory: string): Promise<string> {
  const env = { ANSIBLE_COLLECTIONS_PATH: directory, ANSIBLE_LOCAL_TEMP: `${directory}/tmp`, LC_ALL: "C.UTF-8" };
  await run(["ansible-galaxy", "collection", "install", COLLECTION], { cwd: directory, env });
  return `${directory}/ansible_collections/tcphup/tcphup`;
}

async function writeScript(path: string, line: string): Promise<void> {
  await Deno.writeTextFile(path, `#!/bin/sh\n${line}\n`);
  await Deno.chmod(path, 0o755);
}

/** What the tasks whose names begin like this did, in order. */
export function resultsOf({ results }: Play, task: string): TaskResult[] {
  return results.filter((result) => result.task.replace(/^.* : /, "").startsWith(task));
}

/** Fails unless ansible-playbook ended with this status, without a warning. A failure shows what it said. */
export function assertPlay(play: Play, code: number): void {
  // Ansible warns of any playbook that is called by its name in a collection.
  const said = (play.stdout + play.stderr).replace("[WARNING]: running playbook inside collection", "");
  assertEquals(play.code, code, said);
  // What tcphup itself says beside a failure, ansible-core 2.19 shows.
  assertNotMatch(said, /\[WARNING\](?!: tcphup: )|\[DEPRECATION/);
}
