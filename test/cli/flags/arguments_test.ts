// The parser of the command line, and its messages.

import { assertEquals, assertThrows } from "@std/assert";
import { parseArguments } from "../../../src/cli/flags/arguments.ts";
import { destination } from "../../../src/cli/flags/selection.ts";
import { FLAGS } from "../../../src/cli/flags/table.ts";
import { selectionOf } from "../../../src/cli/flags/selection.ts";
import { UsageError } from "../../../src/model/errors.ts";

/** The flags that a command line gives, in their order, those with a value as `name=value`. */
function flags(...words: string[]): string[] {
  return parseArguments(words).flags.map(({ flag, value }) =>
    value === undefined ? flag.name : `${flag.name}=${value}`
  );
}

/** Asserts that a command line is refused with exactly this message. */
function assertRefused(words: string[], message: string): void {
  const error = assertThrows(() => parseArguments(words), UsageError);
  assertEquals(error.message, message);
}

Deno.test("the first word names the command where it is one, wherever flags stand", () => {
  for (const words of [["ls", "any"], ["-4", "ls", "any"], ["ls", "-4", "any"], ["ls", "--", "any"]]) {
    const { command, named, positionals } = parseArguments(words);
    assertEquals({ command, named, positionals }, { command: "ls", named: true, positionals: ["any"] });
  }
  const { command, named, positionals } = parseArguments(["10.0.0.5", "ls"]);
  assertEquals({ command, named, positionals }, { command: "hup", named: false, positionals: ["10.0.0.5", "ls"] });
  assertEquals(parseArguments(["hup", "hup"]).positionals, ["hup"]);
  assertEquals(parseArguments([]).positionals, []);
});

Deno.test("no word after -- names the command, or is taken for a mistyped one", () => {
  for (const word of ["run", "ls", "list", "help", "doctor", "lss"]) {
    const { command, named, positionals } = parseArguments(["-n", "--", word, "443"]);
    assertEquals({ command, named, positionals }, { command: "hup", named: false, positionals: [word, "443"] });
  }
  assertEquals(parseArguments(["ls", "--", "run"]).positionals, ["run"]);
});

Deno.test("each flag is known by its name, and by its letter", () => {
  for (const { name, short, value, optionalValue, commands } of FLAGS) {
    // It is no flag of its own, but a part of the one after it.
    if (name === "not") continue;
    const operand = value !== undefined && optionalValue === undefined ? ["7"] : [];
    const hasNone = value === undefined || optionalValue === null;
    const expected = [hasNone ? name : `${name}=${optionalValue ?? "7"}`];
    const command = commands[0]!;
    assertEquals(flags(command, `--${name}`, ...operand), expected);
    if (short) assertEquals(flags(command, `-${short}`, ...operand), expected);
  }
});

Deno.test("no two flags have the same name or letter", () => {
  for (const spellings of [FLAGS.map(({ name }) => name), FLAGS.flatMap(({ short }) => short ?? [])]) {
    assertEquals(spellings.length, new Set(spellings).size);
  }
});

Deno.test("letters may stand together, digits too", () => {
  assertEquals(flags("-n4", "any"), ["dry-run", "ipv4"]);
  assertEquals(flags("-4n", "any"), ["ipv4", "dry-run"]);
  assertEquals(flags("-vqn6", "any"), ["verbose", "quiet", "dry-run", "ipv6"]);
});

Deno.test("a flag without a value leaves the next word alone", () => {
  for (const word of ["true", "false", "5", "any"]) {
    for (const flag of ["-n", "--dry-run"]) {
      const args = parseArguments([flag, word]);
      assertEquals(args.has("dry-run"), true);
      assertEquals(args.positionals, [word]);
    }
  }
});

Deno.test("a value for a flag that has none is refused, rather than taken for its negation", () => {
  for (const value of ["false", "true", "0", ""]) {
    const message = `Option "--dry-run" takes no value: write --dry-run, not --dry-run=${value}`;
    assertRefused([`--dry-run=${value}`, "any"], message);
  }
  assertRefused(["-n=false", "any"], 'Unknown option "-n=false": see "tcphup --help"');
});

