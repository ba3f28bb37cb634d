// Compares what was built here with what was published.

import { contentSum } from "./archive.ts";
import { sha256 } from "../tools.ts";

/** The file with the SHA-256 of all others. */
export const SUMS = "SHA256SUMS";

/** Reads SHA256SUMS: the sums by the names of the files. */
function readSums(directory: string): Map<string, string> {
  const lines = Deno.readTextFileSync(`${directory}/${SUMS}`).trimEnd().split("\n");
  return new Map(lines.map((line) => {
    const [, sum, name] = /^([0-9a-f]{64}) {2}([\w.-]+)$/.exec(line) ?? [];
    if (sum === undefined || name === undefined) {
      throw new Error(`${directory}/${SUMS} has a line that is none: ${line}`);
    }
    return [name, sum];
  }));
}

/** Writes SHA256SUMS of the files of a directory. Returns its text. */
export function writeSums(directory: string): string {
  const names = [...Deno.readDirSync(directory)].map(({ name }) => name).filter((name) => name !== SUMS).sort();
  const text = names.map((name) => `${sha256(`${directory}/${name}`)}  ${name}\n`).join("");
  Deno.writeTextFileSync(`${directory}/${SUMS}`, text);
  return text;
}

/**
 * Compares two releases, each in a directory of its own.
 *
 * @param built What was built here.
 * @param fetchFile Brings a file of the published release into the directory `published`.
 * @returns What differs, a line for each file; nothing where they are the same.
 */
export async function compare(
  built: string,
  published: string,
  fetchFile: (name: string) => Promise<void>,
): Promise<string[]> {
  await fetchFile(SUMS);
  const ours = readSums(built);
  const theirs = readSums(published);
  const differences = [];
  for (const name of new Set([...ours.keys(), ...theirs.keys()])) {
    const difference = await compareFile(name);
    if (difference !== null) differences.push(`${name}: ${difference}`);
  }
  return differences;

  async function compareFile(name: string): Promise<string | null> {
    if (!theirs.has(name)) return "is not published";
    if (!ours.has(name)) return "is published, but not built here";
    await fetchFile(name);
    const file = `${published}/${name}`;
    const sum = sha256(file);
    if (sum !== theirs.get(name)) return `is not what the published ${SUMS} says`;
    if (sum === ours.get(name)) return null;
    return await contentSum(file) === await contentSum(`${built}/${name}`) ? null : "differs";
  }
}
