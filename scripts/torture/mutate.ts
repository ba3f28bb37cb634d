// Garbled messages for the decoders, and random text for whatever reads what people type. Nothing is resolved or touched.
//
// A case is called KIND:SEED, as in filter:12345: some thousands of messages or texts.

import process from "node:process";
import { type Arguments, parseArguments } from "../../src/cli/flags/arguments.ts";
import { parseColumns, parseOrder } from "../../src/cli/output/columns.ts";
import { FLAGS } from "../../src/cli/flags/table.ts";
import { hangUpOptions } from "../../src/cli/commands/hup_options.ts";
import { givenValues } from "../../src/cli/flags/keepalive_values.ts";
import { viewOf } from "../../src/cli/commands/ls_options.ts";
import { selectionOf } from "../../src/cli/flags/selection.ts";
import { cgroupMatcher } from "../../src/linux/proc/cgroup.ts";
import { glob } from "../../src/model/glob.ts";
import { parseAddressList } from "../../src/select/address_file.ts";
import { compileBytecode } from "../../src/select/bytecode.ts";
import { compileMatcher } from "../../src/select/matcher.ts";
import type { SystemNames } from "../../src/select/names.ts";
import { parseFilter } from "../../src/select/ss/parser.ts";
import { compileSelection } from "../../src/select/compile_selection.ts";
import { UsageError } from "../../src/model/errors.ts";
import { parseAddress } from "../../src/model/address.ts";
import { fuzzRtnetlink, fuzzSockDiag, fuzzStructs } from "../../test/linux/netlink/fuzz.ts";
import { Random } from "../../test/select/random.ts";
import type { Part, Verdict } from "./part.ts";

/** How many messages or texts a case has. */
const ROUNDS = 2000;
/** By when one text is read, on a machine that is crowded too. */
const PATIENCE_MS = 3000;

/** A host that knows some names. */
const NAMES: SystemNames = {
  addresses(host) {
    if (host.startsWith("h")) return [parseAddress("10.0.0.1")!, parseAddress("2001:db8::1")!];
    throw new UsageError(`Unknown host "${host}"`);
  },
  port(service) {
    if (service === "https") return 443;
    throw new UsageError(`Unknown port "${service}"`);
  },
  interfaceIndex(name) {
    if (name === "lo") return 1;
    throw new UsageError(`No network interface "${name}"`);
  },
  uid(user) {
    if (user === "root") return 0;
    throw new UsageError(`Unknown user "${user}"`);
  },
  cgroupId: () => 1n,
  localPorts: () => ({ from: 32768, to: 60999 }),
};

// deno-fmt-ignore
const WORDS = [
  "dst", "src", "dport", "sport", "state", "exclude", "and", "or", "not", "dev", "fwmark", "cgroup", "autobound",
  "established", "connected", "synchronized", "listening", "(", ")", "!", "&", "|", "=", "!=", ">=", "<=", "<", ">",
  "\\(", "\\<", "'", '"', ":", "/", "-", ",", "%", "*", "**", "?", "[", "]", "[!", "[a-z]", "#", "\\", "\n", "\t", " ",
  "any", "all", "lo", "root", "https", "host", "h", "0", "1", "80", "443", "8000-8100", "65535", "65536", "-1", "1e3",
  "0x10", "10.0.0.1", "10.0.0.0/8", "10.0.0.0/33", "10.0.0.0/255.0.0.0", "127.1", "::1", "[::1]:80", "2001:db8::/32",
  "::ffff:10.0.0.1", "fe80::1%lo", "1ms", "5s", "2m", "1.5h", "9999999999d", "10/s", "50%", "auto", "é", "💥", "\u0000",
  "\u0085", "\u202e", "\ud800", "a", "--", "-4", "hup", "ls", "keepalive", "run", "plan", "doctor", "help",
];

/** Text that is nearly what is wanted: words of the languages, some letters, now and then a lot of one. */
function randomText(random: Random): string {
  const most = random.chance(0.003) ? 3000 : 12;
  const separator = random.one(["", " ", " ", ","]);
  const word = () => {
    if (random.chance(0.9)) return random.one(WORDS);
    if (random.chance(0.02)) return random.one(WORDS).repeat(random.below(500));
    return String.fromCharCode(random.below(random.chance(0.8) ? 128 : 65536));
  };
  return random.some(most, word).join(separator);
}

