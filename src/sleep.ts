// Waiting, in an event loop.

/** Waits, and lets signals and other work through meanwhile. An aborted `signal` ends the wait early. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener("abort", done);
  });
}

/** How often the event loop has to go round before what has come meanwhile, a signal for one, is delivered: 2 at least. */
const ROUNDS = 4;

/** Lets signals and other work through that have come meanwhile, and does not wait. */
export async function turn(): Promise<void> {
  // In Deno as in Node. The first timer costs Deno milliseconds, and so does the first look at this, even unused.
  const { setImmediate } = globalThis as { setImmediate?: (callback: () => void) => void };
  if (setImmediate === undefined) return await sleep(0);
  for (let i = 0; i < ROUNDS; i++) await new Promise<void>((resolve) => setImmediate(resolve));
}
