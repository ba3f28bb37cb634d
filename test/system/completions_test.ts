// `tcphup completions` in the shells that it is for: typed on a terminal, or asked of the shell.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { COLUMNS } from "../../src/cli/output/columns.ts";
import { HOLDERS_COMMAND } from "../../src/cli/flags/completions/offers.ts";
import { COMMANDS } from "../../src/cli/flags/flag.ts";
import { FLAGS } from "../../src/cli/flags/table.ts";
import { Directory } from "../harness/directory.ts";
import { assertUsageError, Scene } from "../harness/scene.ts";
import type { Namespace } from "../harness/namespace.ts";
import { run } from "../harness/process.ts";
import { BASH_COMPLETION } from "../harness/needs.ts";
import { hostTest, systemTest } from "../harness/system.ts";
import { assertExit, PublicCopy, type Run, TCPHUP, tcphup } from "../harness/tcphup.ts";
import { type, TYPIST_SETUP } from "../harness/typist.ts";

/** What is typed, and the words that tcphup is then run with. `getent services` has postgresql, and no other postgr. */
const TYPED: Record<string, string[]> = {
  "tcphup doc\t": ["doctor"],
  "tcphup ls --su\t": ["ls", "--summary"],
  "tcphup --dr\t localh\t": ["--dry-run", "localhost"],
  "tcphup ls --colum\t stat\t": ["ls", "--columns", "state"],
  "tcphup ls --columns=state,recv\t": ["ls", "--columns=state,recv-q"],
  "tcphup ls --columns +laststate,id\t": ["ls", "--columns", "+laststate,idle"],
  "tcphup ls --sort=retra\t": ["ls", "--sort=retrans"],
  "tcphup ls --sort=-id\t": ["ls", "--sort=-idle"],
  "tcphup --pid 42\t": ["--pid", "4242"],
  "tcphup --state established --state list\t": ["--state", "established", "--state", "listening"],
  "tcphup fe80::1 postgr\t": ["fe80::1", "postgresql"],
  "tcphup ls :: postgr\t": ["ls", "::", "postgresql"],
  "tcphup ls --watch=5 localh\t": ["ls", "--watch=5", "localhost"],
  "tcphup ls -- localh\t postgr\t": ["ls", "--", "localhost", "postgresql"],
  "tcphup --linger 5s --color nev\t": ["--linger", "5s", "--color", "never"],
  "tcphup --user roo\t --dst-file=/etc/passw\t": ["--user", "root", "--dst-file=/etc/passwd"],
  "tcphup plan --emit envo\t": ["plan", "--emit", "envoyfilter"],
  "tcphup comp\tfi\t": ["completions", "fish"],
};

/** Where the Tab key is to do nothing: what follows could be anything, and Enter would have it cut. */
const NOTHING: Record<string, string[]> = {
  "tcphup hup \t": ["hup"],
  "tcphup hup an\t": ["hup", "an"],
  "tcphup keepalive \t": ["keepalive"],
  "tcphup --dst \t": ["--dst"],
  "tcphup --netns al\t": ["--netns", "al"],
  "tcphup -- doct\t": ["--", "doct"],
  "tcphup -- plan --em\t": ["--", "plan", "--em"],
};

/** What tcphup says of who holds connections; one has a name that nobody is to type. */
const HOLDING = `#!/bin/sh
cat <<'END'
Process
977/nginx fd 5, 4242/java fd 3
4243/$(id) fd 3
END
`;

/** A directory with the completions for a shell and whatever else is given. */
class Home extends Directory {
  static async make(shell: string, file: string, others: Record<string, (path: string) => string> = {}): Promise<Home> {
    const home = new Home();
    const { stdout } = await run([...TCPHUP, "completions", shell]);
    await Deno.writeTextFile(`${home.path}/tcphup`, HOLDING, { mode: 0o755 });
    await Deno.writeTextFile(`${home.path}/${file}`, stdout);
    for (const [name, text] of Object.entries(others)) {
      await Deno.writeTextFile(`${home.path}/${name}`, text(home.path));
    }
    return home;
  }
}

