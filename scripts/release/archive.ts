// Archives: the same content makes the same bytes, wherever and whenever it is packed.

import { run } from "../process.ts";

/** Keeps out of a tar file what depends on who packs it, where and when. */
const SAMENESS = [
  "--format=ustar",
  "--mtime=@0",
  "--owner=0",
  "--group=0",
  "--numeric-owner",
  "--mode=u=rwX,go=rX",
];

/** The compressors, by the suffixes of what they make. zstd(1) compresses differently without workers, whatever their number. */
const COMPRESSORS: Record<string, readonly string[]> = {
  ".xz": ["xz", "-9e", "--threads=1"],
  ".zst": ["zstd", "-19", "--threads=1", "--quiet"],
};

/** Commands that decompress from standard input, by the suffixes of what they read. */
const DECOMPRESSORS: Record<string, string> = { ".xz": "xz -dc", ".zst": "zstd -dcq", ".tgz": "gzip -dc" };

/**
 * Packs the files of a directory, beside it, once for each compressor. The directories in it are not packed: tar(1) would
 * give those of a host, /usr/local/bin among them, their rights and times. Returns the paths of the archives.
 */
export async function pack(directory: string): Promise<string[]> {
  const [, parent = "", name = ""] = /^(.*)\/([^/]+)$/.exec(directory)!;
  const tar = `${directory}.tar`;
  const files = 'find "$1" -type f -print0 | LC_ALL=C sort --zero-terminated';
  const script = `set -o pipefail; ${files} | tar --create --file "$2" --null --files-from=- ${SAMENESS.join(" ")}`;
  await run(["bash", "-c", script, "bash", name, tar], { cwd: parent });
  for (const command of Object.values(COMPRESSORS)) await run([...command, "--keep", "--force", tar]);
  await Deno.remove(tar);
  return Object.keys(COMPRESSORS).map((suffix) => `${tar}${suffix}`);
}

/**
 * Returns the SHA-256 of what was compressed into a file. Compressors of different versions make different bytes of the
 * same content.
 */
export async function contentSum(file: string): Promise<string> {
  const [, decompressor = "cat"] = Object.entries(DECOMPRESSORS).find(([suffix]) => file.endsWith(suffix)) ?? [];
  const script = `set -o pipefail; ${decompressor} <"$1" | sha256sum`;
  const { stdout } = await run(["bash", "-c", script, "bash", file]);
  return stdout.replace(/ .*/s, "");
}