Deno.test("a value follows its flag or an equals sign, and the last one counts", () => {
  assertEquals(flags("--linger", "5ms", "any"), ["linger=5ms"]);
  assertEquals(flags("--linger=a=b", "any"), ["linger=a=b"]);
  assertEquals(flags("--linger=-5", "any"), ["linger=-5"]);
  assertEquals(flags("--linger", "-", "any"), ["linger=-"]);
  assertEquals(parseArguments(["--linger=5ms", "--linger", "6ms"]).value("linger"), "6ms");
});

Deno.test("a missing value is reported, and no flag is taken for one", () => {
  const message = 'Option "--linger" needs a value: --linger TIME';
  for (const words of [["--linger"], ["--linger="], ["--linger", ""], ["--linger", "--json"]]) {
    assertRefused(["any", ...words], message);
  }
  assertRefused(["any", "--linger", "--"], message);
});

Deno.test("what is no flag of ours is quoted as it was typed", () => {
  const odd = "--frobnicate -z -nz ---n --=3 --no-json --_ --_=any --constructor --__proto__=1";
  for (const word of odd.split(" ")) {
    assertRefused([word, "any"], `Unknown option "${word}": see "tcphup --help"`);
    assertRefused(["ls", word], `Unknown option "${word}": see "tcphup ls --help"`);
  }
  assertRefused(["10.0.0.5", "-1"], 'Unknown option "-1": see "tcphup --help"');
});

Deno.test("a flag of another command is not this one's", () => {
  assertRefused(["ls", "--dry-run", "any"], '"tcphup ls" has no option "--dry-run": see "tcphup ls --help"');
  assertRefused(["-n", "ls", "any"], '"tcphup ls" has no option "--dry-run": see "tcphup ls --help"');
  assertRefused(["doctor", "-4"], '"tcphup doctor" has no option "--ipv4": see "tcphup doctor --help"');
  assertRefused(["any", "--sort", "idle"], '"tcphup hup" has no option "--sort": see "tcphup --help"');
});

Deno.test("what selects, and for whom not to, ls takes as hup does", () => {
  const selecting = FLAGS.filter(({ group }) => group.startsWith("Selection"));
  const hups = selecting.filter(({ commands }) => commands.includes("hup"));
  assertEquals(hups.filter(({ commands }) => !commands.includes("ls")), []);
});

Deno.test("DEST and PORT are two words at most, and none where flags select", () => {
  const of = (...words: string[]) => destination(parseArguments(words));
  assertEquals(of("10.0.0.5"), { dst: "10.0.0.5", dport: undefined });
  assertEquals(of("ls", "10.0.0.5", "443"), { dst: "10.0.0.5", dport: "443" });
  assertThrows(
    () => of("10.0.0.5", "443", "x"),
    UsageError,
    'Unexpected argument "x": expected tcphup hup DEST [PORT]',
  );
  assertEquals(of("ls", "--pid", "1"), { dst: undefined, dport: undefined });
});

Deno.test("flags that select may be given again, and are alternatives; DEST and PORT are two more", () => {
  const selection = selectionOf(parseArguments(["10.0.0.5", "443", "--dst=::1", "--dport", "80", "--dst", "::2"]));
  assertEquals([selection.dst, selection.dport], [["10.0.0.5", "::1", "::2"], ["443", "80"]]);
  const words = ["--idle-for=5m", "--idle-for", "90s", "--silent-for=1d", "--silent-for=2500ms"];
  const { idleForMs, silentForMs } = selectionOf(parseArguments(words));
  assertEquals([idleForMs, silentForMs], [90_000, 2500]);
});

Deno.test("any is no alternative to what flags say: they decide", () => {
  const of = (...words: string[]) => {
    const { dst, dport, dstFile } = selectionOf(parseArguments(words));
    return { dst, dport, dstFile };
  };
  const flags = ["--dst", "127.9.0.1", "--dport", "7001"];
  for (const words of [["any"], ["*"], ["any", "any"], ["any", "0"], ["any", "*"]]) {
    assertEquals(of(...words, ...flags), { dst: ["127.9.0.1"], dport: ["7001"], dstFile: undefined }, words.join(" "));
  }
  assertEquals(of("any", "--dst-file", "pods.txt"), { dst: undefined, dport: undefined, dstFile: ["pods.txt"] });
  assertEquals(of("any", "0"), { dst: ["any"], dport: ["0"], dstFile: undefined });
  assertEquals(of("any", "443", "--dport", "80"), { dst: ["any"], dport: ["443", "80"], dstFile: undefined });
  assertEquals(of("any", "--not", "--dst", "::1"), { dst: ["any"], dport: undefined, dstFile: undefined });
});

