// bpf(2): programs, maps and links, and a file system that keeps them. Numbers from <linux/bpf.h>.

import { withOpen } from "./closing.ts";
import { checkCall, cString, lazily } from "./call.ts";
import { Descriptor } from "./descriptor.ts";
import { attempt, isSyscallError, type SyscallError } from "./errno.ts";
import { addressOf, allocate } from "./memory.ts";
import { SYS_bpf } from "./unistd.ts";

const bpfSymbols = lazily({
  bpf: { name: "syscall", parameters: ["usize", "i32", "buffer", "u32"], result: "i32" },
});

/** The commands that are used: `enum bpf_cmd`. */
const COMMANDS = {
  BPF_MAP_CREATE: 0,
  BPF_MAP_LOOKUP_ELEM: 1,
  BPF_MAP_UPDATE_ELEM: 2,
  BPF_MAP_GET_NEXT_KEY: 4,
  BPF_PROG_LOAD: 5,
  BPF_OBJ_PIN: 6,
  BPF_OBJ_GET: 7,
  BPF_PROG_ATTACH: 8,
  BPF_PROG_GET_FD_BY_ID: 13,
  BPF_MAP_GET_FD_BY_ID: 14,
  BPF_OBJ_GET_INFO_BY_FD: 15,
  BPF_PROG_QUERY: 16,
  BPF_BTF_GET_FD_BY_ID: 19,
  BPF_MAP_UPDATE_BATCH: 26,
  BPF_LINK_CREATE: 28,
  BPF_ITER_CREATE: 33,
  BPF_LINK_DETACH: 34,
  BPF_PROG_BIND_MAP: 35,
} as const;

export const BPF_MAP_TYPE_HASH = 1;
export const BPF_MAP_TYPE_ARRAY = 2;
export const BPF_MAP_TYPE_LRU_HASH = 9;
export const BPF_MAP_TYPE_LPM_TRIE = 11;
/** What BPF_MAP_TYPE_LPM_TRIE demands. */
export const BPF_F_NO_PREALLOC = 1;

export const BPF_PROG_TYPE_SOCK_OPS = 13;
export const BPF_PROG_TYPE_CGROUP_SOCK_ADDR = 18;
export const BPF_CGROUP_SOCK_OPS = 3;
const BPF_PROG_TYPE_TRACING = 26;
const BPF_TRACE_ITER = 28;
export const BPF_CGROUP_INET4_CONNECT = 10;
export const BPF_CGROUP_INET6_CONNECT = 11;

/** The numbers of functions that a program may call: `enum bpf_func_id`. */
export const BPF_FUNC_map_lookup_elem = 1;
export const BPF_FUNC_map_update_elem = 2;
export const BPF_FUNC_get_current_uid_gid = 15;
export const BPF_FUNC_get_current_task = 35;
export const BPF_FUNC_get_socket_cookie = 46;
export const BPF_FUNC_setsockopt = 49;
export const BPF_FUNC_getsockopt = 57;
export const BPF_FUNC_probe_read_kernel = 113;
export const BPF_FUNC_get_netns_cookie = 122;
export const BPF_FUNC_ktime_get_boot_ns = 125;
export const BPF_FUNC_seq_write = 127;
export const BPF_FUNC_skc_to_tcp_sock = 137;
export const BPF_FUNC_set_retval = 187;

/** The longest name of a program or a map, in bytes. */
const NAME_LENGTH = 15;

/** The bytes of `union bpf_attr` that these commands use, and their writers. A kernel that knows more takes zeros for it. */
class Attributes {
  readonly bytes: Uint8Array = allocate(144);
  readonly #view = new DataView(this.bytes.buffer);
  /** Memory that the attributes point at has to live as long as they do. */
  readonly #referenced: Uint8Array[] = [];

  u32(offset: number, value: number): this {
    this.#view.setUint32(offset, value, true);
    return this;
  }

  pointer(offset: number, memory: Uint8Array): this {
    this.#referenced.push(memory);
    this.#view.setBigUint64(offset, addressOf(memory), true);
    return this;
  }

  /** Points at a copy of bytes that have no address of their own. */
  copy(offset: number, bytes: Uint8Array): this {
    const memory = allocate(bytes.length);
    memory.set(bytes);
    return this.pointer(offset, memory);
  }

  name(offset: number, text: string): this {
    this.bytes.set(cString(text.slice(0, NAME_LENGTH)), offset);
    return this;
  }

