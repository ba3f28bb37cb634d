// Warnings that are given once, however often they are due.

/** The number of warnings that are remembered, to give each once. Processes choose names in them. */
const MAX_WARNED = 1000;

/** Returns what gives each warning once. */
export function warningOnce(warn: (text: string) => void): (texts: readonly string[]) => void {
  const warned = new Set<string>();
  return (texts) => {
    for (const text of texts) {
      if (warned.has(text)) continue;
      if (warned.size >= MAX_WARNED) warned.clear();
      warned.add(text);
      warn(text);
    }
  };
}
