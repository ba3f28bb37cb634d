// The element of an array that has no other.

/** Returns the only element; undefined for an array of none, or of several. */
export function only<T>(elements: readonly T[]): T | undefined {
  return elements.length === 1 ? elements[0] : undefined;
}