  /** Makes the call, again after EAGAIN: with that the kernel gives a program up when a signal comes. */
  call(command: keyof typeof COMMANDS): number {
    const { bytes } = this;
    return checkCall(`bpf(${command})`, () => bpfSymbols().bpf(SYS_bpf, COMMANDS[command], bytes, bytes.length));
  }

  /** Makes a call that returns a descriptor. */
  open(command: keyof typeof COMMANDS): Descriptor {
    return new Descriptor(this.call(command));
  }
}

/** A map to create. */
export interface MapOptions {
  readonly type: number;
  readonly name: string;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly flags?: number;
}

/** BPF_MAP_CREATE. @throws {SyscallError} `EPERM` without the rights, and before Linux 5.11 beyond RLIMIT_MEMLOCK. */
export function mapCreate({ type, name, keySize, valueSize, maxEntries, flags = 0 }: MapOptions): Descriptor {
  const attributes = new Attributes().u32(0, type).u32(4, keySize).u32(8, valueSize).u32(12, maxEntries).u32(16, flags);
  return attributes.name(28, name).open("BPF_MAP_CREATE");
}

/** BPF_MAP_UPDATE_ELEM, whether the key is there or not. */
export function mapUpdate(map: Descriptor, key: Uint8Array, value: Uint8Array): void {
  new Attributes().u32(0, map.number).copy(8, key).copy(16, value).call("BPF_MAP_UPDATE_ELEM");
}

/** BPF_MAP_UPDATE_BATCH: sets `count` entries, whose keys and values stand one after the other. */
export function mapUpdateBatch(map: Descriptor, keys: Uint8Array, values: Uint8Array, count: number): void {
  const attributes = new Attributes().copy(16, keys).copy(24, values).u32(32, count).u32(36, map.number);
  attributes.call("BPF_MAP_UPDATE_BATCH");
}

/** BPF_MAP_LOOKUP_ELEM: returns the value, or null when the key is not there. */
export function mapLookup(map: Descriptor, key: Uint8Array, valueSize: number): Uint8Array | null {
  const value = allocate(valueSize);
  const attributes = new Attributes().u32(0, map.number).copy(8, key).pointer(16, value);
  return attempt(() => attributes.call("BPF_MAP_LOOKUP_ELEM"), "ENOENT") ? value : null;
}

/** BPF_MAP_GET_NEXT_KEY: returns the key after `key`, or the first one; null after the last one. */
export function mapNextKey(map: Descriptor, key: Uint8Array | null, keySize: number): Uint8Array | null {
  const next = allocate(keySize);
  const attributes = new Attributes().u32(0, map.number).pointer(16, next);
  if (key !== null) attributes.copy(8, key);
  return attempt(() => attributes.call("BPF_MAP_GET_NEXT_KEY"), "ENOENT") ? next : null;
}

/** A program to load. */
export interface ProgramOptions {
  readonly type: number;
  readonly name: string;
  readonly attachType: number;
  /** The number, among the kernel's types, of the function that a program of type TRACING is attached to. */
  readonly attachBtfId?: number;
  /** An array of `struct bpf_insn`. */
  readonly instructions: Uint8Array;
}

/** A program that the kernel's verifier refuses. */
export class VerifierError extends Error {
  override readonly name = "VerifierError";
  /** The last line of the verifier's log that says what is wrong. */
  readonly reason: string;

  constructor(code: string, log: string) {
    const lines = log.trim().split("\n").filter((line) => !/^(?:processed|verification time|stack depth) /.test(line));
    const reason = lines.at(-1) ?? code;
    super(`the kernel's verifier refuses the program: ${reason}`);
    this.reason = reason;
  }
}

/** Fields of the kernel's own structs are shown to programs with a license that goes with the GPL. */
const LICENSE = "Dual MIT/GPL";

const LOG_SIZE = 1 << 18;

/**
 * BPF_PROG_LOAD.
 *
 * @throws {SyscallError} `EPERM` without the rights, `ENOSYS` without bpf(2).
 * @throws {VerifierError} When the verifier has something to say about a program that it refuses.
 */
