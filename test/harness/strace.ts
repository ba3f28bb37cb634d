// What strace(1) writes.

import { eventually } from "./process.ts";

/** What strace(1) has written once it knows of the end, which it may a moment after others do. */
export async function wholeTrace(path: string): Promise<string> {
  return await eventually("strace has ended", async () => {
    const text = await Deno.readTextFile(path);
    return /exit_group(?:\(0\)| resumed>\)) +=/.test(text) && text;
  });
}
