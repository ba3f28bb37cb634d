// What is typed wrong is refused: exit 2, one line that says what is wrong and what would be right, nothing touched.

import { assertEquals, assertMatch } from "@std/assert";
import { assertUsageError, assertUsageErrors, DOOMED_PORT, Scene } from "../harness/scene.ts";
import { systemTest } from "../harness/system.ts";
import { assertExit, tcphup } from "../harness/tcphup.ts";

/** What is typed, and what the one line must say: it quotes what is wrong. */
const WRONG: Record<string, [args: string[], says: RegExp]> = {
  "no address at all": [[], /10\.|any/],
  "an octet out of range": [["127.0.0.256", "8000"], /127\.0\.0\.256/],
  "three octets": [["127.0.2", "8000"], /127\.0\.2/],
  "five octets": [["127.0.0.2.1", "8000"], /127\.0\.0\.2\.1/],
  "an octet with a leading zero": [["127.0.0.02", "8000"], /127\.0\.0\.02/],
  "IPv6 with two gaps": [["2001::1::2", "8000"], /2001::1::2/],
  "IPv6 with nine groups": [["1:2:3:4:5:6:7:8:9", "8000"], /1:2:3:4:5:6:7:8:9/],
  "an unclosed bracket": [["[::1", "8000"], /\[::1/],
  "an IPv4 prefix too long": [["127.0.0.0/33", "8000"], /127\.0\.0\.0\/33/],
  "an IPv6 prefix too long": [["2001:db8::/129", "8000"], /2001:db8::\/129/],
  "a prefix without a length": [["127.0.0.0/", "8000"], /127\.0\.0\.0\//],
  "a negative prefix": [["127.0.0.0/-1", "8000"], /127\.0\.0\.0\/-1/],
  "an empty address": [["", "8000"], /""|empty/],
  "an unknown host": [["no-such-host.invalid", "8000"], /no-such-host\.invalid/],
  "port 65536": [["127.0.0.2", "65536"], /65536/],
  "a negative port": [["127.0.0.2", "-1"], /-1/],
  "an unknown service": [["127.0.0.2", "no-such-service"], /no-such-service/],
  "half a range": [["127.0.0.2", "8000-"], /8000-/],
  "a range backwards": [["127.0.0.2", "8100-8000"], /8100-8000/],
  "a range beyond 65535": [["127.0.0.2", "8000-65536"], /8000-65536|65536/],
  "a port with a fraction": [["127.0.0.2", "8000.5"], /8000\.5/],
  "a port in hexadecimal": [["127.0.0.2", "0x1f40"], /0x1f40/],
  "an empty port": [["127.0.0.2", ""], /""|empty/],
  "a prefix with bits beyond its length": [["127.0.0.9/8"], /127\.0\.0\.9\/32 or 127\.0\.0\.0\/8/],
  "the same in a flag": [["any", "--dst", "127.0.0.9/8"], /127\.0\.0\.9\/32 or 127\.0\.0\.0\/8/],
  "a surplus argument": [["127.0.0.2", "8000", "9000"], /9000/],
  "an unknown flag": [["127.0.0.2", "8000", "--destory"], /--destory/],
  "an unknown short flag": [["127.0.0.2", "8000", "-z"], /-z/],
  "--linger without its value": [["127.0.0.2", "8000", "--linger"], /--linger/],
  "--linger with a word": [["127.0.0.2", "8000", "--linger", "soon"], /--linger.*soon/],
  "a negative --linger": [["127.0.0.2", "8000", "--linger", "-5"], /--linger|-5/],
  "--wait without its value": [["127.0.0.2", "8000", "--wait"], /--wait/],
  "--wait that takes a flag for its value": [["127.0.0.2", "8000", "--wait", "--json"], /--wait/],
  "--wait with a word": [["127.0.0.2", "8000", "--wait=soon"], /--wait.*soon/],
  "--destroy-after without its value": [["127.0.0.2", "8000", "--destroy-after"], /--destroy-after/],
  "--destroy-after with a word": [["127.0.0.2", "8000", "--destroy-after", "x"], /--destroy-after.*x/],
  "a value for a flag that takes none": [["127.0.0.2", "8000", "--json=yes"], /--json/],
  "-4 and -6 at once": [["127.0.0.2", "8000", "-4", "-6"], /-4.*-6|-6.*-4/],
  "-6 for an IPv4 address": [["127.0.0.2", "8000", "-6"], /127\.0\.0\.2/],
  "--destroy for ls": [["ls", "127.0.0.2", "8000", "--destroy"], /--destroy/],
  "an address for doctor": [["doctor", "127.0.0.2"], /127\.0\.0\.2/],
};

systemTest("wrong usage: exit 2, one line that says so, nothing touched", [], async (netns) => {
  await assertUsageErrors(netns, WRONG);
});

systemTest("a mistyped command is no host, even where it resolves", [], async (netns) => {
  const scene = await Scene.make(netns);
  const words = ["list", "lst", "show", "stop", "docter", "help", "dst"];
  await netns.hosts([`127.0.0.2 ${words.join(" ")}`]);
  const resolved = await tcphup(["ls", "list", `${DOOMED_PORT}`, "--json"], { netns });
  assertEquals(resolved.json().matched, 3);
  for (const word of words) {
    for (const args of [[word], [word, `${DOOMED_PORT}`], ["--json", word]]) {
      const run = await tcphup(args, { netns });
      if (word === "help" && !args.includes(`${DOOMED_PORT}`)) assertExit(run, 0);
      else assertUsageError(run, new RegExp(word === "help" ? `${DOOMED_PORT}` : `"${word}".*did you mean`));
    }
  }
  await scene.assertUntouched();
  await tcphup(["hup", "list", `${DOOMED_PORT}`], { netns, code: 0 });
  await scene.assertHungUp();
});

systemTest("any beside --dst or --dport is no condition, and no alternative", [], async (netns) => {
  const scene = await Scene.make(netns);
  const args = ["any", "0", "--dst", "127.0.0.9", "--dport", `${DOOMED_PORT}`];
  const run = await tcphup([...args, "--json"], { netns, code: 0 });
  assertEquals(run.json().matched, 0);
  await scene.assertUntouched();
});

systemTest("--version, -h and --help", [], async (netns) => {
  const { version } = JSON.parse(await Deno.readTextFile(new URL("../../deno.json", import.meta.url)));
  for (const flag of ["--version", "-V"]) {
    const versions = await tcphup([flag], { netns, code: 0 });
    assertEquals(versions.stdout, `tcphup ${version}\n`);
  }
  for (const args of [["-h"], ["--help"], ["help"], ["ls", "--help"], ["help", "ls"], ["doctor", "--help"]]) {
    const help = await tcphup(args, { netns, code: 0 });
    assertMatch(help.stdout, /tcphup/);
    assertEquals(help.stderr, "");
  }
  const { stdout: long } = await tcphup(["--help"], { netns });
  const flags = ["--dry-run", "--json", "--linger", "--wait", "--destroy", "--destroy-after", "--include-session"];
  assertEquals(flags.filter((flag) => !long.includes(flag)), [], "flags that --help does not name");
});

systemTest("flags may stand anywhere, and values behind a blank or an equals sign", [], async (netns) => {
  const scene = await Scene.make(netns);
  const port = `${DOOMED_PORT}`;
  const orders = [
    ["--json", "--linger", "2000ms", "127.0.0.2", port],
    ["hup", "--linger=2000ms", "127.0.0.2", "--json", port],
    ["127.0.0.2", "--json", port, "--wait", "5"],
  ];
  for (const args of orders) {
    const run = await tcphup([...args, "--dry-run"], { netns, code: 0 });
    assertEquals(run.json().matched, 3);
  }
  await scene.assertUntouched();
});

systemTest(
  "an argument of hostile bytes is refused like any other, in a line that fits a screen",
  [],
  async (netns) => {
    const hostile = ["\x1b[31mred", "a".repeat(10_000), "127.0.0.2\n8000", "%s%n", "../../etc/passwd"];
    for (const dest of hostile) {
      const run = await tcphup([dest, "8000"], { netns });
      assertUsageError(run, /address|host/);
      assertEquals(run.stderr.length < 1100, true);
    }
    // The longest argument that execve(2) takes.
    const long = "x".repeat(128 * 1024 - 1);
    for (const args of [[long], ["any", long], [`--${long.slice(2)}`], ["any", "--linger", long], ["-f", long]]) {
      const run = await tcphup(args, { netns, code: 2 });
      assertEquals(run.stderr.length < 1500, true);
    }
  },
);
