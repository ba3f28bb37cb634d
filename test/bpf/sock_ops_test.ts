// The program for new connections, run on a machine of the tests' own: what it sets, counts and leaves to others.

import { assertEquals } from "@std/assert";
import {
  BPF_FUNC_getsockopt,
  BPF_FUNC_map_lookup_elem,
  BPF_FUNC_map_update_elem,
  BPF_FUNC_setsockopt,
} from "../../ffi/bpf.ts";
import { decodeCounter } from "../../src/bpf/counters.ts";
import type { DestinationCount } from "../../src/model/destination_count.ts";
import { emitAlways } from "../../src/bpf/conditions.ts";
import { compileSockOps, type SockOpsOptions } from "../../src/bpf/sock_ops.ts";
import { steps } from "../../src/keepalive/socket_options.ts";
import { resolveValues } from "../../src/keepalive/values.ts";
import { type Helpers, runProgram } from "./machine.ts";

const CONNECT = 3;
const ACTIVE_ESTABLISHED = 4;
const ACCEPTED = 5;
const LISTEN = 11;
const AF_INET = 2;
const AF_INET6 = 10;
const AF_UNIX = 1;

/** `struct bpf_sock_ops` of a connection from 10.0.0.1:1000 to 10.0.0.2:443. */
function contextOf(op: number, family = AF_INET): Uint8Array {
  const view = new DataView(new ArrayBuffer(192));
  view.setUint32(0, op, true);
  view.setUint32(20, family, true);
  view.setUint32(24, 0x0a000002);
  view.setUint32(28, 0x0a000001);
  for (const [offset, last] of [[32, 2], [48, 1]] as const) {
    view.setUint32(offset, 0x20010db8);
    view.setUint32(offset + 12, last);
  }
  view.setUint16(66, 443);
  view.setUint32(68, 1000, true);
  return new Uint8Array(view.buffer);
}

/** A socket's options, and the counters of a program: what the kernel would keep. */
class Kernel {
  readonly options: Map<string, number>;
  readonly refused: string[];
  readonly #counters = new Map<string, Uint8Array>();

  constructor(options: Record<string, number> = {}, refused: string[] = []) {
    this.options = new Map(Object.entries(options));
    this.refused = refused;
  }

