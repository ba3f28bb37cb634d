// The program that asks the kernel in connect(2), run on a machine of the tests' own.

import { assertEquals } from "@std/assert";
import {
  BPF_FUNC_get_netns_cookie,
  BPF_FUNC_get_socket_cookie,
  BPF_FUNC_getsockopt,
  BPF_FUNC_map_lookup_elem,
  BPF_FUNC_setsockopt,
} from "../../ffi/bpf.ts";
import { compileConnectProbe, type Question } from "../../src/bpf/connect_probe.ts";
import { runProgram } from "./machine.ts";

const OWN = 2n ** 40n + 5n;
const NETNS = 2n ** 33n + 7n;
const EINVAL = -22n;

const QUESTIONS: readonly Question[] = [
  { ask: "set", option: { option: "TCP_MAXSEG", level: 6, name: 2, value: 1000 } },
  { ask: "netns" },
  { ask: "read", option: { option: "SO_KEEPALIVE", level: 1, name: 9 } },
];

/** Runs the program for a socket. Returns what it lets through, and what the map has then. */
function run(socket: bigint): [passes: bigint, ...answers: bigint[]] {
  const value = new Uint8Array(8 * (QUESTIONS.length + 1));
  const passes = runProgram(compileConnectProbe(QUESTIONS, OWN, 7), new Uint8Array(72), {
    [BPF_FUNC_get_socket_cookie]: () => socket,
    [BPF_FUNC_get_netns_cookie]: () => NETNS,
    [BPF_FUNC_setsockopt]: ([, level, name, at, length], memory) => {
      assertEquals([level, name, memory.load(at, 4), length], [6n, 2n, 1000n, 4n]);
      return EINVAL;
    },
    [BPF_FUNC_getsockopt]: ([, level, name, , length]) => {
      assertEquals([level, name, length], [1n, 9n, 4n]);
      return 0n;
    },
    [BPF_FUNC_map_lookup_elem]: ([map, key], memory) => {
      assertEquals([map, memory.load(key, 4)], [7n, 0n]);
      return memory.add(value);
    },
  });
  return [passes, ...new BigInt64Array(value.buffer)];
}

Deno.test("questions are answered in the connect(2) of one socket, which is refused", () => {
  assertEquals(run(OWN), [0n, 1n, EINVAL, NETNS, 0n]);
});

Deno.test("the connect(2) of other sockets is let through", () => {
  for (const other of [5n, OWN + 1n]) assertEquals(run(other), [1n, 0n, 0n, 0n, 0n]);
});