async function assertTyped(
  shell: readonly string[],
  home: Home,
  typed: Record<string, string[]> = { ...TYPED, ...NOTHING },
): Promise<void> {
  const env = { HOME: home.path, ZDOTDIR: home.path, TERM: "dumb", PATH: `${home.path}:${Deno.env.get("PATH")}` };
  const words = await type(shell, Object.keys(typed), env);
  assertEquals(Object.fromEntries(Object.keys(typed).map((line, i) => [line, words[i]])), typed);
}

/** What the Tab key is to lead to in bash, where ESC * puts every completion in the line. */
const LISTED: Record<string, string[]> = {
  "tcphup ls --columns=state,bytes\x1b*": ["ls", "--columns=state,bytes_acked", "state,bytes_received"],
  "tcphup --destr\x1b*": ["--destroy", "--destroy-after"],
  "tcphup completions \x1b*": ["completions", "bash", "zsh", "fish"],
  "tcphup ls --sort \x1b*": ["ls", "--sort", ...COLUMNS.map(({ name }) => name).sort()],
  "tcphup doctor --\x1b*": ["doctor", ...flagsOf("doctor")],
};

function flagsOf(command: string): string[] {
  return FLAGS.filter(({ commands }) => (commands as string[]).includes(command)).map(({ name }) => `--${name}`);
}

for (const loaded of ["with bash-completion", "alone"]) {
  hostTest(`completions in bash ${loaded}`, ["python3", "bash", "bash-completion"], async () => {
    using home = await Home.make("bash", "tcphup.bash", {
      rc: (path) => `${loaded === "alone" ? "" : `. ${BASH_COMPLETION}\n`}. ${path}/tcphup.bash\n${TYPIST_SETUP}`,
    });
    await assertTyped(["bash", "--rcfile", `${home.path}/rc`, "-i"], home);
    const sorted = Object.fromEntries(Object.entries(LISTED).map(([line, words]) => [line, [...words].sort()]));
    const listed = await type(["bash", "--rcfile", `${home.path}/rc`, "-i"], Object.keys(LISTED), { TERM: "dumb" });
    assertEquals(Object.fromEntries(Object.keys(LISTED).map((line, i) => [line, listed[i]!.sort()])), sorted);
  });
}

hostTest("completions in bash do not run what processes are called", ["python3", "bash"], async () => {
  using home = await Home.make("bash", "tcphup.bash", {
    rc: (path) => `. ${path}/tcphup.bash\n${TYPIST_SETUP}`,
  });
  const name = "zz$(id>x) y";
  await Deno.copyFile("/bin/sleep", `${home.path}/${name}`);
  await Deno.chmod(`${home.path}/${name}`, 0o755);
  const child = new Deno.Command(`${home.path}/${name}`, { args: ["60"] }).spawn();
  try {
    await assertTyped(["bash", "--rcfile", `${home.path}/rc`, "-i"], home, {
      [`cd ${home.path}; tcphup --comm zz\t`]: ["--comm", name],
    });
  } finally {
    child.kill("SIGKILL");
    await child.status;
  }
  assertEquals([...Deno.readDirSync(home.path)].map(({ name }) => name).includes("x"), false);
});

const ZSHRC = `
unset zle_bracketed_paste
unsetopt prompt_cr prompt_sp
autoload -U compinit
compinit -u -d $ZDOTDIR/dump
`;

hostTest("completions in zsh, from $fpath", ["python3", "zsh"], async () => {
  using home = await Home.make("zsh", "_tcphup", {
    ".zshrc": (path) => `fpath=(${path} $fpath)${ZSHRC}${TYPIST_SETUP}`,
  });
  await assertTyped(["zsh", "-i"], home);
});

hostTest("completions in zsh, sourced", ["python3", "zsh"], async () => {
  using home = await Home.make("zsh", "tcphup.zsh", {
    ".zshrc": (path) => `${ZSHRC}. ${path}/tcphup.zsh\n${TYPIST_SETUP}`,
  });
  await assertTyped(["zsh", "-i"], home);
});

/** What fish completes, and with what. */
async function fish(home: Home, line: string): Promise<string[]> {
  const script = `source ${home.path}/tcphup.fish; complete -C $argv[1]`;
  const env = { HOME: home.path, PATH: `${home.path}:${Deno.env.get("PATH")}` };
  const { stdout, stderr } = await run(["fish", "--no-config", "-c", script, line], { env });
  assertEquals(stderr, "");
  return stdout.split("\n").filter((line) => line !== "").map((line) => line.replace(/\t.*/, ""));
}

