// The selection of connections, from DEST, PORT and the selection flags.

import { isAnyAddress, isAnyPort } from "../../select/destination.ts";
import type { Criteria, Selection } from "../../select/selection.ts";
import { UsageError } from "../../model/errors.ts";
import type { Arguments } from "./arguments.ts";

/**
 * Returns the selection that was typed.
 *
 * @throws {UsageError} For -4 with -6, and a third word.
 */
export function selectionOf(args: Arguments): Selection {
  const [four, six] = [args.has("ipv4"), args.has("ipv6")];
  if (four && six) throw new UsageError("Options -4 and -6 together select nothing: give one, or neither for both");
  const { dst, dport } = destination(args);
  const chosen = criteriaOf(args);
  // "any" beside --dst or --dport adds nothing: as an alternative it would make those flags meaningless.
  const anywhere = dst === undefined || (isAnyAddress(dst) && (chosen.dst ?? chosen.dstFile) !== undefined);
  const anyPort = dport === undefined || (isAnyPort(dport) && chosen.dport !== undefined);
  return {
    ...chosen,
    dst: anywhere ? chosen.dst : [dst, ...chosen.dst ?? []],
    dport: anyPort ? chosen.dport : [dport, ...chosen.dport ?? []],
    version: four ? 4 : six ? 6 : undefined,
    children: args.has("children"),
    missingOk: args.has("missing-ok"),
    not: criteriaOf(args.negated),
  };
}

/** The criteria that DEST and PORT are added to, as lists. */
type Peers = Partial<Record<"dst" | "dport", readonly string[]>>;

function criteriaOf(args: Arguments): Criteria & Peers {
  const values = (name: string) => args.given(name) ? args.values(name) : undefined;
  return {
    filter: values("filter"),
    dst: values("dst"),
    src: values("src"),
    dport: values("dport"),
    sport: values("sport"),
    dstFile: values("dst-file"),
    state: values("state"),
    interface: values("interface"),
    mark: values("mark"),
    user: values("user"),
    pid: values("pid"),
    comm: values("comm"),
    exe: values("exe"),
    cgroup: values("cgroup"),
    container: values("container"),
    netns: values("netns"),
    idleForMs: shortestTime(args, "idle-for"),
    silentForMs: shortestTime(args, "silent-for"),
    stalled: args.has("stalled"),
    closeWait: args.has("close-wait"),
    noKeepalive: args.has("no-keepalive"),
    srcGone: args.has("src-gone"),
  };
}

/** The largest u32: tcp_info counts milliseconds in a u32. */
const LONGEST_MS = 2 ** 32 - 1;

/** Returns the shortest of several times, since each is an alternative. */
function shortestTime(args: Arguments, name: string): number | undefined {
  const times = args.durations(name, LONGEST_MS);
  return times.length === 0 ? undefined : Math.min(...times);
}

/**
 * Returns DEST and PORT of a command that selects connections; undefined where they were not given.
 *
 * @throws {UsageError} For a third word.
 */
export function destination(args: Arguments): { dst?: string; dport?: string } {
  const { command, positionals } = args;
  if (command === "follow") return { dport: followed(args).port };
  const [dst, dport, surplus] = positionals;
  if (surplus !== undefined) {
    throw new UsageError(`Unexpected argument "${surplus}": expected tcphup ${command} DEST [PORT]`);
  }
  return { dst, dport };
}

/**
 * Returns NAME and PORT of `follow`, which may be one word with a colon in between; undefined where they were not given.
 * With --live-file, there is no NAME.
 *
 * @throws {UsageError} For a word too many.
 */
export function followed(args: Arguments): { name?: string; port?: string } {
  const { positionals } = args;
  const hasFile = args.given("live-file");
  const [name, port, surplus] = hasFile ? [undefined, ...positionals] : positionals;
  const [, nameOfBoth = name, portOfBoth] = port === undefined ? /^([^:]+):([^:]+)$/.exec(name ?? "") ?? [] : [];
  if (surplus === undefined) return { name: nameOfBoth, port: port ?? portOfBoth };
  const usage = hasFile ? "--live-file FILE [PORT]" : "NAME [PORT]";
  throw new UsageError(`Unexpected argument "${surplus}": expected tcphup follow ${usage}`);
}
