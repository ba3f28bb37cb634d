// Deno's own base runtime for `deno compile`. What is released begins with it, and runs as root.

import { run } from "../process.ts";
import { sha256 } from "../tools.ts";

/** Calls a URL. */
export type Fetch = (url: string) => Promise<Response>;

/** Returns where Deno publishes the runtime, and, on another host, its SHA-256. */
function urls(version: string, target: string): { archive: string; checksum: string } {
  const name = `denort-${target}.zip`;
  return {
    archive: `https://dl.deno.land/release/v${version}/${name}`,
    checksum: `https://github.com/denoland/deno/releases/download/v${version}/${name}.sha256sum`,
  };
}

async function download(fetch: Fetch, url: string): Promise<Response> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url} answers ${response.status} ${response.statusText}`.trimEnd());
  return response;
}

/**
 * Downloads the runtime of a version of Deno into a directory. Returns the path of the program.
 *
 * @throws {Error} Where its SHA-256 is not the one that Deno publishes. Nothing of it is unpacked then.
 */
export async function fetchRuntime(
  version: string,
  target: string,
  directory: string,
  fetch: Fetch = globalThis.fetch,
): Promise<string> {
  const { archive, checksum } = urls(version, target);
  const text = await (await download(fetch, checksum)).text();
  const [published] = /^[0-9a-f]{64}\b/i.exec(text) ?? [];
  if (published === undefined) throw new Error(`${checksum} is no SHA-256`);
  const file = `${directory}/denort-${target}.zip`;
  await Deno.writeFile(file, (await download(fetch, archive)).body!);
  const sum = sha256(file);
  if (sum !== published.toLowerCase()) {
    throw new Error(`${archive} is not what Deno has published: its SHA-256 is ${sum}, not ${published}`);
  }
  const unpacked = `${directory}/denort-${target}`;
  await run(["python3", "-m", "zipfile", "--extract", file, unpacked]);
  return `${unpacked}/denort`;
}
