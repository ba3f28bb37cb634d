// Prints, as seen from another pid namespace, who holds sockets: for each way that is named, the pids by inode. The socket
// of this process is told too.

import { findOwners } from "../../src/resolve/find_owners.ts";
import type { Way } from "../../src/resolve/socket_files.ts";

const [inode, ...ways] = Deno.args;
using _own = Deno.listen({ hostname: "127.0.0.1", port: 0 });
const own = [...Deno.readDirSync("/proc/self/fd")].flatMap(({ name }) => {
  const [, number] = /^socket:\[(\d+)\]$/.exec(targetOf(`/proc/self/fd/${name}`)) ?? [];
  return number === undefined ? [] : [Number(number)];
});
const wanted = [...own, Number(inode)].map((inode) => ({ inode, uid: 0 }));
const found = ways.map((way) => {
  const { owners } = findOwners(wanted, { exhaustive: true, way: way as Way });
  return wanted.map(({ inode }) => owners.get(inode)?.map(({ pid, fd }) => [pid, fd]) ?? null);
});
console.log(JSON.stringify({ self: Deno.pid, found }));

function targetOf(path: string): string {
  try {
    return Deno.readLinkSync(path);
  } catch {
    return "";
  }
}
