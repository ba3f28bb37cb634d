// Links that are pinned in a bpffs, and so outlive tcphup: a file for each, which is the link. It appears and goes by one
// system call, so that there is no moment at which a pin is half made.

import {
  BPF_MAP_TYPE_ARRAY,
  cgroupLinkInfo,
  mapById,
  mapCreate,
  mapInfo,
  mapLookup,
  mapUpdate,
  objGet,
  objPin,
  progById,
  programMaps,
} from "../../ffi/bpf.ts";
import type { Descriptor } from "../../ffi/descriptor.ts";
import { isSyscallError } from "../../ffi/errno.ts";
import { readDirectory, readTextFile } from "../../ffi/files.ts";
import { makeDirectory, unlink } from "../../ffi/fs.ts";
import { bpffsPoints } from "../linux/proc/mountinfo.ts";
import { UnsupportedError, UsageError } from "../model/errors.ts";
import { COUNTERS_NAME, type DestinationCount, readCounters } from "./counters.ts";

/** The usual mount point of bpffs. */
const USUAL_POINT = "/sys/fs/bpf";

/** The directory of tcphup's pins below it. */
const DIRECTORY = "tcphup";

/** A bpffs keeps dots for itself. */
const NAME = /^[A-Za-z0-9_-]{1,64}$/;

const SETTINGS_NAME = "tcphup_settings";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** @throws {UsageError} For a name that a pin cannot have. */
export function requirePinName(name: string): void {
  if (NAME.test(name)) return;
  throw new UsageError(`"${name}" cannot be the name of a pin: expected 1 to 64 letters, digits, - and _`);
}

/** Returns the directory of pins. @throws {UnsupportedError} Where no bpffs is mounted. */
function pinDirectory(): string {
  const points = bpffsPoints(readTextFile("/proc/self/mountinfo"));
  const point = points.includes(USUAL_POINT) ? USUAL_POINT : points[0];
  if (point !== undefined) return `${point}/${DIRECTORY}`;
  throw new UnsupportedError(`No bpffs is mounted here, which keeps what is pinned: mount -t bpf bpf ${USUAL_POINT}`);
}

/** Whether something is pinned under a name. @throws {UnsupportedError} Where no bpffs is mounted. */
export function pinExists(name: string): boolean {
  return namesIn(pinDirectory()).includes(name);
}

/** Returns the error for a name that is taken. */
export function alreadyPinned(name: string): UsageError {
  return new UsageError(`"${name}" is pinned already, for something else: "tcphup unpin ${name}" removes that`);
}

function explainDirectory(directory: string, error: unknown): unknown {
  if (!isSyscallError(error)) return error;
  return new UnsupportedError(`${directory}, which keeps what is pinned, cannot be used: ${error.message}`);
}

/**
 * Pins a link.
 *
 * @throws {UsageError} When the name is taken.
 * @throws {UnsupportedError} Where no bpffs is mounted, or this user may not write to it.
 */
export function pinLink(link: Descriptor, name: string): void {
  const directory = pinDirectory();
  try {
    makeDirectory(directory);
  } catch (error) {
    if (!isSyscallError(error, "EEXIST")) throw explainDirectory(directory, error);
  }
  try {
    objPin(link, `${directory}/${name}`);
  } catch (error) {
    if (isSyscallError(error, "EEXIST")) throw alreadyPinned(name);
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
  try {
    mapUpdate(map, FIRST, value);
    return map;
  } catch (error) {
    map.close();
    throw error;
  }
}

const FIRST = new Uint8Array(4);

/** What is pinned under a name. */
export interface PinnedLink {
  readonly name: string;
  /** What `createSettings` was given; null for what this tcphup cannot read. */
  readonly settings: unknown;
  readonly counters: DestinationCount[];
  /** Whether its control group still exists. */
  readonly attached: boolean;
}

/** Returns what is pinned, by name. @throws {UnsupportedError} Where no bpffs is mounted, or this user may not look. */
export function pinnedLinks(): PinnedLink[] {
  const directory = pinDirectory();
  return namesIn(directory).sort().flatMap((name) => readPin(name, `${directory}/${name}`) ?? []);
}

function namesIn(directory: string): string[] {
  try {
    return readDirectory(directory).map(({ name }) => name);
  } catch (error) {
    if (isSyscallError(error, "ENOENT")) return [];
    throw explainDirectory(directory, error);
  }
}

/** Returns null when the pin has gone meanwhile. */
function readPin(name: string, path: string): PinnedLink | null {
  const open: Descriptor[] = [];
  const track = (descriptor: Descriptor) => {
    open.push(descriptor);
    return descriptor;
  };
  const unknown: PinnedLink = { name, settings: null, counters: [], attached: true };
  try {
    const link = track(objGet(path));
    const info = cgroupLinkInfo(link);
    if (info === null) return unknown;
    let settings: unknown = null;
    let counters: DestinationCount[] = [];
    for (const id of programMaps(track(progById(info.progId)))) {
      const map = track(mapById(id));
      const { name, valueSize } = mapInfo(map);
      if (name === SETTINGS_NAME) settings = readSettings(map, valueSize);
      else if (name === COUNTERS_NAME) counters = readCounters(map);
    }
    return { name, settings, counters, attached: info.cgroupId !== 0n };
  } catch (error) {
    if (isSyscallError(error, "ENOENT")) return null;
    // A pinned map, a directory, or whatever else somebody has put there.
    if (isSyscallError(error, "EINVAL", "EISDIR")) return unknown;
    throw error;
  } finally {
    for (const descriptor of open) descriptor.close();
  }
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

/** Removes a pin, with which its program is detached. @throws {UsageError} When there is none. */
export function removePin(name: string): void {
  requirePinName(name);
  const directory = pinDirectory();
  try {
    unlink(`${directory}/${name}`);
  } catch (error) {
    if (!isSyscallError(error, "ENOENT")) throw explainDirectory(directory, error);
    const names = namesIn(directory).sort();
    const pinned = names.length === 0 ? "nothing is" : `there are ${names.join(", ")}`;
    throw new UsageError(`"${name}" is not pinned: ${pinned}`);
  }
}
