// The kernel's verifier takes the programs of --attach, whatever the selection, and says why where it refuses one.

import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { Assembler, R0, R7 } from "../../src/bpf/assembler.ts";
import { createArmed, createTrie, loadProgram } from "../../src/bpf/cgroup_link.ts";
import { createConnectCounters, createCounters } from "../../src/bpf/counters.ts";
import { withBpf } from "../../src/bpf/explain.ts";
import { memberOffset } from "../../src/bpf/btf.ts";
import { compileSockOps, emitSocketPort, emitSocketUser, sockOpsProgram } from "../../src/bpf/sock_ops.ts";
import { compileSockAddr, emitCalledPort, emitCaller, type Fate, sockAddrProgram } from "../../src/bpf/sock_addr.ts";
import { AF_INET, AF_INET6 } from "../../ffi/socket.ts";
import type { Words } from "../../src/model/address.ts";
import { steps } from "../../src/keepalive/socket_options.ts";
import { resolveValues } from "../../src/keepalive/values.ts";
import { UnsupportedError } from "../../src/model/errors.ts";
import { emitFilter, emitNamespaces, encodeTrieKey } from "../../src/attach/filter_program.ts";
import { mentions } from "../../src/select/dump_plan.ts";
import type { Descriptor } from "../../ffi/descriptor.ts";
import { hostTest } from "../harness/system.ts";
import { Random, randomFilter } from "../select/random.ts";

hostTest("the verifier takes what is made of random filters", ["root", "permission to use BPF", "BTF"], () => {
  const random = new Random(42);
  const uid = memberOffset(Deno.readFileSync("/sys/kernel/btf/vmlinux"), "sock", "sk_uid")!;
  const { values } = resolveValues({ syncnt: 3, maxseg: 1000, windowClamp: 20000 });
  const counters = createCounters();
  for (let i = 0; i < 60; i++) {
    const tries: Descriptor[] = [];
    const filter = randomFilter(random, ["address", "port", "uid"]);
    const chooses = emitFilter(filter, {
      trie(entries) {
        tries.push(createTrie(entries.map((entry) => [encodeTrieKey(entry), entry.isChosen])));
        return tries.at(-1)!.number;
      },
      port: emitSocketPort,
      user: (number) => emitSocketUser(number, uid),
    });
    const namespaces = emitNamespaces(random.chance(0.5) ? [1n, 2n ** 40n] : null, random.some(2, () => 7n));
    const direction = random.below(3);
    const program = compileSockOps({
      connecting: direction === 1 ? null : steps(values, "connect"),
      accepted: direction === 2 ? null : steps(values, "established"),
      onlyMissing: random.chance(0.5),
      rank: random.below(0x10000),
      chooses(program, yes, no) {
        const next = program.newLabel();
        namespaces(program, next, no);
        program.label(next);
        chooses(program, yes, no);
      },
      goesByAddress: mentions(filter, "address"),
      counters: random.chance(0.5) ? null : counters.number,
    });
    withBpf(() => loadProgram(sockOpsProgram(program), counters)).close();
    for (const trie of tries) trie.close();
  }
  counters.close();
  return Promise.resolve();
});

hostTest("the verifier takes the programs for connect(2)", ["root", "permission to use BPF"], () => {
  const random = new Random(43);
  const [counters, armed] = [createConnectCounters(), createArmed()];
  const endpoint = (words: Words) => random.chance(0.3) ? null : { words, port: random.chance(0.5) ? null : 5432 };
  const fates = (): Fate[] => [
    { op: "refuse", errno: null },
    { op: "refuse", errno: 111 },
    { op: "redirect", ipv4: endpoint([0, 0, 0xffff, 0xfffefdfc]), ipv6: endpoint([0x20010db8, 0, 0, 0xffffffff]) },
  ];
  for (let i = 0; i < 40; i++) {
    const tries: Descriptor[] = [];
    const chooses = emitFilter(randomFilter(random, ["address", "port", "uid"]), {
      trie(entries) {
        tries.push(createTrie(entries.map((entry) => [encodeTrieKey(entry), entry.isChosen])));
        return tries.at(-1)!.number;
      },
      port: (_, from, to) => emitCalledPort(from, to),
      user: emitCaller,
    });
    const family = random.chance(0.5) ? AF_INET : AF_INET6;
    for (const fate of fates()) {
      const numbers = { counters: counters.number, armed: armed.number };
      const program = sockAddrProgram(family, compileSockAddr({ family, fate, chooses, ...numbers }));
      withBpf(() => loadProgram(program, counters)).close();
    }
    for (const trie of tries) trie.close();
  }
  for (const map of [counters, armed]) map.close();
  return Promise.resolve();
});

hostTest(
  "what the verifier says about a program that it refuses is in the error",
  ["root", "permission to use BPF"],
  () => {
    const program = new Assembler();
    program.moveRegister(R0, R7);
    program.exit();
    const counters = createCounters();
    const error = assertThrows(
      () => withBpf(() => loadProgram(sockOpsProgram(program.assemble()), counters)),
      UnsupportedError,
    );
    assertMatch(error.message, /^The kernel's verifier refuses the program: R7 !read_ok$/);
    assertEquals(error.message.includes("\n"), false);
    counters.close();
    return Promise.resolve();
  },
);
