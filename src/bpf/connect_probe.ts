// Asks the kernel what only programs are told, or what it lets them do, by a program that is attached for a moment and runs
// in a call of connect(2) of this process. The program refuses the call, so that nothing is sent.

import { withTracked } from "../../ffi/closing.ts";
import {
  BPF_FUNC_get_netns_cookie,
  BPF_FUNC_get_socket_cookie,
  BPF_FUNC_getsockopt,
  BPF_FUNC_setsockopt,
  BPF_MAP_TYPE_ARRAY,
  mapCreate,
  mapLookup,
} from "../../ffi/bpf.ts";
import { attempt } from "../../ffi/errno.ts";
import { AF_INET, connect, IPPROTO_TCP, SOCK_NONBLOCK, SOCK_STREAM, socket, socketCookie } from "../../ffi/socket.ts";
import type { SocketOption, Step } from "../keepalive/socket_options.ts";
import { encodeSockaddr } from "../linux/netlink/sockaddr.ts";
import { LOOPBACK } from "../model/address.ts";
import { Assembler, R0, R1, R10, R6, R7 } from "./assembler.ts";
import { callSockopt, lookUp } from "./calls.ts";
import { linkToCgroup, loadProgram } from "./cgroup_link.ts";
import { sockAddrProgram } from "./sock_addr.ts";

/** A question, which the kernel answers with a number of 64 bits. */
export type Question =
  /** The cookie of the network namespace that this thread is in. Linux ≥ 5.7. */
  | { readonly ask: "netns" }
  /** 0 when a program may read an option, or set it to a value; an errno below 0 otherwise. */
  | { readonly ask: "read"; readonly option: SocketOption }
  | { readonly ask: "set"; readonly option: Step };

/** The places on the stack: the key of the map, and the value of an option. */
const STACK = { key: -4, value: -8 } as const;

/**
 * Compiles the program. It writes 1 and the answers into a map of u64.
 *
 * @param socket The cookie of the socket whose connect(2) it answers in. It lets the others through.
 * @param map The map's descriptor.
 */
export function compileConnectProbe(questions: readonly Question[], socket: bigint, map: number): Uint8Array {
  const program = new Assembler();
  program.moveRegister(R6, R1);
  program.call(BPF_FUNC_get_socket_cookie);
  program.moveWide(R1, socket);
  program.jumpIfRegister(R0, "!=", R1, "out");
  program.storeValue(4, R10, STACK.key, 0);
  lookUp(program, map, STACK.key);
  program.jumpIf(R0, "==", 0, "out");
  program.moveRegister(R7, R0);
  program.storeValue(8, R7, 0, 1);
  questions.forEach((question, i) => {
    if (question.ask === "netns") {
      program.moveRegister(R1, R6);
      program.call(BPF_FUNC_get_netns_cookie);
    } else {
      program.storeValue(4, R10, STACK.value, question.ask === "set" ? question.option.value : 0);
      const helper = question.ask === "set" ? BPF_FUNC_setsockopt : BPF_FUNC_getsockopt;
      callSockopt(program, helper, R6, question.option, STACK.value);
    }
    program.store(8, R7, 8 * (i + 1), R0);
  });
  program.move(R0, 0);
  program.exit();
  program.label("out");
  program.move(R0, 1);
  program.exit();
  return program.assemble();
}

/** No packet goes there: the program refuses the call. */
const DISCARD = encodeSockaddr(LOOPBACK, 9);

/**
 * Returns the answers; null where the kernel does not run the program for this process.
 *
 * @param directory The directory of a control group of cgroup v2 that this process is in, or in an inner one of.
 * @throws {SyscallError} When the kernel refuses a call.
 * @throws {VerifierError} When the kernel refuses the program.
 */
export function askInConnect(questions: readonly Question[], directory: string): bigint[] | null {
  return withTracked((track) => {
    const own = track(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, IPPROTO_TCP));
    const size = 8 * (questions.length + 1);
    const sizes = { keySize: 4, valueSize: size, maxEntries: 1 };
    const map = track(mapCreate({ type: BPF_MAP_TYPE_ARRAY, name: "tcphup_answers", ...sizes }));
    const cookie = socketCookie(own, (low, high) => BigInt(high) << 32n | BigInt(low));
    const options = sockAddrProgram(AF_INET, compileConnectProbe(questions, cookie, map.number));
    const link = linkToCgroup(track(loadProgram(options)), directory, options.attachType);
    if (link === null) return null;
    track(link);
    attempt(() => connect(own, DISCARD));
    const answers = mapLookup(map, new Uint8Array(4), size);
    if (answers === null) return null;
    const view = new DataView(answers.buffer, answers.byteOffset);
    if (view.getBigUint64(0, true) === 0n) return null;
    return questions.map((_, i) => view.getBigInt64(8 * (i + 1), true));
  });
}
