// Links that are pinned in a bpffs, and so outlive tcphup. A pin of one link is a file, which appears and goes by one system
// call. A pin of several links, which belong together, is a directory of such files. Their programs share a map by which
// they work once all are there, and until the first goes: at no moment is a pin in force by half.

import { prepared, withTracked } from "../../ffi/closing.ts";
import {
  BPF_MAP_TYPE_ARRAY,
  type CgroupLinkInfo,
  cgroupLinkInfo,
  mapById,
  mapCreate,
  type MapInfo,
  mapInfo,
  mapLookup,
  mapUpdate,
  objGet,
  objPin,
  progById,
  programMaps,
} from "../../ffi/bpf.ts";
import type { Descriptor } from "../../ffi/descriptor.ts";
import { attempt, isSyscallError, withFallback } from "../../ffi/errno.ts";
import { readDirectory, readTextFile } from "../../ffi/files.ts";
import { makeDirectory, removeDirectory, unlink } from "../../ffi/fs.ts";
import type { DestinationCount } from "../model/destination_count.ts";
import type { ConnectCount } from "../model/diversion.ts";
import { bpffsPoints } from "../linux/proc/mountinfo.ts";
import { UnsupportedError, UsageError } from "../model/errors.ts";
import { ARMED_NAME, isArmed, setArmed } from "./cgroup_link.ts";
import { withBpf } from "./explain.ts";
import { CONNECTS_NAME, COUNTERS_NAME, readConnectCounters, readCounters } from "./counters.ts";

/** The usual mount point of bpffs. */
const USUAL_POINT = "/sys/fs/bpf";

/** The directory of tcphup's pins below it. */
const DIRECTORY = "tcphup";

/** A bpffs keeps dots for itself. */
const NAME = /^[A-Za-z0-9_-]{1,64}$/;

const SETTINGS_NAME = "tcphup_settings";
/** The version of the keys of settings. */
export const SETTINGS_SCHEMA = 1;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** @throws {UsageError} For a name that a pin cannot have. */
export function requirePinName(name: string): void {
  if (NAME.test(name)) return;
  throw new UsageError(`"${name}" cannot be the name of a pin: expected 1 to 64 letters, digits, - and _`, {
    option: "pin",
  });
}

/** Returns the directory of pins. @throws {UnsupportedError} Where no bpffs is mounted. */
function pinDirectory(): string {
  const points = bpffsPoints(readTextFile("/proc/self/mountinfo"));
  const point = points.includes(USUAL_POINT) ? USUAL_POINT : points[0];
  if (point !== undefined) return `${point}/${DIRECTORY}`;
  throw new UnsupportedError(`No bpffs is mounted here, which keeps what is pinned: mount -t bpf bpf ${USUAL_POINT}`);
}

/** Returns the error for a name that is taken. */
function alreadyPinned(name: string): UsageError {
  return new UsageError(`"${name}" is pinned already, for something else: "tcphup unpin ${name}" removes that`);
}

/**
 * Returns the settings of what is pinned under a name, when it does the same; null when nothing is pinned there.
 *
 * @throws {UsageError} When something else is pinned there.
 */
export function findSamePin<T extends { readonly since: string }>(name: string, settings: T): T | null {
  const directory = pinDirectory();
  if (!namesIn(directory).includes(name)) return null;
  const pinned = withBpf(() => readPin(directory, name));
  const own = pinned?.settings as T | null | undefined;
  const isSame = JSON.stringify({ ...own, since: settings.since }) === JSON.stringify(settings);
  if (!own || !pinned?.attached || !isSame) throw alreadyPinned(name);
  return own;
}

function explainDirectory(directory: string, error: unknown): unknown {
  if (!isSyscallError(error)) return error;
  return new UnsupportedError(`${directory}, which keeps what is pinned, cannot be used: ${error.message}`);
}

/**
 * Pins links.
 *
 * @throws {UsageError} When the name is taken.
 * @throws {UnsupportedError} Where no bpffs is mounted, or this user may not write to it.
 */
export function pinLinks(links: readonly Descriptor[], name: string): void {
  const directory = pinDirectory();
  const path = `${directory}/${name}`;
  try {
    makeDirectory(directory);
  } catch (error) {
    if (!isSyscallError(error, "EEXIST")) throw explainDirectory(directory, error);
  }
  try {
    if (links.length > 1) makeDirectory(path);
    else for (const link of links) objPin(link, path);
  } catch (error) {
    if (isSyscallError(error, "EEXIST")) throw alreadyPinned(name);
    throw explainDirectory(directory, error);
  }
  if (links.length === 1) return;
  try {
    for (const [i, link] of links.entries()) objPin(link, `${path}/${i}`);
  } catch (error) {
    removePin(name);
    throw explainDirectory(directory, error);
  }
}

