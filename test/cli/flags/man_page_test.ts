// The man page as a text. groff and man read it in ../system/docs_test.ts.

import { assert, assertEquals } from "@std/assert";
import { EXIT_CODES } from "../../../src/cli/flags/exit_codes.ts";
import { FLAGS } from "../../../src/cli/flags/table.ts";
import { MANUALS } from "../../../src/cli/flags/manuals.ts";
import { manPage } from "../../../src/cli/flags/man_page.ts";

Deno.test("the man page names every command, flag and exit code", () => {
  const page = manPage();
  for (const command of Object.keys(MANUALS)) assert(page.includes(`.SS ${command}\n`), command);
  for (const { name } of FLAGS) assert(page.includes(`\\fB\\-\\-${name.replaceAll("-", "\\-")}\\fP`), name);
  for (const codes of Object.values(EXIT_CODES)) {
    for (const [code, meaning] of codes) {
      assert(page.includes(`\\fB${code}\\fP\n${meaning.replaceAll("'", "\\(aq")}\n`), meaning);
    }
  }
});

Deno.test("in the man page every line with a dot at its start is a request of man(7)", () => {
  const requests = new Set(
    manPage().split("\n").filter((line) => /^[.']/.test(line)).map((line) => line.split(" ")[0]),
  );
  assertEquals([...requests].sort(), [".PD", ".PP", ".SH", ".SS", ".TH", ".TP", ".br"]);
});

Deno.test("no bare dash stands where something is to be typed", () => {
  const typed = manPage().match(/\\fB.*?\\fP/g)!;
  assert(typed.length > FLAGS.length);
  assertEquals(typed.filter((text) => /(?<!\\)-/.test(text)), []);
});