hostTest("completions in fish", ["fish"], async () => {
  using home = await Home.make("fish", "tcphup.fish");
  for (const [line, expected] of Object.entries(TYPED)) {
    // fish leaves out what is this host.
    if (line.includes("localh")) continue;
    const typed = line.split("\t")[0]!;
    const word = typed.slice(typed.lastIndexOf(" ") + 1);
    const completed = expected.find((candidate) => candidate.startsWith(word))!;
    const offered = (await fish(home, typed)).filter((candidate) => candidate.startsWith(word));
    assert(offered.includes(completed), `"${typed}": ${completed} is not among ${offered.join(", ")}`);
  }
  const commands = (await fish(home, "tcphup ")).filter((word) => (COMMANDS as readonly string[]).includes(word));
  assertEquals(commands.sort(), [...COMMANDS].sort());
  const flags = (await fish(home, "tcphup doctor --")).filter((word) => word.startsWith("--"));
  assertEquals(flags.sort(), flagsOf("doctor").sort());
  await Deno.mkdir(`${home.path}/.ssh`);
  await Deno.writeTextFile(`${home.path}/.ssh/known_hosts`, "db.example ssh-ed25519 AAAA\n");
  assertEquals(await fish(home, "tcphup hup d"), ["db.example"]);
  for (const line of ["tcphup --linger ", "tcphup --dst ", "tcphup hup "]) {
    assertEquals(await fish(home, line), [], line);
  }
  const columns = await fish(home, "tcphup ls --columns=state,recv");
  assertEquals(columns, ["--columns=state,recv-q"], "the flag once, and once what stands before the comma");
});

systemTest("what is completed for --pid are the processes that hold connections", [], async (netns) => {
  const scene = await Scene.make(netns);
  await scene.server.serving(6);
  using home = await Home.make("bash", "unused");
  await Deno.writeTextFile(`${home.path}/tcphup`, `#!/bin/sh\nexec ${TCPHUP.join(" ")} "$@"\n`);
  const env = { PATH: `${home.path}:${Deno.env.get("PATH")}` };
  const { stdout } = await netns.run(["bash", "-c", HOLDERS_COMMAND], { env });
  const pids = [scene.client.pid, scene.server.pid].sort((a, b) => a - b);
  assertEquals(stdout, pids.map((pid) => `${pid}\tpython3\n`).join(""));
});

systemTest("completions of no shell, an unknown one, or two", [], async (netns) => {
  assertUsageError(await tcphup(["completions"], { netns }), /bash\|zsh\|fish/);
  assertUsageError(await tcphup(["completions", "ksh"], { netns }), /"ksh".*bash\|zsh\|fish/);
  assertUsageError(await tcphup(["completions", "__proto__"], { netns }), /"__proto__"/);
  assertUsageError(await tcphup(["completions", "bash", "zsh"], { netns }), /"zsh"/);
  assertUsageError(await tcphup(["completions", "bash", "--install"], { netns }), /"bash".*--install/);
});

/** A directory of a user's own, and how tcphup installs for that user. */
async function withUser(
  netns: Namespace,
  use: (home: string, install: (env?: Record<string, string>) => Promise<Run>) => Promise<void>,
): Promise<void> {
  // A user may be unable to read this one: it may be in root's home directory.
  await using copy = await PublicCopy.make();
  using home = new Directory();
  await Deno.chown(home.path, USER, USER);
  await use(home.path, (env) => {
    return tcphup(["completions", "--install"], {
      netns,
      user: USER,
      ...copy,
      env: { ...copy.env, HOME: home.path, XDG_DATA_HOME: "", ...env },
    });
  });
}

const USER = 12345;

/** What a user has then, below the directory of data. */
const INSTALLED = [
  "bash-completion/completions/tcphup",
  "zsh/site-functions/_tcphup",
  "fish/vendor_completions.d/tcphup.fish",
  "man/man1/tcphup.1",
];

