// The texts of a connection: its endpoints, owners, outcome, network namespace and timer.

import { formatEndpoint } from "../../model/address.ts";
import type { Connection, Endpoint, HeldConnection, Owner } from "../../model/connection.ts";
import type { Outcome, Result } from "../../model/result.ts";
import { style, type Tone } from "./terminal.ts";

const TONES: Partial<Record<Outcome, Tone>> = {
  "hung-up": "good",
  "destroyed": "good",
  "keepalive-set": "good",
  "unchanged": "faint",
  "already-gone": "faint",
  "skipped": "odd",
  "lingering": "odd",
  "no-owner": "bad",
  "denied": "bad",
  "unsupported": "bad",
  "failed": "bad",
};

/** Writes an endpoint as ss(8) does. */
export function endpointText({ address, port }: Endpoint): string {
  return formatEndpoint(address, port);
}

/** Writes an owner as `PID/NAME`, with `verbose` as `PID/NAME fd FD`. */
function ownerText({ pid, fd, comm }: Owner, verbose: boolean): string {
  return verbose ? `${pid}/${comm} fd ${fd}` : `${pid}/${comm}`;
}

/** The number of descriptors that a table names for one connection. */
const MAX_SHOWN_OWNERS = 10;

/** Names the first owner and counts the others by process. With `verbose`, names each descriptor. */
export function ownersText({ owners, ownersLeftOut = 0 }: HeldConnection, verbose: boolean): string {
  const [first, second] = owners;
  if (first === undefined) return "-";
  if (second === undefined) return ownerText(first, verbose);
  if (verbose || ownersLeftOut > 0) {
    const shown = owners.slice(0, verbose ? MAX_SHOWN_OWNERS : 1);
    const more = owners.length + ownersLeftOut - shown.length;
    return shown.map((owner) => ownerText(owner, verbose)).join(", ") + (more > 0 ? ` and ${more} more` : "");
  }
  const others = new Set(owners.map(({ pid }) => pid)).size - 1;
  return ownerText(first, false) + (others > 0 ? ` +${others}` : "");
}

/** Tells whether a hang-up has ended an attempt to connect, so that connect(2) fails. */
export function isEndedAttempt({ outcome, connection }: Result & HeldConnection): boolean {
  return outcome === "hung-up" && connection.state === "SYN-SENT";
}

/** The texts of outcomes: many connections share few. */
const outcomeTexts = new Map<string, string>();

/** Writes an outcome in its color, and the reason for it. */
export function outcomeText(result: Result & HeldConnection): string {
  const { outcome, message } = result;
  const name = isEndedAttempt(result) ? "connect attempt ended" : outcome;
  let text = outcomeTexts.get(name);
  if (text === undefined) {
    const tone = TONES[outcome];
    const words = name.replaceAll("-", " ");
    outcomeTexts.set(name, text = tone ? style(tone, words) : words);
  }
  return message ? `${text}: ${message}` : text;
}

/** Returns the name of a connection's network namespace, or its inode number where it has none. */
export function netnsText({ netns, netnsName }: Connection): string {
  return netnsName ?? String(netns);
}

/** Writes the running timer as ss(8) does: `timer:(keepalive,1min52sec,0)`. */
export function timerText({ timer }: Connection): string {
  return timer === null ? "" : `timer:(${timer.name},${timeText(timer.expiresMs)},${timer.retransmits})`;
}

/** Writes a time as ss(8) does, but `2.104sec` where ss has `2.104ms`. */
export function timeText(milliseconds: number): string {
  const fraction = String(milliseconds % 1000).padStart(3, "0");
  const seconds = Math.trunc(milliseconds / 1000);
  if (seconds === 0) return `${fraction}ms`;
  if (seconds < 10) return milliseconds % 1000 === 0 ? `${seconds}sec` : `${seconds}.${fraction}sec`;
  if (seconds < 60) return `${seconds}sec`;
  const minutes = Math.trunc(seconds / 60);
  return minutes > 9 || seconds % 60 === 0 ? `${minutes}min` : `${minutes}min${seconds % 60}sec`;
}