function randomFlag(random: Random): string[] {
  const { name, short, value } = random.one(FLAGS);
  const negated = random.chance(0.1) ? ["--not"] : [];
  const given = value !== undefined || random.chance(0.05) ? [randomText(random)] : [];
  if (random.chance(0.5)) return [...negated, `--${name}${given.map((text) => `=${text}`).join("")}`];
  return [...negated, short && random.chance(0.5) ? `-${short}` : `--${name}`, ...given];
}

function readArguments(args: readonly string[]): void {
  const parsed = parseArguments(args);
  const readers: ((args: Arguments) => unknown)[] = [selectionOf, hangUpOptions, givenValues, viewOf];
  for (const read of readers) tolerating(() => read(parsed));
}

/** Calls `read`, which may refuse what it is given. */
function tolerating(read: () => unknown): void {
  try {
    read();
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
  }
}

/** Makes a text, and what reads it. */
type Reader = (random: Random) => { text: unknown; read: () => unknown };

/** What reads a text, by the kind of case. */
const READERS: Record<string, Reader> = {
  filter: (random) => {
    const text = randomText(random);
    const read = () => {
      const { filter } = parseFilter(text, NAMES);
      compileBytecode(filter);
      compileMatcher(filter);
    };
    return { text, read };
  },
  selection: (random) => {
    const selection = {
      filter: random.some(2, () => randomText(random)),
      dst: random.some(2, () => randomText(random)),
      dport: random.some(2, () => randomText(random)),
      state: random.some(1, () => random.one(WORDS)),
      mark: random.some(1, () => random.one(WORDS)),
    };
    return { text: selection, read: () => compileSelection(selection, NAMES) };
  },
  arguments: (random) => {
    const words = random.some(5, () => random.chance(0.6) ? randomFlag(random) : [randomText(random)]).flat();
    return { text: words, read: () => readArguments(words) };
  },
  addresses: (random) => {
    const text = random.some(20, () => randomText(random)).join("\n");
    return { text, read: () => parseAddressList(text, "a file", "dst", NAMES) };
  },
  globs: (random) => {
    const [pattern, subject] = [randomText(random), random.one(["a".repeat(200), "/a/b.slice/c", randomText(random)])];
    const read = () => [glob(pattern)(subject), cgroupMatcher(pattern, ["/sys/fs/cgroup"])(subject)];
    return { text: [pattern, subject], read };
  },
  columns: (random) => {
    const text = randomText(random);
    return { text, read: () => [() => parseColumns(text), () => parseOrder(text)].forEach(tolerating) };
  },
};

const DECODERS: Record<string, (random: Random, rounds: number) => void> = {
  "sock-diag": fuzzSockDiag,
  rtnetlink: fuzzRtnetlink,
  structs: fuzzStructs,
};

/** Reads texts. What is wrong with the first that is not taken as it should be. */
function readTexts(reader: Reader, random: Random): string[] {
  for (let round = 0; round < ROUNDS; round++) {
    const { text, read } = reader(random);
    const start = process.cpuUsage();
    try {
      tolerating(read);
    } catch (error) {
      return [`${error} for ${JSON.stringify(text)}`];
    }
    // On a crowded machine the time on the clock says little.
    const ms = process.cpuUsage(start).user / 1000;
    if (ms > PATIENCE_MS) return [`${Math.round(ms)} ms for ${JSON.stringify(text)}`];
  }
  return [];
}

export class Mutations implements Part {
  readonly figures = { "messages and texts": 0 };

  *names(random: Random): Generator<string> {
    const kinds = [...Object.keys(READERS), ...Object.keys(DECODERS)];
    for (;;) yield `${random.one(kinds)}:${1 + random.below(1_000_000_000)}`;
  }

  try(name: string): Promise<Verdict> {
    const [kind, seed] = name.split(":") as [string, string];
    const reader = READERS[kind];
    const random = new Random(Number(seed));
    this.figures["messages and texts"] += ROUNDS;
    if (reader !== undefined) return Promise.resolve(readTexts(reader, random));
    try {
      DECODERS[kind]!(random, ROUNDS);
    } catch (error) {
      return Promise.resolve([String(error)]);
    }
    return Promise.resolve([]);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}
