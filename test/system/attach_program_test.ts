// The kernel's verifier takes the programs of --attach, whatever the selection, and says why where it refuses one.

import { assert, assertEquals, assertMatch, assertNotEquals, assertThrows } from "@std/assert";
import { withPair } from "../../src/act/loopback_pair.ts";
import { Assembler, R0, R7 } from "../../src/bpf/assembler.ts";
import { createArmed, createTrie, loadProgram } from "../../src/bpf/cgroup_link.ts";
import { createConnectCounters, createCounters } from "../../src/bpf/counters.ts";
import { withBpf, withIterator } from "../../src/bpf/explain.ts";
import { askInConnect } from "../../src/bpf/connect_probe.ts";
import { passOver } from "../../src/bpf/tcp_pass.ts";
import { memberOffset } from "../../src/bpf/btf.ts";
import { emitAlways } from "../../src/bpf/conditions.ts";
import { compileSockOps, emitSocketPort, emitSocketUser, sockOpsProgram } from "../../src/bpf/sock_ops.ts";
import { compileSockAddr, emitCalledPort, emitCaller, type Fate, sockAddrProgram } from "../../src/bpf/sock_addr.ts";
import { VerifierError } from "../../ffi/bpf.ts";
import { withOpen } from "../../ffi/closing.ts";
import {
  AF_INET,
  AF_INET6,
  getsockopt,
  getsockoptBytes,
  IPPROTO_TCP,
  SO_KEEPALIVE,
  SO_NETNS_COOKIE,
  SOCK_STREAM,
  socket,
  SOL_SOCKET,
} from "../../ffi/socket.ts";
import { inNetns } from "../../src/linux/netns/enter.ts";
import { findNetns, mustExist } from "../../src/linux/netns/find.ts";
import { ownCgroup } from "../../src/linux/proc/cgroup.ts";
import { isLinux } from "../../src/linux/proc/release.ts";
import { processes } from "../../src/linux/proc/process.ts";
import { sockIdOf } from "../../src/select/sockets.ts";
import type { Words } from "../../src/model/address.ts";
import { KEEPALIVE_SWITCH, steps } from "../../src/keepalive/socket_options.ts";
import { resolveValues } from "../../src/keepalive/values.ts";
import { UnsupportedError } from "../../src/model/errors.ts";
import { emitFilter, emitNamespaces, encodeTrieKey, type TrieEntry } from "../../src/attach/filter_program.ts";
import { mentions } from "../../src/select/dump_plan.ts";
import type { Descriptor } from "../../ffi/descriptor.ts";
import { hostTest, type Need, systemTest } from "../harness/system.ts";
import { Cgroup } from "../harness/cgroup.ts";
import { Random, randomFilter } from "../select/random.ts";

const NEEDS: readonly Need[] = ["root", "permission to use BPF", "cgroup v2"];

/** Has the tries of a filter made in the kernel. */
function loadingInto(tries: Descriptor[]): (entries: readonly TrieEntry[]) => number {
  return (entries) => {
    tries.push(withBpf(() => createTrie(entries.map((entry) => [encodeTrieKey(entry), entry.isChosen]))));
    return tries.at(-1)!.number;
  };
}

