// Loads programs and attaches them to control groups. A link ends with its last descriptor, so with this process, unless it
// is pinned. What is attached without a link stays as long as its control group.

import {
  BPF_F_NO_PREALLOC,
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_TYPE_LPM_TRIE,
  cgroupLinkInfo,
  countEffective,
  linkCreate,
  mapCreate,
  mapLookup,
  mapUpdate,
  progAttach,
  progBindMap,
  progLoad,
  type ProgramOptions,
  VerifierError,
} from "../../ffi/bpf.ts";
import { prepared, withOpen, withTracked } from "../../ffi/closing.ts";
import type { Descriptor } from "../../ffi/descriptor.ts";
import { withFallback } from "../../ffi/errno.ts";
import { O_DIRECTORY, open } from "../../ffi/fs.ts";

/** Loads a program, and has it keep a map that it does not use. */
export function loadProgram(options: ProgramOptions, kept?: Descriptor): Descriptor {
  const program = progLoad(options);
  return kept === undefined ? program : prepared(program, () => progBindMap(program, kept));
}

/** Tells whether the verifier takes a program. */
export function isLoadable(options: ProgramOptions): boolean {
  try {
    loadProgram(options).close();
    return true;
  } catch (error) {
    if (error instanceof VerifierError) return false;
    throw error;
  }
}

/** Links a program to the control group with that directory; null when the control group has gone. */
export function linkToCgroup(program: Descriptor, directory: string, attachType: number): Descriptor | null {
  const link = () => withOpen(open(directory, O_DIRECTORY), (cgroup) => linkCreate(program, cgroup, attachType));
  return withFallback(null, link, "ENOENT", "ENODEV");
}

/**
 * Attaches a program to the control group with that directory, for as long as it exists.
 *
 * @param outer The directory of the next outer control group.
 * @returns `false` when a program of an outer control group, one that gives way to inner ones, does not run there any more.
 */
export function attachToCgroup(program: Descriptor, directory: string, outer: string, attachType: number): boolean {
  return withTracked((track) => {
    const [cgroup, above] = [track(open(directory, O_DIRECTORY)), track(open(outer, O_DIRECTORY))];
    progAttach(program, cgroup, attachType);
    return countEffective(cgroup, attachType) > countEffective(above, attachType);
  });
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
  return prepared(trie, () => {
    for (const [key, isChosen] of entries) mapUpdate(trie, key, isChosen ? yes : no);
  });
}

export const ARMED_NAME = "tcphup_armed";

/** Creates a map with one u32, by which programs on several hooks begin and end to work in one moment. */
export function createArmed(): Descriptor {
  return mapCreate({ type: BPF_MAP_TYPE_ARRAY, name: ARMED_NAME, keySize: 4, valueSize: 4, maxEntries: 1 });
}

/** Has the programs of such a map work, or not. */
export function setArmed(map: Descriptor, isArmed: boolean): void {
  mapUpdate(map, new Uint8Array(4), Uint8Array.of(isArmed ? 1 : 0, 0, 0, 0));
}

/** Tells whether the programs of such a map work. */
export function isArmed(map: Descriptor): boolean {
  return mapLookup(map, new Uint8Array(4), 4)?.[0] === 1;
}
