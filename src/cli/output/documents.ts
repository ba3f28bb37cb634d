// The documents that --json prints where they are more than what the library returns. Keys are as in TypeScript:
// ./json.ts writes them.

import type { AttachedSettings } from "../../attach/keepalive_attachment.ts";
import type { Health } from "../../doctor/check_host.ts";
import type { Listing } from "../../list.ts";
import type { DestinationCount } from "../../model/destination_count.ts";
import type { Pinned } from "../../pinned.ts";
import type { Totals } from "../../report/summary.ts";

/** What every document begins with. */
interface Document<Command extends string> {
  /** The version of this document's keys. */
  readonly schema: 1;
  /** The command that made this document. */
  readonly command: Command;
}

/** The document of `ls`, without its connections. */
export interface ListDocument extends Document<"ls">, Omit<Listing, "connections"> {
  /** Number of connections. */
  readonly matched: number;
  /** Duration of the run in milliseconds. */
  readonly elapsedMs: number;
}

/** The document of `ls --summary`, without its groups. */
export interface SummaryDocument extends ListDocument {
  /** Milliseconds without data in either direction after which a connection counts as idle. */
  readonly idleAfterMs: number;
  /** Totals over all connections. */
  readonly total: Totals;
}

/** The document of `ls --pinned`. */
export interface PinnedDocument extends Document<"ls"> {
  /** What is pinned. */
  readonly pinned: readonly Pinned[];
}

/** What a document of `keepalive --attach` has under `attached`. */
export interface AttachedDocument extends AttachedSettings {
  /** The name under which it is pinned; null without `--pin`. */
  readonly name: string | null;
  /** The numbers of connections so far, by destination, the greatest first. */
  readonly counters: readonly DestinationCount[];
}

/** The document of `doctor`. */
export interface DoctorDocument extends Document<"doctor">, Health {}
