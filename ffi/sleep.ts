// Waiting, in an event loop.

/** Milliseconds of synchronous work after which the event loop should have its turn, so that signals are delivered. */
export const SLICE_MS = 100;

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
