// Signals progress of walks over /proc and over namespaces, which may take long.

let listener: (() => void) | null = null;

/** Sets the listener that every `pulse` calls, many times a second; null for none. */
export function onPulse(each: (() => void) | null): void {
  listener = each;
}

/** Tells the listener that the walk has reached the next process or namespace. */
export function pulse(): void {
  listener?.();
}