  run(context: Uint8Array, options: Partial<SockOpsOptions> = {}): void {
    const { values } = resolveValues();
    const program = compileSockOps({
      connecting: steps(values, "connect"),
      accepted: steps(values, "established"),
      onlyMissing: false,
      rank: 0,
      chooses: emitAlways(true),
      goesByAddress: false,
      counters: 7,
      ...options,
    });
    assertEquals(runProgram(program, context, this.#helpers), 1n);
  }

  get #helpers(): Helpers {
    const failure = -22n;
    const values = new Map<string, bigint>();
    return {
      [BPF_FUNC_setsockopt]: ([, level, name, address, length], memory) => {
        const option = `${level}/${name}`;
        if (this.refused.includes(option)) return failure;
        assertEquals(length, 4n);
        this.options.set(option, Number(memory.load(address, 4)));
        return 0n;
      },
      [BPF_FUNC_getsockopt]: ([, level, name, address], memory) => {
        const option = `${level}/${name}`;
        if (this.refused.includes(option)) return failure;
        memory.store(address, 4, BigInt(this.options.get(option) ?? 0));
        return 0n;
      },
      [BPF_FUNC_map_lookup_elem]: ([map, key], memory) => {
        assertEquals(map, 7n);
        const text = memory.bytes(key, 24).join();
        const value = this.#counters.get(text);
        if (value === undefined) return 0n;
        if (!values.has(text)) values.set(text, memory.add(value));
        return values.get(text)!;
      },
      [BPF_FUNC_map_update_elem]: ([, key, value], memory) => {
        this.#counters.set(memory.bytes(key, 24).join(), memory.bytes(value, 24).slice());
        return 0n;
      },
    };
  }

  get counts(): DestinationCount[] {
    return [...this.#counters].map(([key, value]) => decodeCounter(Uint8Array.from(key.split(","), Number), value));
  }

  get settings(): Record<string, number> {
    return Object.fromEntries(this.options);
  }
}

/** SO_KEEPALIVE, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT and TCP_USER_TIMEOUT, by level and number. */
const DEFAULTS = { "1/9": 1, "6/4": 15, "6/5": 15, "6/6": 9, "6/18": 150_000 };
const KEEPALIVE = "1/9";
const USER_TIMEOUT = "6/18";

Deno.test("without counters the same is set, and no map looked up", () => {
  for (const onlyMissing of [false, true]) {
    for (const op of [CONNECT, ACCEPTED]) {
      const kernel = new Kernel();
      kernel.run(contextOf(op), { counters: null, onlyMissing });
      assertEquals([kernel.settings, kernel.counts], [DEFAULTS, []]);
    }
  }
  const own = new Kernel({ [KEEPALIVE]: 1 });
  own.run(contextOf(CONNECT), { counters: null, onlyMissing: true });
  assertEquals(own.settings, { [KEEPALIVE]: 1 });
});

Deno.test("what connects and what is accepted is set and counted, and nothing else", () => {
  for (const [op, family, expected] of [[CONNECT, AF_INET, DEFAULTS], [ACCEPTED, AF_INET6, DEFAULTS]] as const) {
    const kernel = new Kernel();
    kernel.run(contextOf(op, family));
    assertEquals(kernel.settings, expected);
    assertEquals(kernel.counts.length, 1);
  }
  for (const [op, family] of [[ACTIVE_ESTABLISHED, AF_INET], [0, AF_INET], [CONNECT, AF_UNIX]] as const) {
    const kernel = new Kernel();
    kernel.run(contextOf(op, family));
    assertEquals([kernel.settings, kernel.counts], [{}, []]);
  }
});

Deno.test("what begins to listen is set when that is asked for, and what counts nothing counts nothing", () => {
  const { values } = resolveValues({ deferAcceptS: 0, syncnt: 3 });
  const options = { listening: steps(values, "listen"), accepted: null, counters: null };
  for (const [op, expected] of [[LISTEN, DEFAULTS], [ACCEPTED, {}], [CONNECT, DEFAULTS]] as const) {
    const kernel = new Kernel();
    kernel.run(contextOf(op), options);
    assertEquals([kernel.settings, kernel.counts], [expected, []]);
  }
  const kernel = new Kernel();
  kernel.run(contextOf(LISTEN));
  assertEquals(kernel.settings, {});
});

Deno.test("destinations: the peer of what connects, this end of what is accepted", () => {
  const kernel = new Kernel();
  for (const family of [AF_INET, AF_INET6]) {
    for (const op of [CONNECT, CONNECT, ACCEPTED]) kernel.run(contextOf(op, family));
  }
  const none = { kept: 0, refused: 0 };
  assertEquals(kernel.counts, [
    { accepted: false, address: "10.0.0.2", port: 443, set: 2, ...none },
    { accepted: true, address: "10.0.0.1", port: 1000, set: 1, ...none },
    { accepted: false, address: "2001:db8::2", port: 443, set: 2, ...none },
    { accepted: true, address: "2001:db8::1", port: 1000, set: 1, ...none },
  ]);
});

Deno.test("one direction, and none that is not chosen", () => {
  const settings = (op: number, options: Partial<SockOpsOptions>) => {
    const kernel = new Kernel();
    kernel.run(contextOf(op), options);
    return kernel.settings;
  };
  assertEquals(settings(CONNECT, { accepted: null }), DEFAULTS);
  assertEquals(settings(ACCEPTED, { accepted: null }), {});
  assertEquals(settings(CONNECT, { connecting: null }), {});
  assertEquals(settings(ACCEPTED, { connecting: null }), DEFAULTS);
  assertEquals(settings(CONNECT, { chooses: emitAlways(false) }), {});
});

Deno.test("a refusal is counted, and the other options are set", () => {
  const kernel = new Kernel({}, [USER_TIMEOUT]);
  kernel.run(contextOf(CONNECT));
  const { [USER_TIMEOUT]: _, ...others } = DEFAULTS;
  assertEquals(kernel.settings, others);
  assertEquals(kernel.counts.map(({ set, refused }) => [set, refused]), [[0, 1]]);
});

Deno.test("onlyMissing keeps what is on, and a user timeout; what cannot be read is left alone", () => {
  const after = (options: Record<string, number>, refused: string[] = []) => {
    const kernel = new Kernel(options, refused);
    kernel.run(contextOf(CONNECT), { onlyMissing: true });
    const [count] = kernel.counts;
    return [kernel.settings, count?.set, count?.kept];
  };
  assertEquals(after({}), [DEFAULTS, 1, 0]);
  assertEquals(after({ [KEEPALIVE]: 1, "6/4": 99 }), [{ [KEEPALIVE]: 1, "6/4": 99 }, 0, 1]);
  assertEquals(after({ [USER_TIMEOUT]: 7 }), [{ ...DEFAULTS, [USER_TIMEOUT]: 7 }, 1, 0]);
  assertEquals(after({}, [KEEPALIVE]), [{}, 0, 1]);
});

Deno.test("a program of a higher rank has its way, wherever it stands; of the same rank the later one", () => {
  const idle = (...programs: [rank: number, idleS: number, onlyMissing?: boolean][]) => {
    const kernel = new Kernel();
    const context = contextOf(CONNECT);
    for (const [rank, idleS, onlyMissing = false] of programs) {
      const connecting = steps(resolveValues({ idleS }).values, "connect");
      kernel.run(context, { rank, connecting, onlyMissing });
    }
    return kernel.settings["6/4"];
  };
  assertEquals(idle([5, 20], [4, 30]), 20);
  assertEquals(idle([4, 30], [5, 20]), 20);
  assertEquals(idle([5, 20], [5, 30]), 30);
  assertEquals(idle([0xffff, 20], [0xfffe, 30]), 20);
  // What an earlier program has set is not the application's choice.
  assertEquals(idle([5, 20, true], [5, 30, true]), 30);
  assertEquals(idle([5, 20], [5, 30, true]), 30);
});

Deno.test("what another program has left in the context is no rank", () => {
  const kernel = new Kernel();
  const context = contextOf(CONNECT);
  new DataView(context.buffer).setUint32(4, 0xffffffff, true);
  kernel.run(context);
  assertEquals(kernel.settings, DEFAULTS);
});