export function progLoad(options: ProgramOptions): Descriptor {
  const { type, name, attachType, attachBtfId = 0, instructions } = options;
  const attributes = new Attributes().u32(0, type).u32(4, instructions.length / 8).copy(8, instructions)
    .copy(16, cString(LICENSE)).name(48, name).u32(68, attachType).u32(108, attachBtfId);
  try {
    return attributes.open("BPF_PROG_LOAD");
  } catch (error) {
    if (!isSyscallError(error, "EACCES", "EINVAL", "E2BIG", "EOPNOTSUPP")) throw error;
    return explained(attributes, error);
  }
}

/** Loads a program again, with a log. Without a log the verifier is faster. */
function explained(attributes: Attributes, refusal: SyscallError): Descriptor {
  const log = allocate(LOG_SIZE);
  try {
    attributes.u32(24, 1).u32(28, log.length).pointer(32, log);
    return attributes.open("BPF_PROG_LOAD");
  } catch (error) {
    const text = new TextDecoder().decode(log.subarray(0, log.indexOf(0)));
    // ENOSPC: the log does not fit, and has lost its end.
    if (!isSyscallError(error) || error.code === "ENOSPC" || text === "") throw refusal;
    throw new VerifierError(refusal.code, text);
  }
}

/** BPF_PROG_LOAD of a program that an iterator runs. @throws As `progLoad`. */
export function iteratorLoad(options: Omit<ProgramOptions, "type" | "attachType">): Descriptor {
  return progLoad({ ...options, type: BPF_PROG_TYPE_TRACING, attachType: BPF_TRACE_ITER });
}

/**
 * BPF_LINK_CREATE and BPF_ITER_CREATE: returns a descriptor whose read(2) runs an iterator's program on one object after
 * the other, in the network and pid namespaces of this thread, and returns what the program writes.
 */
export function iteratorOpen(program: Descriptor): Descriptor {
  const link = new Attributes().u32(0, program.number).u32(8, BPF_TRACE_ITER).open("BPF_LINK_CREATE");
  return withOpen(link, ({ number }) => new Attributes().u32(0, number).open("BPF_ITER_CREATE"));
}

/** BPF_PROG_BIND_MAP: keeps a map for as long as a program that does not use the map. Linux ≥ 5.10. */
export function progBindMap(program: Descriptor, map: Descriptor): void {
  new Attributes().u32(0, program.number).u32(4, map.number).call("BPF_PROG_BIND_MAP");
}

/**
 * BPF_LINK_CREATE: attaches a program to a control group's directory, or to whatever else the type takes. The program is
 * detached when the last descriptor of the link is closed and the link is not pinned.
 */
export function linkCreate(program: Descriptor, target: Descriptor, attachType: number): Descriptor {
  return new Attributes().u32(0, program.number).u32(4, target.number).u32(8, attachType).open("BPF_LINK_CREATE");
}

/** BPF_LINK_DETACH: detaches a program, whoever else has the link. */
export function linkDetach(link: Descriptor): void {
  new Attributes().u32(0, link.number).call("BPF_LINK_DETACH");
}

const BPF_F_ALLOW_MULTI = 2;

/** BPF_PROG_ATTACH: attaches a program to a control group's directory beside others, for as long as that group exists. */
export function progAttach(program: Descriptor, cgroup: Descriptor, attachType: number): void {
  const attributes = new Attributes().u32(0, cgroup.number).u32(4, program.number).u32(8, attachType);
  attributes.u32(12, BPF_F_ALLOW_MULTI).call("BPF_PROG_ATTACH");
}

const BPF_F_QUERY_EFFECTIVE = 1;

/** BPF_PROG_QUERY: returns how many programs run for a control group, those of outer groups included. */
export function countEffective(cgroup: Descriptor, attachType: number): number {
  const attributes = new Attributes().u32(0, cgroup.number).u32(4, attachType).u32(8, BPF_F_QUERY_EFFECTIVE);
  attributes.call("BPF_PROG_QUERY");
  // The kernel writes `prog_cnt` into the attributes.
  return new DataView(attributes.bytes.buffer).getUint32(24, true);
}

/** BPF_OBJ_PIN: gives a link, a program or a map a file in a bpffs. @throws {SyscallError} `EEXIST`. */
export function objPin(object: Descriptor, path: string): void {
  new Attributes().copy(0, cString(path)).u32(8, object.number).call("BPF_OBJ_PIN");
}

/** BPF_OBJ_GET: opens what a file in a bpffs keeps. */
export function objGet(path: string): Descriptor {
  return new Attributes().copy(0, cString(path)).open("BPF_OBJ_GET");
}