systemTest("completions --install: a user's files, written again over older ones", [], async (netns) => {
  await withUser(netns, async (home, install) => {
    const paths = INSTALLED.map((path) => `${home}/.local/share/${path}\n`).join("");
    const first = await install();
    assertExit(first, 0);
    assertEquals(first.stdout, paths);
    assertMatch(
      first.stderr,
      /^tcphup: zsh needs this .*: fpath=\(\S+\/\.local\/share\/zsh\/site-functions \$fpath\)\n$/,
    );
    const [bash] = INSTALLED;
    const file = `${home}/.local/share/${bash}`;
    const whole = await Deno.readTextFile(file);
    await Deno.writeTextFile(file, whole.replace(/(?<=\n\n)[^]*/, "of another version\n"));
    assertEquals((await install()).stdout, paths);
    assertEquals(await Deno.readTextFile(file), whole);
    assertEquals((await Array.fromAsync(Deno.readDir(`${home}/.local/share/man/man1`))).length, 1);

    const elsewhere = await install({ XDG_DATA_HOME: `${home}/data/` });
    assertEquals(elsewhere.stdout, INSTALLED.map((path) => `${home}/data/${path}\n`).join(""));
  });
});

systemTest("completions --install: what is somebody else's stays, and nothing is written", [], async (netns) => {
  await withUser(netns, async (home, install) => {
    const man = `${home}/.local/share/man/man1/tcphup.1`;
    const assertRefused = async (says: RegExp, code: number, env?: Record<string, string>) => {
      const run = await install(env);
      assertExit(run, code);
      assertMatch(run.stderr, says);
      assertEquals(run.stdout, "");
      const written = INSTALLED.map((path) => `${home}/.local/share/${path}`).filter((path) => path !== man);
      assertEquals(written.filter((path) => exists(path)), []);
    };
    await Deno.mkdir(man.slice(0, man.lastIndexOf("/")), { recursive: true });
    await Deno.writeTextFile(man, '.TH HANGUP 1 "" "their own" ""\n');
    await assertRefused(
      /^tcphup: Nothing was written: \S+\/man1\/tcphup\.1 was not made by tcphup; move it away first\n$/,
      3,
    );
    assertEquals(await Deno.readTextFile(man), '.TH HANGUP 1 "" "their own" ""\n');
    await Deno.remove(man);
    await Deno.mkdir(man);
    await assertRefused(/man1\/tcphup\.1 was not made by tcphup/, 3);
    await Deno.remove(man);
    // The directories are root's, since the test has made them.
    await assertRefused(/^tcphup: Cannot write \S+\/bash-completion\/completions\/tcphup: EACCES\n$/, 1);
    await assertRefused(/^tcphup: Nothing was written: HOME, .* not set\n$/, 1, { HOME: "", DENO_DIR: `${home}/deno` });
  });
});

function exists(path: string): boolean {
  try {
    return Deno.lstatSync(path).isFile;
  } catch {
    return false;
  }
}

systemTest(
  "completions --install: as root for all users, and shells and man find it",
  ["unshare", "bash-completion", "zsh", "fish", "man"],
  async (netns) => {
    using home = await Home.make("bash", "unused");
    const load = `. ${BASH_COMPLETION}; _completion_loader tcphup; complete -p tcphup`;
    const script = `
      mount -t tmpfs none /usr/local/share && mount -t tmpfs none /etc/fish && umask 077
      ${TCPHUP.join(" ")} completions --install || exit
      bash -c '${load}'
      zsh -fc 'autoload -U compinit; compinit -uD; echo $_comps[tcphup]'
      fish -c 'complete -C "tcphup doc"'
      readlink -f "$(MANPATH= man -w tcphup)"
      stat -c %a /usr/local/share/man/man1 /usr/local/share/man/man1/tcphup.1`;
    const env = { HOME: home.path, PATH: `${home.path}:${Deno.env.get("PATH")}`, LC_ALL: "C.UTF-8" };
    const { stdout } = await netns.run(["unshare", "--mount", "sh", "-c", script], { env });
    assertEquals(stdout.split("\n"), [
      "/usr/local/share/bash-completion/completions/tcphup",
      "/usr/local/share/zsh/site-functions/_tcphup",
      "/etc/fish/completions/tcphup.fish",
      "/usr/local/share/man/man1/tcphup.1",
      "complete -F _tcphup tcphup",
      "_tcphup",
      "doctor\tshow what works on this host, what does not, and why",
      "/usr/local/share/man/man1/tcphup.1",
      "755",
      "644",
      "",
    ]);
  },
);