Deno.test("--not turns the one flag around that follows it", () => {
  const { not, ...chosen } = selectionOf(parseArguments([
    ...["any", "--not", "--dst", "::1", "--dst", "::2", "--not", "--dst=::3", "--not", "-f", "x", "--not", "--stalled"],
  ]));
  assertEquals([chosen.dst, chosen.filter, chosen.stalled], [["::2"], undefined, false]);
  assertEquals([not?.dst, not?.filter, not?.stalled], [["::1", "::3"], ["x"], true]);
  for (const before of [[], ["443"], ["--json"], ["-4"], ["-n4"], ["--not", "--dst", "::1"], ["--"], ["--dots", "1"]]) {
    assertThrows(() => parseArguments(["any", "--not", ...before]), UsageError, 'Option "--not"');
  }
  assertRefused(["any", "--not", "--dst"], 'Option "--not --dst" needs a value: --not --dst ADDR');
  assertRefused(
    ["any", "--not", "--stalled=1"],
    'Option "--not --stalled" takes no value: write --not --stalled, not --not --stalled=1',
  );
});

Deno.test("-4 and -6 choose a version, and exclude each other", () => {
  const version = (...words: string[]) => selectionOf(parseArguments([...words, "any"])).version;
  assertEquals([version(), version("-4"), version("--ipv6")], [undefined, 4, 6]);
  assertThrows(() => version("-46"), UsageError, "Options -4 and -6 together select nothing");
});

Deno.test("a time fits an int of milliseconds, and without a unit it is what the table of flags says", () => {
  const of = (flag: string, ...text: string[]) => parseArguments(["any", flag, ...text]).duration(flag.slice(2));
  assertEquals(of("--linger", "2147483647ms"), 2 ** 31 - 1);
  assertThrows(() => of("--linger", "2147483648ms"), UsageError, "such as 500ms, 30s, 5m or 2h, up to 24 days");
  for (const { name, bare, commands } of FLAGS) {
    if (bare === undefined || commands[0] === "keepalive") continue;
    const time = () => parseArguments([commands[0]!, `--${name}=5`]).duration(name);
    if (bare.length === 1) assertEquals(time(), 5000, name);
    else assertThrows(time, UsageError, `--${name} "5" has no unit: expected 5${bare[0]} or 5${bare[1]}`);
  }
});

Deno.test("every time is called TIME", () => {
  for (const { name, value, bare } of FLAGS) assertEquals(value === "TIME", bare !== undefined, name);
});

Deno.test("a negative number is a bad value, not an unknown option", () => {
  const value = (flag: string, text: string) => parseArguments(["any", flag, text]).value(flag.slice(2));
  assertEquals(value("--max", "-1"), "-1");
  assertEquals(value("--wait", "-5"), "-5");
  assertThrows(() => parseArguments(["any", "--wait", "-5"]).duration("wait"), UsageError, 'for --wait: "-5"');
  assertThrows(() => value("--max", "-4"), UsageError, 'Option "--max" needs a value: --max N');
});

Deno.test("--watch alone does not take DEST for its value", () => {
  const args = parseArguments(["ls", "--watch", "10.0.0.5", "443"]);
  assertEquals([args.given("watch"), args.duration("watch")], [true, undefined]);
  assertEquals(args.positionals, ["10.0.0.5", "443"]);
});

Deno.test("--watch takes the next word where that can be nothing but a time", () => {
  const args = parseArguments(["keepalive", "--watch", "500ms", "10.0.0.5", "443"]);
  assertEquals(args.duration("watch"), 500);
  assertEquals(args.positionals, ["10.0.0.5", "443"]);
  const last = parseArguments(["ls", "any", "--watch", "2m"]);
  assertEquals([last.duration("watch"), ...last.positionals], [120_000, "any"]);
});

Deno.test("--refuse takes a time with a unit, or none, and never DEST", () => {
  const forever = parseArguments(["--refuse", "10.0.0.5", "443"]);
  assertEquals([forever.given("refuse"), forever.duration("refuse")], [true, undefined]);
  assertEquals(forever.positionals, ["10.0.0.5", "443"]);
  assertEquals(parseArguments(["any", "--refuse", "10m"]).duration("refuse"), 600_000);
  assertEquals(parseArguments(["--refuse=60", "any"]).duration("refuse"), 60_000);
  assertRefused(
    ["any", "--refuse", "60"],
    '"--refuse 60" may mean a time or PORT: expected --refuse=60s, or PORT before it',
  );
});

