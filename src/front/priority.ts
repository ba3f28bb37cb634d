// The priority of the processes that hang up. Each cut wakes a program that connects anew, and on a host whose processors
// are all busy hanging up would wait for those that it has woken.

import { nice, setNice } from "../../ffi/process.ts";

/** The nice value of a hang-up. */
const HURRIED = -10;

/** Has this process, and those that it starts, run before others where it may, unless somebody has chosen otherwise. */
export function hurry(): void {
  if (nice() === 0) setNice(HURRIED);
}

/** Ends that for this process: for work that takes its time. */
export function takeTime(): void {
  if (nice() === HURRIED) setNice(0);
}
