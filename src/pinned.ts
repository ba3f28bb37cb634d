// What is pinned in the kernel, and so outlives tcphup: programs that set keepalive, and programs that refuse or redirect
// connects.

import type { DiversionSettings } from "./attach/diversion.ts";
import type { AttachedSettings } from "./attach/keepalive_attachment.ts";
import { withBpf } from "./bpf/explain.ts";
import { pinnedLinks, SETTINGS_SCHEMA } from "./bpf/pins.ts";
import type { DestinationCount } from "./model/destination_count.ts";
import type { ConnectCount } from "./model/diversion.ts";

export { removePin as unpin } from "./bpf/pins.ts";

/** What is pinned under a name. */
export interface Pinned {
  /** The name that it was given. */
  readonly name: string;
  /** What it does; null for what another version of tcphup, or another program, has pinned. */
  readonly settings: AttachedSettings | DiversionSettings | null;
  /** Whether it is in force: false when its control group has gone, or tcphup was killed while it pinned. */
  readonly attached: boolean;
  /** The numbers of connections on which keepalive was set, by destination, the greatest first. */
  readonly counters: readonly DestinationCount[];
  /** The calls of connect(2) that were refused, or went elsewhere, by destination, the most frequent first. */
  readonly connects: readonly ConnectCount[];
}

/**
 * Returns what is pinned, by name. It takes CAP_SYS_ADMIN.
 *
 * @throws {UnsupportedError} Where no bpffs is mounted, or this user may not look.
 */
export function listPinned(): Pinned[] {
  return withBpf(pinnedLinks).map(({ settings, ...rest }) => ({ ...rest, settings: readableSettings(settings) }));
}

function readableSettings(settings: unknown): Pinned["settings"] {
  const isReadable = typeof settings === "object" && settings !== null && "schema" in settings;
  return isReadable && settings.schema === SETTINGS_SCHEMA ? settings as Pinned["settings"] : null;
}
