// The commands that are tortured: what each is to do, and so what its report has to say.

import { PYTHON } from "../../test/harness/needs.ts";
import { TCPHUP } from "../bench/paths.ts";

/** A way of calling tcphup. */
export interface Tortured {
  readonly args: readonly string[];
  /** What it does to the connections that it selects. */
  readonly does: "cut" | "list" | "set" | "nothing";
  /** Whether it looks into the other network namespace too. */
  readonly everywhere?: boolean;
  /** Whether what could not be aborted later may have been hung up on before. */
  readonly escalates?: boolean;
  /** Whether it goes on until it is interrupted. */
  readonly endless?: boolean;
  /** Whether standard output is that of another program. */
  readonly launches?: boolean;
}

/** Those that `holder.py` is asked to hold as the doomed ones, wherever it lives. */
const DOOMED = ["127.9.0.0/24", "7001"];
/** What `keepalive` and `run` are to set. */
export const WANTED = { enabled: true, idle_s: 21, interval_s: 7, count: 3, user_timeout_ms: 42_000 } as const;
const VALUES = ["--idle", "21", "--interval", "7", "--count", "3"];
/** The status with which the launched program ends. */
export const LAUNCHED_STATUS = 7;

/** Connects so often, and tells in JSON the names of the errors, and on how many sockets keepalive is off then. */
const CLIENT = `
import errno, json, socket, sys, time
errors, unset = [], 0
for i in range(int(sys.argv[1])):
    with socket.socket() as sock:
        try:
            sock.connect(("127.9.0.1", 7003))
            unset += sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 0
        except OSError as error:
            errors.append(errno.errorcode[error.errno])
    if i > 0: time.sleep(0.002)
print(json.dumps({"errors": errors, "unset": unset}))
sys.exit(${LAUNCHED_STATUS})`;

/** `run` with a program that connects so often. */
export function launching(connects: number, ...flags: readonly string[]): Tortured {
  const command = [PYTHON, "-c", CLIENT, `${connects}`];
  return { args: ["run", ...VALUES, "--debug", ...flags, "--", ...command], does: "nothing", launches: true };
}

/** All of them, by name. */
export const COMMANDS: Readonly<Record<string, Tortured>> = {
  hup: { args: [...DOOMED, "--json"], does: "cut" },
  "when-idle": { args: [...DOOMED, "--when-idle", "10ms", "--json"], does: "cut" },
  paced: { args: [...DOOMED, "--rate", "100/s", "--json"], does: "cut" },
  destroy: { args: [...DOOMED, "--destroy", "--json"], does: "cut" },
  "destroy-after": { args: [...DOOMED, "--destroy-after", "100ms", "--json"], does: "cut", escalates: true },
  netns: { args: [...DOOMED, "--netns", "all", "--json"], does: "cut", everywhere: true },
  ls: { args: ["ls", ...DOOMED, "--keepalive", "--json"], does: "list" },
  keepalive: { args: ["keepalive", ...DOOMED, ...VALUES, "--json"], does: "set" },
  watch: { args: ["keepalive", ...DOOMED, ...VALUES, "--watch=100ms", "--json-lines"], does: "set", endless: true },
  run: launching(1),
  "run-supervisor": launching(1, "--no-bpf"),
  "run-socket": launching(1, "--on", "socket,connect"),
  doctor: { args: ["doctor", "--json"], does: "nothing" },
};

/** Returns the command of that name. */
export function commandNamed(name: string): Tortured {
  const command = COMMANDS[name];
  if (command === undefined) throw new Error(`no command "${name}": expected ${Object.keys(COMMANDS).join(", ")}`);
  return command;
}

/** The command line of one of them. */
export function commandLine({ args }: Tortured): [string, ...string[]] {
  return [...TCPHUP, ...args];
}

/** Whether a command is to act on a connection, by its peer's address and port. */
export function selects({ everywhere }: Tortured, address: string, dport: number): boolean {
  return dport === 7001 && address.startsWith("127.9.0.") && (everywhere === true || address !== "127.9.0.3");
}
