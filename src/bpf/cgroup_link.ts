// Loads a sock_ops program and links it to a control group. The link ends with its last descriptor, so with this process,
// unless it is pinned.

import {
  BPF_CGROUP_SOCK_OPS,
  BPF_F_NO_PREALLOC,
  BPF_MAP_TYPE_LPM_TRIE,
  BPF_PROG_TYPE_SOCK_OPS,
  cgroupLinkInfo,
  linkCreate,
  mapCreate,
  mapUpdate,
  progBindMap,
  progLoad,
} from "../../ffi/bpf.ts";
import type { Descriptor } from "../../ffi/descriptor.ts";
import { isSyscallError } from "../../ffi/errno.ts";
import { O_DIRECTORY, open } from "../../ffi/fs.ts";

export const PROGRAM_NAME = "tcphup_keepaliv";

/** Fields of the kernel's own structs are shown to programs with a license that goes with the GPL. */
const LICENSE = "Dual MIT/GPL";

/** Loads a program, and has it keep a map that it does not use. */
export function loadSockOps(instructions: Uint8Array, kept: Descriptor): Descriptor {
  const program = progLoad({
    type: BPF_PROG_TYPE_SOCK_OPS,
    name: PROGRAM_NAME,
    attachType: BPF_CGROUP_SOCK_OPS,
    license: LICENSE,
    instructions,
  });
  try {
    progBindMap(program, kept);
    return program;
  } catch (error) {
    program.close();
    throw error;
  }
}

/** Links a program to the control group with that directory; null when the control group has gone. */
export function linkToCgroup(program: Descriptor, directory: string): Descriptor | null {
  try {
    const cgroup = open(null, directory, O_DIRECTORY);
    try {
      return linkCreate(program, cgroup, BPF_CGROUP_SOCK_OPS);
    } finally {
      cgroup.close();
    }
  } catch (error) {
    if (isSyscallError(error, "ENOENT", "ENODEV")) return null;
    throw error;
  }
}

/** Tells whether the control group of a link still exists. */
export function isLinked(link: Descriptor): boolean {
  return cgroupLinkInfo(link)?.cgroupId !== 0n;
}

/** Creates an LPM trie of keys, each with whether it counts. */
export function createTrie(entries: readonly (readonly [key: Uint8Array, isChosen: boolean])[]): Descriptor {
  const trie = mapCreate({
    type: BPF_MAP_TYPE_LPM_TRIE,
    name: "tcphup_prefixes",
    keySize: entries[0]?.[0].length ?? 20,
    valueSize: 4,
    maxEntries: Math.max(1, entries.length),
    flags: BPF_F_NO_PREALLOC,
  });
  const [yes, no] = [Uint8Array.of(1, 0, 0, 0), new Uint8Array(4)];
  try {
    for (const [key, isChosen] of entries) mapUpdate(trie, key, isChosen ? yes : no);
    return trie;
  } catch (error) {
    trie.close();
    throw error;
  }
}