Deno.test("--redirect takes an address, and a time that follows it", () => {
  const redirect = (...words: string[]) => {
    const args = parseArguments(words);
    return [...args.values("redirect"), ...args.positionals];
  };
  assertEquals(redirect("--redirect", "10.0.0.6", "10.0.0.5", "443"), ["10.0.0.6", "10.0.0.5", "443"]);
  assertEquals(redirect("10.0.0.5", "--redirect", "10.0.0.6:5432", "10m"), ["10.0.0.6:5432 10m", "10.0.0.5"]);
  assertEquals(redirect("--redirect=10.0.0.6", "10m", "any"), ["10.0.0.6 10m", "any"]);
  assertEquals(redirect("--redirect=10.0.0.6 10m", "5m"), ["10.0.0.6 10m", "5m"]);
  assertRefused(["any", "--redirect"], 'Option "--redirect" needs a value: --redirect ADDRESS[:PORT]');
  const message =
    '"--redirect 10.0.0.6 443" may mean a time or PORT: expected --redirect 10.0.0.6 443s, or PORT before it';
  assertRefused(["10.0.0.5", "--redirect", "10.0.0.6", "443"], message);
});

Deno.test("a number after --watch is refused: it may be a time or PORT", () => {
  const message = '"--watch 5" may mean a time or PORT: expected --watch=5s, or PORT before it';
  for (const words of [["any", "--watch", "5"], ["any", "443", "--watch", "5"], ["--watch", "5", "any"]]) {
    assertRefused(["keepalive", ...words], message);
    assertRefused(["ls", ...words], message);
  }
  for (const words of [["any", "5", "--watch"], ["--watch", "any", "5"], ["any", "--watch", "https"]]) {
    const args = parseArguments(["keepalive", ...words]);
    assertEquals([args.duration("watch"), args.positionals.length], [undefined, 2], words.join(" "));
  }
  assertEquals(parseArguments(["ls", "any", "--watch", "8000-8100"]).positionals, ["any", "8000-8100"]);
});

Deno.test("--watch takes a value after an equals sign", () => {
  const watch = (flag: string) => parseArguments(["ls", flag, "any"]).duration("watch");
  assertEquals(watch("--watch=5"), 5000);
  assertEquals(watch("--watch=500ms"), 500);
  assertEquals(watch("--watch=0.5"), 500);
  assertEquals(parseArguments(["ls", "any"]).duration("watch"), undefined);
  assertThrows(() => watch("--watch=often"), UsageError, 'Not a time for --watch: "often"');
  assertThrows(() => watch("--watch="), UsageError, 'Option "--watch" needs a value');
});

Deno.test("the value of --sort may begin with a minus", () => {
  const sort = (...words: string[]) => parseArguments(["ls", ...words, "any"]);
  assertEquals(sort("--sort", "-idle").value("sort"), "-idle");
  assertEquals(sort("--sort", "-idle").positionals, ["any"]);
  assertEquals(sort("--sort=-idle").value("sort"), "-idle");
  assertEquals(sort("--sort", "idle").value("sort"), "idle");
  assertThrows(() => parseArguments(["ls", "any", "--sort"]), UsageError, 'Option "--sort" needs a value');
});

Deno.test("what follows -- is no flag", () => {
  assertEquals(parseArguments(["ls", "--", "--watch"]).positionals, ["--watch"]);
});

Deno.test("run: all from the command on is the command's, with -- before it or without", () => {
  for (const before of [["run"], ["run", "--"], ["run", "--idle", "5", "--debug"], ["--debug", "run"]]) {
    assertEquals(parseArguments([...before, "curl", "-4", "--", "--help"]).afterDoubleDash, [
      "curl",
      "-4",
      "--",
      "--help",
    ]);
  }
  assertEquals(parseArguments(["run", "--debug"]).afterDoubleDash, null);
});

Deno.test("a flag is given with a value or without", () => {
  const args = parseArguments(["ls", "--summary", "--watch", "--columns", "state", "any"]);
  const given = ["summary", "watch", "columns"];
  assertEquals([...given, "sort", "json"].filter((name) => args.given(name)), given);
});