/** Creates the map that keeps the settings of a program beside it. */
export function createSettings(settings: object): Descriptor {
  const text = encoder.encode(JSON.stringify(settings));
  const value = new Uint8Array(Math.ceil((text.length + 1) / 8) * 8);
  value.set(text);
  const map = mapCreate({
    type: BPF_MAP_TYPE_ARRAY,
    name: SETTINGS_NAME,
    keySize: 4,
    valueSize: value.length,
    maxEntries: 1,
  });
  return prepared(map, () => mapUpdate(map, FIRST, value));
}

const FIRST = new Uint8Array(4);

/** What is pinned under a name. */
export interface PinnedLink {
  readonly name: string;
  /** What `createSettings` was given; null for what this tcphup cannot read. */
  readonly settings: unknown;
  readonly counters: DestinationCount[];
  readonly connects: ConnectCount[];
  /** Whether it is in force: false when its control group has gone, or tcphup was killed while it pinned. */
  readonly attached: boolean;
}

/** Returns what is pinned, by name. @throws {UnsupportedError} Where no bpffs is mounted, or this user may not look. */
export function pinnedLinks(): PinnedLink[] {
  const directory = pinDirectory();
  return namesIn(directory).sort().flatMap((name) => readPin(directory, name) ?? []);
}

function namesIn(directory: string): string[] {
  try {
    return readDirectory(directory).map(({ name }) => name);
  } catch (error) {
    if (isSyscallError(error, "ENOENT")) return [];
    throw explainDirectory(directory, error);
  }
}

/** Returns the paths of the links of a pin: more than one, or none, where the pin is a directory. */
function linkPaths(directory: string, name: string): string[] {
  const path = `${directory}/${name}`;
  return withFallback([path], () => readDirectory(path).map((link) => `${path}/${link.name}`), "ENOTDIR");
}

/** Returns null when the pin has gone meanwhile. */
function readPin(directory: string, name: string): PinnedLink | null {
  const unknown: PinnedLink = { name, settings: null, counters: [], connects: [], attached: true };
  try {
    // The programs of a pin differ in the hook that they are attached to, and in nothing that is told of them.
    const [path] = linkPaths(directory, name);
    if (path === undefined) return { ...unknown, attached: false };
    return withLink(path, (info, maps) => {
      if (info === null) return unknown;
      let pin: PinnedLink = { ...unknown, attached: info.cgroupId !== 0n };
      for (const { map, name, valueSize } of maps) {
        if (name === SETTINGS_NAME) pin = { ...pin, settings: readSettings(map, valueSize) };
        else if (name === COUNTERS_NAME) pin = { ...pin, counters: readCounters(map) };
        else if (name === CONNECTS_NAME) pin = { ...pin, connects: readConnectCounters(map) };
        else if (name === ARMED_NAME) pin = { ...pin, attached: pin.attached && isArmed(map) };
      }
      return pin;
    });
  } catch (error) {
    if (isSyscallError(error, "ENOENT")) return null;
    // A pinned map, a directory, or whatever else somebody has put there.
    if (isSyscallError(error, "EINVAL", "EISDIR")) return unknown;
    throw error;
  }
}

/** A map of a program. */
interface NamedMap extends MapInfo {
  readonly map: Descriptor;
}

/** Calls `use` with what a pinned link is, and with the maps of its program; with null and none for something else. */
function withLink<T>(path: string, use: (info: CgroupLinkInfo | null, maps: readonly NamedMap[]) => T): T {
  return withTracked((track) => {
    const info = cgroupLinkInfo(track(objGet(path)));
    if (info === null) return use(null, []);
    const maps = programMaps(track(progById(info.progId))).map((id) => track(mapById(id)));
    return use(info, maps.map((map) => ({ map, ...mapInfo(map) })));
  });
}

function readSettings(map: Descriptor, size: number): unknown {
  const value = mapLookup(map, FIRST, size);
  try {
    return value === null ? null : JSON.parse(decoder.decode(value.subarray(0, value.indexOf(0))));
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

/** Removes a pin, with which its programs are detached. @throws {UsageError} When there is none. */
export function removePin(name: string): void {
  requirePinName(name);
  const directory = pinDirectory();
  try {
    const paths = linkPaths(directory, name);
    const isDirectory = paths[0] !== `${directory}/${name}`;
    if (isDirectory) paths.forEach(disarm);
    paths.forEach(unlink);
    if (isDirectory) removeDirectory(`${directory}/${name}`);
  } catch (error) {
    if (!isSyscallError(error, "ENOENT")) throw explainDirectory(directory, error);
    const names = namesIn(directory).sort();
    const pinned = names.length === 0 ? "nothing is" : `there are ${names.join(", ")}`;
    throw new UsageError(`"${name}" is not pinned: ${pinned}`);
  }
}

/** Has the programs of a pin end to work together, where this user may do that. */
function disarm(path: string): void {
  attempt(() =>
    withLink(path, (_, maps) => {
      for (const { map, name } of maps) if (name === ARMED_NAME) setArmed(map, false);
    })
  );
}