/** BPF_PROG_GET_FD_BY_ID. Needs CAP_SYS_ADMIN. */
export function progById(id: number): Descriptor {
  return new Attributes().u32(0, id).open("BPF_PROG_GET_FD_BY_ID");
}

/** BPF_MAP_GET_FD_BY_ID. Needs CAP_SYS_ADMIN. */
export function mapById(id: number): Descriptor {
  return new Attributes().u32(0, id).open("BPF_MAP_GET_FD_BY_ID");
}

function infoOf(object: Descriptor, info: Uint8Array): DataView {
  new Attributes().u32(0, object.number).u32(4, info.length).pointer(8, info).call("BPF_OBJ_GET_INFO_BY_FD");
  return new DataView(info.buffer);
}

const BPF_LINK_TYPE_CGROUP = 3;

/** A link to a control group. */
export interface CgroupLinkInfo {
  /** The link's number, which no other link gets until the next boot. */
  readonly id: number;
  readonly progId: number;
  /** The control group's inode number; 0n when it has been removed. */
  readonly cgroupId: bigint;
}

/** BPF_OBJ_GET_INFO_BY_FD of a link; null for a link to something else than a control group. */
export function cgroupLinkInfo(link: Descriptor): CgroupLinkInfo | null {
  // struct bpf_link_info {u32 type, id, prog_id; [4 bytes]; u64 cgroup_id}
  const info = infoOf(link, allocate(32));
  if (info.getUint32(0, true) !== BPF_LINK_TYPE_CGROUP) return null;
  return {
    id: info.getUint32(4, true),
    progId: info.getUint32(8, true),
    cgroupId: info.getBigUint64(16, true),
  };
}

/** The most maps of a program that are told. */
const MOST_MAPS = 64;

/** BPF_OBJ_GET_INFO_BY_FD of a program: the ids of its maps. */
export function programMaps(program: Descriptor): number[] {
  // struct bpf_prog_info {u32 type, id; u8 tag[8]; … u32 nr_map_ids@52; u64 map_ids@56; char name[16]@64}
  const bytes = allocate(80);
  const ids = allocate(4 * MOST_MAPS);
  const view = new DataView(bytes.buffer);
  view.setUint32(52, MOST_MAPS, true);
  view.setBigUint64(56, addressOf(ids), true);
  const count = Math.min(infoOf(program, bytes).getUint32(52, true), MOST_MAPS);
  return [...new Uint32Array(ids.buffer as ArrayBuffer, 0, count)];
}

/** What a map is. */
export interface MapInfo {
  readonly name: string;
  readonly valueSize: number;
}

/** BPF_OBJ_GET_INFO_BY_FD of a map. */
export function mapInfo(map: Descriptor): MapInfo {
  // struct bpf_map_info {u32 type, id, key_size, value_size, max_entries, map_flags; char name[16]}
  const info = infoOf(map, allocate(40));
  const bytes = new Uint8Array(info.buffer, 24, NAME_LENGTH + 1);
  const name = new TextDecoder().decode(bytes.subarray(0, bytes.indexOf(0)));
  return { name, valueSize: info.getUint32(12, true) };
}

const VMLINUX = "vmlinux";
/** The kernel gives this number to its own types, before those of any module or program. */
const VMLINUX_ID = 1;

/**
 * BPF_OBJ_GET_INFO_BY_FD of the kernel's own types: its BTF. One copy is faster than /sys/kernel/btf/vmlinux, which comes in
 * pages. Needs CAP_SYS_ADMIN. Returns null when the number is that of other types.
 */
export function kernelBtf(): Uint8Array | null {
  return withOpen(new Attributes().u32(0, VMLINUX_ID).open("BPF_BTF_GET_FD_BY_ID"), (btf) => {
    // struct bpf_btf_info {u64 btf; u32 btf_size, id; u64 name; u32 name_len, kernel_btf}
    const name = allocate(VMLINUX.length + 1);
    const bytes = allocate(32);
    const view = new DataView(bytes.buffer);
    view.setBigUint64(16, addressOf(name), true);
    view.setUint32(24, name.length, true);
    const size = infoOf(btf, bytes).getUint32(8, true);
    if (new TextDecoder().decode(name.subarray(0, -1)) !== VMLINUX) return null;
    const types = allocate(size);
    bytes.fill(0);
    view.setBigUint64(0, addressOf(types), true);
    view.setUint32(8, size, true);
    infoOf(btf, bytes);
    return types;
  });
}
