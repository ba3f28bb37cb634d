// The options of the Ansible module, from the table of flags.

import { FLAGS } from "../../src/cli/flags/table.ts";
import type { Command, Flag } from "../../src/cli/flags/flag.ts";
import { capitalize } from "../../src/cli/flags/help_text.ts";

/** The commands that the module runs. */
const COMMANDS: readonly Command[] = ["hup", "ls", "keepalive"];

/** What makes no sense in a playbook: flags for terminals, endless runs, and what the module itself decides. */
const LEFT_OUT = ["attach", "columns", "dry-run", "interactive", "not", "pinned", "sort", "summary", "watch"];

const flags = FLAGS.filter(({ name, group, commands }) =>
  group !== "Output" && !LEFT_OUT.includes(name) && commands.some((command) => COMMANDS.includes(command))
);

/** To YAML, off is a boolean. */
const RENAMED: Record<string, string> = { off: "turn_off" };

function optionName({ name }: Flag): string {
  return RENAMED[name] ?? name.replaceAll("-", "_");
}

/** A sentence of prose as YAML, in which a string of JSON is one too. */
function paragraph(text: string): string {
  return JSON.stringify(capitalize(text) + (text.endsWith(".") ? "" : "."));
}

function documentation(flag: Flag): string[] {
  const { value, help, more, commands } = flag;
  const used = COMMANDS.filter((command) => commands.includes(command));
  return [
    `  ${optionName(flag)}:`,
    "    description:",
    `      - ${paragraph(help)}`,
    ...more ? [`      - ${paragraph(more)}`] : [],
    ...used.length < COMMANDS.length ? [`      - "With I(command=${used.join("), I(command=")})."`] : [],
    ...value === undefined ? ["    type: bool", "    default: false"] : ["    type: raw"],
  ];
}

/** The part of DOCUMENTATION that describes the flags. */
export function ansibleOptions(): string {
  return flags.flatMap(documentation).join("\n");
}

/** The Python that names the flags. */
export function ansibleFlags(): string {
  const entry = (flag: Flag) => `    "${optionName(flag)}": "--${flag.name}",\n`;
  const dict = (name: string, chosen: readonly Flag[]) => `${name} = {\n${chosen.map(entry).join("")}}`;
  const switches = flags.filter(({ value }) => value === undefined);
  return [dict("SWITCHES", switches), dict("VALUES", flags.filter((flag) => !switches.includes(flag)))].join("\n");
}
