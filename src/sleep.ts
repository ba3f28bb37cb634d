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

/** In Deno as in Node; the first timer costs Deno milliseconds. */
const { setImmediate } = globalThis as { setImmediate?: (callback: () => void) => void };

/** How often the event loop has to go round before what has come meanwhile, a signal for one, is delivered: 2 at least. */
const ROUNDS = 4;

/** Lets signals and other work through that have come meanwhile, and does not wait. */
export async function turn(): Promise<void> {
  if (setImmediate === undefined) return await sleep(0);
  for (let i = 0; i < ROUNDS; i++) await new Promise<void>((resolve) => setImmediate(resolve));
}
