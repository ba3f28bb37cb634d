// The descriptors of one process, read block by block.

import { assertEquals } from "@std/assert";
import { BLOCK, DescriptorTable } from "../../../src/linux/proc/fd_table.ts";
import { functionTest } from "../../harness/needs.ts";
import { type Held, withHolder } from "../../resolve/holder.ts";
import { asUnprivileged } from "../../resolve/user.ts";

function tableOf(pid: number, tid: number | null = null): DescriptorTable {
  return DescriptorTable.open(pid, tid) as DescriptorTable;
}

/** Every socket that reading the whole table gives. */
function socketsIn(table: DescriptorTable): Held[] {
  const sockets: Held[] = [];
  while (!table.exhausted) table.readBlock((fd, inode) => sockets.push({ fd, inode }));
  return sockets.sort((a, b) => a.fd - b.fd);
}

functionTest("a table gives every socket once, whatever the gaps between them", ["python3"], async () => {
  // Fewer descriptors than a block, a block's worth, and several blocks with others far above.
  const tables = [[0], [7, 3000], Array.from({ length: BLOCK }, (_, i) => i + 10), [
    ...Array.from({ length: 3 * BLOCK }, (_, i) => i + 3),
    1000,
    3900,
  ]];
  for (const numbers of tables) {
    await withHolder(["at", ...numbers], (pid, sockets) => {
      assertEquals(socketsIn(tableOf(pid)), sockets);
    });
  }
});

functionTest("a table knows its size and its user", ["python3"], async () => {
  await withHolder(["many", 500], (pid, sockets) => {
    const table = tableOf(pid);
    // Before Linux 6.2 it is counted, after that the kernel says it.
    assertEquals(table.size, [...Deno.readDirSync(`/proc/${pid}/fd`)].length);
    assertEquals(table.uid, Deno.uid());
    assertEquals(socketsIn(table), sockets);
  });
});

functionTest("a process that has gone has no table, or no more of one", ["python3"], async () => {
  let gone: DescriptorTable | undefined;
  let number = 0;
  await withHolder(["many", 500], (pid) => {
    number = pid;
    gone = tableOf(pid);
  });
  assertEquals(DescriptorTable.open(number), null);
  assertEquals(socketsIn(gone!), []);
  assertEquals(gone!.holds([{ fd: 3, inode: 1 }]), []);
});

functionTest("another user's table is unreadable, at the latest when it is read", ["another user's process"], () => {
  const found = asUnprivileged(() => {
    const table = DescriptorTable.open(1);
    // Where the kernel does not tell its size, opening it reads it.
    if (table === null || table === "unreadable") return { sockets: [], readable: table === null };
    return { sockets: socketsIn(table), readable: !table.unreadable };
  });
  assertEquals(found, { sockets: [], readable: false });
});

functionTest("a thread may have a table of its own", ["python3"], async () => {
  await withHolder(["thread"], (pid, { tid, fd, inode }) => {
    assertEquals(socketsIn(tableOf(pid)), []);
    const table = tableOf(pid, tid);
    assertEquals([table.pid, table.tid], [pid, tid]);
    assertEquals(socketsIn(table), [{ fd, inode }]);
  });
});

functionTest("a table holds what it is said to hold, and nothing else", ["python3"], async () => {
  await withHolder(["at", 20, 30, 3000], (pid, sockets) => {
    const [first, second, third] = sockets as [Held, Held, Held];
    const asked = [third, { fd: 20, inode: second.inode }, { fd: 21, inode: first.inode }, { fd: 0, inode: 0 }, first];
    assertEquals(tableOf(pid).holds(asked).filter(({ inode }) => inode !== 0), [third, first]);
    assertEquals(tableOf(pid).holds([]), []);
  });
});
