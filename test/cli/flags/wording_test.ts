// The library's errors about options, in the flags that were typed.

import { assertEquals, assertThrows } from "@std/assert";
import { parseArguments } from "../../../src/cli/flags/arguments.ts";
import { selectionOf } from "../../../src/cli/flags/selection.ts";
import { FLAGS } from "../../../src/cli/flags/table.ts";
import { flagOf, wordInFlags } from "../../../src/cli/flags/wording.ts";
import { KEEPALIVE_NAMES } from "../../../src/keepalive/values.ts";
import { UsageError } from "../../../src/model/errors.ts";
import { compileWithListeners } from "../../../src/select/listeners.ts";

function worded(...words: string[]): string {
  const args = parseArguments(words);
  const error = assertThrows(() => compileWithListeners(selectionOf(args), args.has("listeners")), UsageError);
  wordInFlags(error, args);
  return error.message;
}

Deno.test("every option that an error may name has a flag", () => {
  const words =
    "dst dstFile src dport sport filter state interface mark user idleForMs silentForMs stalled closeWait " +
    "noKeepalive srcGone pid comm exe cgroup container netns children missingOk not.dst dryRun lingerMs finOnly " +
    "waitMs verify destroy destroyAfterMs includeSession max pacing pacing.perSecond pacing.overMs pacing.jitter " +
    "whenIdle whenIdle.idleMs whenIdle.deadlineMs whenIdle.leaveBusy repeat repeat.forMs repeat.everyMs off " +
    "onlyMissing listeners everyMs afterMs liveFile was elsewhere ready selection.dport services hosts probeBytes " +
    "withinS";
  const options = [...words.split(" "), ...KEEPALIVE_NAMES.map((name) => `values.${name}`)];
  assertEquals(options.filter((option) => !FLAGS.some(({ name }) => name === flagOf(option))), []);
});

Deno.test("options are named as flags, and values quoted as they were typed", () => {
  const messages: [words: string[], message: string][] = [
    [
      ["ls"],
      'No connections selected: give an address, as in "tcphup 10.0.0.5 443", a selection flag such as --pid, or say any',
    ],
    [["10.0.0.1", "--idle-for", "0s"], '--idle-for "0s" is out of range: expected 1ms to 49 days'],
    [["10.0.0.1", "--not", "--idle-for=0s"], '--not --idle-for "0s" is out of range: expected 1ms to 49 days'],
    [["10.0.0.1", "--idle-for=0s", "--idle-for=5s"], "--idle-for 0 is out of range: expected 1ms to 49 days"],
    [["10.0.0.1", "-6"], '"10.0.0.1" has no IPv6 address, which -6 asks for'],
    [["10.0.0.1", "--children"], "Option --children needs --pid or --not --pid"],
    [
      ["--no-keepalive", "--not", "--no-keepalive"],
      "Nothing is both with keepalive and without: give --no-keepalive once",
    ],
    [
      ["keepalive", "10.0.0.1", "--listeners"],
      "A listener has no peer and no traffic: with --listeners the destination is any, and this host's end chooses " +
      "(--sport, --src, --pid, --comm, --netns and so on)",
    ],
  ];
  for (const [words, message] of messages) assertEquals(worded(...words), message);
});

Deno.test("what was meant is suggested as it is typed", () => {
  const address = (text: string) => worded(text).replace(/^Not an address: ".*": did you mean /, "");
  assertEquals(address("[::1]:443"), '"::1 443", or --dst ::1 --dport 443?');
  assertEquals(address("5432"), '"any 5432"?');
  assertEquals(address("10.0.0.1,10.0.0.2"), "--dst 10.0.0.1 --dst 10.0.0.2?");
  assertEquals(address("postgres://db/x"), '"db"?');
  assertEquals(worded("any", "80,443"), 'Not a port: "80,443": did you mean --dport 80 --dport 443?');
  assertEquals(
    worded("--src", "10.0.0.1:80"),
    'Not an address: "10.0.0.1:80": did you mean --src 10.0.0.1 --sport 80?',
  );
});
