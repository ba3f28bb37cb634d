// Closes what was opened, also when the work with it fails, as `using` does, which Node 22 lacks.

/** What has to be closed. */
interface Closable {
  close(): void;
}

/** Calls `use` with something open, and closes it afterwards. */
export function withOpen<T extends Closable, R>(open: T, use: (open: T) => R): R {
  try {
    return use(open);
  } finally {
    open.close();
  }
}

/** Returns something open after `prepare` has worked on it. Closes it when that fails. */
export function prepared<T extends Closable>(open: T, prepare: (open: T) => void): T {
  try {
    prepare(open);
    return open;
  } catch (error) {
    open.close();
    throw error;
  }
}

/** Calls `use`, and closes afterwards all that it has tracked, the last first. */
export function withTracked<R>(use: (track: <T extends Closable>(open: T) => T) => R): R {
  const tracked: Closable[] = [];
  try {
    return use((open) => {
      tracked.push(open);
      return open;
    });
  } finally {
    for (const open of tracked.reverse()) open.close();
  }
}
