// A mistyped command is no host.

import { assertEquals, assertThrows } from "@std/assert";
import { parseArguments } from "../../../src/cli/flags/arguments.ts";
import { UsageError } from "../../../src/model/errors.ts";

/** Typed words with the expected suggestion. */
const MISTYPED: Record<string, string> = {
  "list": "tcphup ls",
  "lst": "tcphup ls",
  "sl": "tcphup ls",
  "LS": "tcphup ls",
  "show": "tcphup ls",
  "folow": "tcphup follow",
  "watch": "tcphup ls --watch",
  "hpu": "tcphup hup",
  "stop": "tcphup hup",
  "kill": "tcphup hup",
  "drop": "tcphup hup",
  "set": "tcphup keepalive",
  "keepalvie": "tcphup keepalive",
  "start": "tcphup run",
  "runn": "tcphup run",
  "plans": "tcphup plan",
  "status": "tcphup doctor",
  "dokter": "tcphup doctor",
  "compltion": "tcphup completions",
  "completion": "tcphup completions",
  "hlep": "tcphup help",
  "version": "tcphup --version",
  "dst": "tcphup -f 'dst ...'",
};

Deno.test("a word that can have been meant as a command is refused, with the one that was meant", () => {
  for (const [word, meant] of Object.entries(MISTYPED)) {
    for (const words of [[word], [word, "443"], ["--json", word, "any"], [word, "--no-such-option"]]) {
      assertEquals(
        assertThrows(() => parseArguments(words), UsageError).message,
        `"${word}" is not a command: did you mean "${meant}"? For a host of that name, write "tcphup hup ${word}"`,
      );
    }
  }
});

Deno.test("after a command or --, and as the value of a flag, it is a host", () => {
  for (const word of Object.keys(MISTYPED)) {
    for (const command of ["hup", "ls", "keepalive"]) {
      const { command: named, positionals } = parseArguments([command, word]);
      assertEquals([named, positionals], [command, [word]]);
    }
    assertEquals(parseArguments(["--dst", word]).values("dst"), [word]);
    assertEquals(parseArguments(["--", word]).positionals, [word]);
  }
});

Deno.test("other words are hosts, and those with a dot or a colon always", () => {
  const hosts = "any db db1 web redis localhost hup.example ls. list.internal ::1 10.0.0.1";
  for (const host of hosts.split(" ")) assertEquals(parseArguments([host]).positionals, [host]);
});

Deno.test("help is a command, alone or before another one", () => {
  const of = (...words: string[]) => {
    const args = parseArguments(words);
    return [args.has("help"), args.named, args.command];
  };
  assertEquals(of("help"), [true, false, "hup"]);
  assertEquals(of("help", "ls"), [true, true, "ls"]);
  assertEquals(of("help", "hup"), [true, true, "hup"]);
  assertThrows(() => of("help", "lss"), UsageError, 'Unknown command "lss": did you mean "ls"?');
  assertThrows(() => of("help", "10.0.0.1"), UsageError, 'Unknown command "10.0.0.1": expected hup, ls,');
  assertThrows(() => of("help", "ls", "any"), UsageError, 'Unexpected argument "any"');
  assertEquals(parseArguments(["-V"]).has("version"), true);
});

Deno.test("a mistyped flag is told which was meant", () => {
  const flags = { "--destory": "destroy", "--dry_run": "dry-run", "--dryrun": "dry-run", "--sum": "summary" };
  for (const [word, meant] of Object.entries(flags)) {
    const message = `Unknown option "${word}": did you mean "--${meant}"?`;
    assertThrows(() => parseArguments([word, "any"]), UsageError, message);
  }
  assertThrows(() => parseArguments(["--destory=5", "any"]), UsageError, 'did you mean "--destroy"?');
});
