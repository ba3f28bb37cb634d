// A sign of life from walks over /proc and over namespaces, which may take long.

let listener: (() => void) | null = null;

/** Calls `each` for whatever is looked into from now on, many times a second; null calls nothing any more. */
export function onPulse(each: (() => void) | null): void {
  listener = each;
}

/** Says that something else is being looked into. */
export function pulse(): void {
  listener?.();
}
