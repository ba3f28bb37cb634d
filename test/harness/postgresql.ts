// Where Debian's programs of PostgreSQL are: those of the server are not in PATH.

const ROOT = "/usr/lib/postgresql";

function newest(): string | null {
  try {
    const versions = [...Deno.readDirSync(ROOT)].map(({ name }) => Number(name)).sort((a, b) => b - a);
    return versions.map((version) => `${ROOT}/${version}/bin`).find(hasServer) ?? null;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

function hasServer(directory: string): boolean {
  return [...Deno.readDirSync(directory)].some(({ name }) => name === "postgres");
}

/** The directory of the newest version's programs, psql and pgbench among them; null where there is no server. */
export const POSTGRESQL: string | null = newest();
