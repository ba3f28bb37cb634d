// What `tcphup run` costs a program: the time that socket(2) and connect(2) take, and a system call that does not concern it.

import { launching } from "../../test/harness/launched.ts";

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
export interface ConnectCost {
  connect_us: number;
  /** Of a call that the filter allows. */
  other_call_ns: number;
}

async function measure(command: readonly string[]): Promise<ConnectCost> {
  const { code, stdout } = await new Deno.Command(command[0], { args: command.slice(1), stderr: "inherit" }).output();
  if (code !== 0) throw new Error(`"${command[0]}" failed with ${code}`);
  const [connect_us, other_call_ns] = JSON.parse(new TextDecoder().decode(stdout));
  return { connect_us, other_call_ns };
}

/** The one in the middle. */
function median(numbers: number[]): number {
  return numbers.toSorted((a, b) => a - b)[numbers.length >> 1];
}

function medians(costs: ConnectCost[]): ConnectCost {
  return {
    connect_us: median(costs.map(({ connect_us }) => connect_us)),
    other_call_ns: median(costs.map(({ other_call_ns }) => other_call_ns)),
  };
}

/** Measures and prints: without `tcphup run`, with it, and the difference. */
export async function benchConnect(): Promise<void> {
  const client = ["/usr/bin/python3", "-c", CLIENT, String(CONNECTIONS)];
  const ways = [client, launching(client), launching(client, ["--on", "socket"])];
  const costs: ConnectCost[][] = ways.map(() => []);
  // In turns, so that what else the machine does meets all of them.
  for (let round = 0; round < ROUNDS; round++) {
    for (const [i, way] of ways.entries()) costs[i].push(await measure(way));
  }
  const [without, connect, socket] = costs.map(medians);
  console.log(`${CONNECTIONS} connections over loopback, medians of ${ROUNDS} rounds`);
  print("without", without);
  print("tcphup run", connect);
  print("tcphup run --on socket", socket);
  console.log(`tcphup run adds ${(connect.connect_us - without.connect_us).toFixed(1)} µs to a connection`);
}

function print(what: string, { connect_us, other_call_ns }: ConnectCost): void {
  console.log(`  ${what.padEnd(24)} connect ${connect_us.toFixed(1)} µs, getppid ${other_call_ns.toFixed(0)} ns`);
}

if (import.meta.main) await benchConnect();
