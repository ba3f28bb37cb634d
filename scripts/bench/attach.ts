// What a connection costs more while `tcphup keepalive --attach` has its program attached: from socket(2) over connect(2)
// and accept(2) to close(2), both ends in a control group of its own. An empty program, which shows what the kernel takes
// to run any, is the floor.

import { KeepaliveAttachment } from "../../src/attach/keepalive_attachment.ts";
import { Assembler, R0 } from "../../src/bpf/assembler.ts";
import { linkToCgroup, loadProgram } from "../../src/bpf/cgroup_link.ts";
import { createCounters } from "../../src/bpf/counters.ts";
import { sockOpsProgram } from "../../src/bpf/sock_ops.ts";
import { resolveValues } from "../../src/keepalive/values.ts";
import { unifiedPoint } from "../../src/linux/proc/cgroup.ts";
import { compileSelection } from "../../src/select/compile_selection.ts";
import { Dialogue } from "../../test/harness/lines.ts";
import { median } from "./measure.ts";
import type { Row } from "./row.ts";

/** Moves into a control group and, for each line that it reads, prints the median time of some connections in ns. */
const CLIENT = `
import os, socket, statistics, struct, sys, time
count, group = int(sys.argv[1]), sys.argv[2]
open(group + "/cgroup.procs", "w").write(str(os.getpid()))
listener = socket.create_server(("127.0.0.1", 0), backlog=16)
address = listener.getsockname()
linger = struct.pack("ii", 1, 0)
for line in sys.stdin:
    times = []
    for _ in range(count):
        begin = time.perf_counter_ns()
        s = socket.socket()
        s.connect(address)
        accepted = listener.accept()[0]
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        s.close()
        accepted.close()
        times.append(time.perf_counter_ns() - begin)
    print(statistics.median(times), flush=True)
os.execvp("true", ["true"])`;

const CONNECTIONS = 500;
const ROUNDS = 40;

/** Attaches a program to a control group. The returned function detaches it. */
type Attach = (path: string) => () => void;

/** Attaches the program for a selection. */
function attachFor(selection: { dst: string; dport?: string }): Attach {
  const compiled = compileSelection(selection);
  const { values } = resolveValues();
  return (path) => {
    const attachment = new KeepaliveAttachment(compiled, [path], { values, onlyMissing: false, settings: {} });
    return () => attachment.close();
  };
}

/** Attaches a program that does nothing. */
function attachNothing(path: string): () => void {
  const program = new Assembler();
  program.move(R0, 1);
  program.exit();
  const counters = createCounters();
  const options = sockOpsProgram(program.assemble());
  const loaded = loadProgram(options, counters);
  const link = linkToCgroup(loaded, `${unifiedPoint()}${path}`, options.attachType)!;
  return () => [link, loaded, counters].forEach((descriptor) => descriptor.close());
}

/** A connection without and with a program, in turns, so that other load meets both. */
async function compare(name: string, attach: Attach): Promise<Row> {
  const path = `/tcphup-bench-${Deno.pid}`;
  const group = `${unifiedPoint()}${path}`;
  await Deno.mkdir(group);
  const client = Dialogue.start(["/usr/bin/python3", "-c", CLIENT, String(CONNECTIONS), group], "the client");
  const connect = async () => {
    await client.tell("");
    return Number(await client.line()) / 1e6;
  };
  const [without, under]: [number[], number[]] = [[], []];
  try {
    await connect();
    for (let round = 0; round < ROUNDS; round++) {
      without.push(await connect());
      const detach = attach(path);
      under.push(await connect());
      detach();
    }
  } finally {
    await client.end();
    await Deno.remove(group);
  }
  const [base, cost] = [median(without), median(under)];
  return {
    name,
    n: ROUNDS * CONNECTIONS,
    median_ms: cost,
    against: "the same without",
    ratio: cost / base,
    note: `${((cost - base) * 1e6).toFixed(0)} ns more`,
  };
}

/** Everything about attached programs. */
export async function attach(): Promise<Row[]> {
  return [
    await compare("a connection, values set by an attached program", attachFor({ dst: "any" })),
    await compare("the same, not selected", attachFor({ dst: "10.0.0.0/8", dport: "443" })),
    await compare("the same under an empty program", attachNothing),
  ];
}