hostTest("the verifier takes what is made of random filters", ["root", "permission to use BPF", "BTF"], () => {
  const random = new Random(42);
  const uid = memberOffset(Deno.readFileSync("/sys/kernel/btf/vmlinux"), "sock", "sk_uid")!;
  const { values } = resolveValues({ syncnt: 3, maxseg: 1000, windowClamp: 20000 });
  const counters = withBpf(createCounters);
  for (let i = 0; i < 60; i++) {
    const tries: Descriptor[] = [];
    const filter = randomFilter(random, ["address", "port", "uid"]);
    const chooses = emitFilter(filter, {
      trie: loadingInto(tries),
      port: emitSocketPort,
      user: (number) => emitSocketUser(number, uid),
    });
    const [chosen, excluded] = [random.chance(0.5) ? [1n, 2n ** 40n] : null, random.some(2, () => 7n)];
    const namespaces = isLinux(5, 15) ? emitNamespaces(chosen, excluded) : emitAlways(true);
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
  const [counters, armed] = withBpf(() => [createConnectCounters(), createArmed()]);
  const endpoint = (words: Words) => random.chance(0.3) ? null : { words, port: random.chance(0.5) ? null : 5432 };
  const fates = (): Fate[] => [
    { op: "refuse", errno: null },
    ...(isLinux(5, 18) ? [{ op: "refuse", errno: 111 } as const] : []),
    { op: "redirect", ipv4: endpoint([0, 0, 0xffff, 0xfffefdfc]), ipv6: endpoint([0x20010db8, 0, 0, 0xffffffff]) },
  ];
  for (let i = 0; i < 40; i++) {
    const tries: Descriptor[] = [];
    const chooses = emitFilter(randomFilter(random, ["address", "port", "uid"]), {
      trie: loadingInto(tries),
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
    const counters = withBpf(createCounters);
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

hostTest("what a kernel lacks is said with the version that has it", [], () => {
  const message = (log: string) =>
    assertThrows(() =>
      withBpf(() => {
        throw new VerifierError("EINVAL", `${log}\nprocessed 7 insns (limit 1000000)\n`);
      }), UnsupportedError).message;
  const lacking = "This kernel cannot";
  assertEquals(
    message("unknown func bpf_get_socket_cookie#46"),
    `${lacking} read the options of sockets as it lists them: Linux 6.1 can`,
  );
  assertEquals(
    message("unknown func bpf_get_netns_cookie#122"),
    `${lacking} tell the network namespace as a connection is made: Linux 5.15 can`,
  );
});

hostTest("a pass that may read no option sets nothing, and says from which kernel on", [...NEEDS, "BTF"], () => {
  const unknown = { option: "unknown", level: SOL_SOCKET, name: 9999 };
  const set = { ...KEEPALIVE_SWITCH, value: 1 };
  withPair(IPPROTO_TCP, ({ client, listed }) => {
    const error = assertThrows(
      () =>
        withIterator(() =>
          passOver(
            [sockIdOf(listed()!)],
            { reads: [KEEPALIVE_SWITCH, unknown], steps: [set] },
            (work) => work(),
            (_, { status }) => assertEquals(status, "unread"),
          )
        ),
      UnsupportedError,
    );
    assertEquals(error.message, "This kernel cannot read the options of sockets as it lists them: Linux 6.1 can");
    assertEquals(getsockopt(client, SOL_SOCKET, SO_KEEPALIVE), 0);
  });
  return Promise.resolve();
});

systemTest("a program finds the cookie of a network namespace, as the kernel tells it", NEEDS, (netns) => {
  const { directory } = ownCgroup()!;
  const found = () => withBpf(() => askInConnect([{ ask: "netns" }], directory))?.[0];
  const told = () => {
    if (!isLinux(5, 14)) return found();
    const cookie = new Uint8Array(8);
    withOpen(socket(AF_INET, SOCK_STREAM, 0), (any) => getsockoptBytes(any, SOL_SOCKET, SO_NETNS_COOKIE, cookie));
    return new DataView(cookie.buffer).getBigUint64(0, true);
  };
  const { namespaces } = findNetns([netns.name], processes(), mustExist);
  const own = told();
  assertEquals(found(), own);
  for (const other of namespaces) {
    inNetns(other, () => {
      assertEquals(found(), told());
      assertNotEquals(found(), own);
    });
  }
  assertEquals(namespaces.length, 1);
  return Promise.resolve();
});

hostTest("a program is asked which options it may read and set, and nothing is sent", NEEDS, () => {
  const unknown = { option: "unknown", level: SOL_SOCKET, name: 9999, value: 1 };
  const answers = withBpf(() =>
    askInConnect([
      { ask: "read", option: KEEPALIVE_SWITCH },
      { ask: "set", option: { ...KEEPALIVE_SWITCH, value: 1 } },
      { ask: "set", option: unknown },
      { ask: "read", option: unknown },
    ], ownCgroup()!.directory)
  );
  const known = isLinux(6, 1) ? 0n : -22n;
  assertEquals(answers?.map((answer) => BigInt.asIntN(32, answer)).slice(0, 2), [known, 0n]);
  for (const refused of answers!.slice(2)) assert(BigInt.asIntN(32, refused) < 0n);
  return Promise.resolve();
});

hostTest("where no program runs for this process, nothing is answered", NEEDS, async () => {
  await using other = await Cgroup.create(Cgroup.uniqueName());
  assertEquals(withBpf(() => askInConnect([{ ask: "netns" }], other.directory)), null);
});
