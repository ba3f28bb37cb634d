// What is made from the tables of flags and exit codes, and from types, apart from the program itself: `deno task docs`
// brings README.md, JSON.md and the Ansible module up to date, with --check it fails where they are not. --output
// DIRECTORY makes the man page and the completions, laid out as under /usr.

import { COMPLETIONS } from "../src/cli/commands/completions.ts";
import { EXIT_CODES } from "../src/cli/flags/exit_codes.ts";
import { manPage } from "../src/cli/flags/man_page.ts";
import { readArguments } from "./arguments.ts";
import { ansibleFlags, ansibleOptions } from "./docs/ansible.ts";
import { jsonReference } from "./docs/json.ts";
import { fail, ROOT } from "./tools.ts";

/** The files of which parts are made, and what makes each part. */
const PARTS: Record<string, Record<string, () => string>> = {
  "README.md": { "exit-codes": exitCodes },
  ".github/JSON.md": { reference: jsonReference },
  "scripts/ansible/plugins/modules/tcphup.py": { options: ansibleOptions, flags: ansibleFlags },
};

/** The exit codes of hup as a table, laid out as `deno fmt` does. */
function exitCodes(): string {
  const codes = EXIT_CODES.hup;
  const width = Math.max(...codes.map(([, meaning]) => meaning.length));
  const row = (code: string, meaning: string) => `| ${code} | ${meaning.padEnd(width)} |\n`;
  const rows = codes.map(([code, meaning]) => row(String(code).padStart(9), meaning));
  return `\n${row("exit code", "meaning")}${row("--------:", "-".repeat(width))}${rows.join("")}`;
}

/** Where the files that are made whole belong, below /usr. */
export const SHARED: Record<string, () => string> = {
  "share/man/man1/tcphup.1": manPage,
  "share/bash-completion/completions/tcphup": COMPLETIONS.bash,
  "share/zsh/site-functions/_tcphup": COMPLETIONS.zsh,
  "share/fish/vendor_completions.d/tcphup.fish": COMPLETIONS.fish,
};

/** Puts what is made between the two lines that mark its place, whatever a comment looks like there. */
function fill(text: string, name: string, content: string): string {
  const place = new RegExp(`^(.*deno task docs: ${name}\\b.*\\n)[^]*?^(.*deno task docs: end\\b.*)$`, "m");
  if (!place.test(text)) {
    throw new Error(`There is no line with "deno task docs: ${name}", and one with "end" behind it`);
  }
  return text.replace(place, (_, begin, end) => `${begin}${content}\n${end}`);
}

/** The files that differ from what would be made, and what that is. */
export async function drifted(): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  for (const [path, parts] of Object.entries(PARTS)) {
    const text = await Deno.readTextFile(ROOT + path);
    const made = Object.entries(parts).reduce((text, [name, make]) => fill(text, name, make()), text);
    if (made !== text) files.set(path, made);
  }
  return files;
}

/** Writes the man page and the completions below `directory`. */
export async function writeShared(directory: string): Promise<void> {
  for (const [path, make] of Object.entries(SHARED)) {
    const file = `${directory}/${path}`;
    await Deno.mkdir(file.slice(0, file.lastIndexOf("/")), { recursive: true });
    await Deno.writeTextFile(file, make());
  }
}

async function update(): Promise<void> {
  for (const [path, text] of await drifted()) await Deno.writeTextFile(ROOT + path, text);
}

async function check(): Promise<void> {
  const files = [...(await drifted()).keys()];
  if (files.length > 0) throw new Error(`Out of date: ${files.join(", ")}: run deno task docs`);
}

async function main(): Promise<void> {
  const { check: checks, output } = readArguments(Deno.args, { flags: ["output"], switches: ["check"] });
  if (checks) await check();
  else if (output !== undefined) await writeShared(output);
  else await update();
}

if (import.meta.main) await main().catch(fail);
