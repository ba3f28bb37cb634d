// What `tcphup run` costs a program, with a BPF program and with a supervisor: the time that socket(2) and connect(2) take,
// and a system call that does not concern it.

import { run } from "../process.ts";
import { median } from "./measure.ts";
import { TCPHUP } from "./paths.ts";
import type { Row } from "./row.ts";

/** Makes sockets and connects them to itself, then calls getppid(2); prints the medians in µs and ns. */
const CLIENT = `
import json, os, socket, statistics, struct, sys, threading, time
count = int(sys.argv[1])
listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
def serve():
    while True:
        listener.accept()[0].close()
threading.Thread(target=serve, daemon=True).start()
address = listener.getsockname()
times = []
for _ in range(count):
    begin = time.perf_counter_ns()
    s = socket.socket()
    s.connect(address)
    times.append(time.perf_counter_ns() - begin)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()
def calls():
    begin = time.perf_counter_ns()
    for _ in range(10_000):
        os.getppid()
    return (time.perf_counter_ns() - begin) / 10_000
json.dump([statistics.median(times) / 1000, statistics.median(calls() for _ in range(50))], sys.stdout)`;

const CONNECTIONS = 5000;
const ROUNDS = 5;

/** Medians of one way to run the client. */
interface Cost {
  readonly connect_us: number;
  /** Of a call that the filter allows. */
  readonly other_call_ns: number;
}

async function measure(command: readonly string[]): Promise<Cost> {
  const [connect_us, other_call_ns] = JSON.parse((await run(command)).stdout);
  return { connect_us, other_call_ns };
}

function medians(costs: readonly Cost[]): Cost {
  return {
    connect_us: median(costs.map(({ connect_us }) => connect_us)),
    other_call_ns: median(costs.map(({ other_call_ns }) => other_call_ns)),
  };
}

function row(name: string, cost: Cost, without: Cost): Row {
  const more_us = cost.connect_us - without.connect_us;
  const calls = `getppid(2) ${cost.other_call_ns.toFixed(0)} ns, ${without.other_call_ns.toFixed(0)} without`;
  return {
    name,
    n: CONNECTIONS,
    median_ms: cost.connect_us / 1000,
    against: "the same without",
    ratio: cost.connect_us / without.connect_us,
    note: `${more_us.toFixed(1)} µs more; ${calls}`,
  };
}

/** Fails where `tcphup run` takes a supervisor, which would be measured twice then. */
async function requireProgram(): Promise<void> {
  const { stderr } = await run([...TCPHUP, "run", "--debug", "--", "true"]);
  if (!stderr.includes("by a BPF program")) throw new Error(stderr);
}

/** Everything about launching. */
export async function connect(): Promise<Row[]> {
  const client = ["/usr/bin/python3", "-c", CLIENT, String(CONNECTIONS)];
  await requireProgram();
  const under = (...flags: string[]) => [...TCPHUP, "run", ...flags, "--", ...client];
  const without: Cost[] = [];
  const byProgram: Cost[] = [];
  const atConnect: Cost[] = [];
  const atSocket: Cost[] = [];
  // In turns, so that what else the machine does meets all of them.
  for (let round = 0; round < ROUNDS; round++) {
    without.push(await measure(client));
    byProgram.push(await measure(under()));
    atConnect.push(await measure(under("--no-bpf")));
    atSocket.push(await measure(under("--on", "socket")));
  }
  return [
    row("socket and connect under tcphup run", medians(byProgram), medians(without)),
    row("the same with a supervisor", medians(atConnect), medians(without)),
    row("the same with --on socket", medians(atSocket), medians(without)),
  ];
}
