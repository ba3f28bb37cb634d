// The priority of the processes that hang up. Each cut wakes a program that connects anew, and on a host whose processors
// are all busy hanging up would wait for those that it has woken.

import { nice, setNice } from "../../ffi/process.ts";

/** The nice value of a hang-up. */
const HURRIED = -10;

/** True where the nice value is ours to change: not in a program that uses the library. */
let isOurs = false;

/** Has this process, and those that it starts, run before others where it may, unless somebody has chosen otherwise. */
export function hurry(): void {
  isOurs = nice() === 0;
  if (isOurs) setNice(HURRIED);
}

/** Tells that a process that may have called `hurry` has started this one. */
export function inheritHurry(): void {
  isOurs = true;
}

/** Ends the hurry of this process: for work that takes its time, and once the cuts are made. */
export function takeTime(): void {
  if (isOurs && nice() === HURRIED) setNice(0);
  isOurs = false;
}
