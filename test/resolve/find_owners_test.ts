// Who holds which socket, looked up among real processes.

import { assert, assertEquals } from "@std/assert";
import type { Owner } from "../../src/model/connection.ts";
import { type FindOptions, findOwners, MAX_OWNERS } from "../../src/resolve/find_owners.ts";
import { type Held, withHolder } from "./holder.ts";
import { asUnprivileged } from "./user.ts";

const USER = Deno.uid()!;

function wanted(sockets: readonly { inode: number }[]) {
  return sockets.map(({ inode }) => ({ inode, uid: USER }));
}

/** The owners of each socket, in their order. */
function ownersOf(sockets: readonly { inode: number }[], options?: FindOptions): (Owner[] | undefined)[] {
  const { owners } = findOwners(wanted(sockets), options);
  return sockets.map(({ inode }) => owners.get(inode));
}

/** Fails unless each socket is found with the process that holds it, in every way of looking. */
function assertFound(pid: number, sockets: readonly Held[]): void {
  const expected = sockets.map(({ fd }) => [{ pid, fd, comm: "python3" }]);
  for (const exhaustive of [false, true]) assertEquals(ownersOf(sockets, { exhaustive }), expected);
}

Deno.test("sockets at any number, 0 and far apart ones too", async () => {
  await withHolder(["at", 0, 1000, 63, 64, 3900], (pid, sockets) => {
    assertEquals(sockets.map(({ fd }) => fd), [0, 1000, 63, 64, 3900]);
    assertFound(pid, sockets);
    assertFound(pid, sockets.slice(0, 1));
    assertFound(pid, sockets.slice(-1));
  });
});

Deno.test("thousands of sockets of one process, all of them and few of them", async () => {
  await withHolder(["many", 3000], (pid, sockets) => {
    assertFound(pid, sockets);
    assertFound(pid, sockets.filter((_, i) => i % 500 === 7));
    for (const i of [0, 1500, 2999]) assertFound(pid, [sockets[i]!]);
  });
});

Deno.test("of a socket that a process duplicates without end some descriptors are told, and all are counted", async () => {
  await withHolder(["duplicates", 3000], (pid, [socket]) => {
    const { owners, leftOut } = findOwners(wanted([socket]), { exhaustive: true });
    assertEquals(owners.get(socket.inode)!.map((owner) => owner.pid), Array(MAX_OWNERS).fill(pid));
    assertEquals(leftOut.get(socket.inode), 3000 - MAX_OWNERS);
  });
});

Deno.test("sockets of several processes", async () => {
  await withHolder(["many", 300], async (one, first) => {
    await withHolder(["at", 0, 3000], (other, second) => {
      const found = ownersOf([...first, ...second]);
      assertEquals(found.map((owners) => owners?.map(({ pid }) => pid)), [
        ...first.map(() => [one]),
        ...second.map(() => [other]),
      ]);
    });
  });
});

Deno.test("processes that share sockets after a fork are all found", async () => {
  for (const count of [3, 200, 1000]) {
    await withHolder(["fork", count], (pid, { child, sockets }) => {
      for (const exhaustive of [false, true]) {
        const found = ownersOf(sockets, { exhaustive });
        sockets.forEach(({ fd }, i) => {
          assertEquals(found[i]?.map((owner) => owner.fd), [fd, fd]);
          assertEquals(new Set(found[i]?.map((owner) => owner.pid)), new Set([pid, child]));
        });
      }
    });
  }
});

Deno.test("one process is found once for each descriptor of a socket", async () => {
  await withHolder(["twice"], (pid, sockets) => {
    const [owners] = ownersOf(sockets, { exhaustive: true });
    assertEquals(owners?.map(({ pid, fd }) => ({ pid, fd })), sockets.map(({ fd }) => ({ pid, fd })));
  });
});

Deno.test("a thread that has unshared its descriptors is found, as the thread that it is", async () => {
  await withHolder(["thread"], (pid, { tid, fd, inode }) => {
    for (const exhaustive of [false, true]) {
      assertEquals(ownersOf([{ inode }], { exhaustive }), [[{ pid, tid, fd, comm: "python3" }]]);
    }
  });
});

Deno.test("a thread that shares its process's descriptors is not told apart from it", async () => {
  await withHolder(["shared-thread"], (pid, { fd, inode }) => assertFound(pid, [{ fd, inode }]));
});

Deno.test("a process may be left out", async () => {
  await withHolder(["fork", 2], (pid, { child, sockets }) => {
    for (const [except, found] of [[pid, child], [child, pid]] as const) {
      for (const exhaustive of [false, true]) {
        const owners = ownersOf(sockets, { except, exhaustive });
        assertEquals(owners.map((owners) => owners?.map(({ pid }) => pid)), [[found], [found]]);
      }
    }
  });
});

Deno.test("a process that is to be read first is found where another would do", async () => {
  await withHolder(["fork", 1], (pid, { child, sockets }) => {
    for (const first of [pid, child]) {
      const [owners] = ownersOf(sockets, { first: [first] });
      assertEquals(owners?.[0]?.pid, first);
    }
  });
});

Deno.test("a socket that nobody holds has no owners, and keeps no other from being found", async () => {
  await withHolder(["at", 77], (pid, sockets) => {
    const nobodys = { inode: 4_294_967_295 };
    const found = ownersOf([nobodys, ...sockets]);
    assertEquals(found, [undefined, [{ pid, fd: 77, comm: "python3" }]]);
  });
});

Deno.test("a file of another kind with the same inode number is no socket", () => {
  const { ino } = Deno.statSync("/dev/null");
  const file = Deno.openSync("/dev/null");
  try {
    const owners = findOwners([{ inode: ino!, uid: USER }], { exhaustive: true }).owners.get(ino!) ?? [];
    assertEquals(owners.filter(({ pid }) => pid === Deno.pid), []);
  } finally {
    file.close();
  }
});

Deno.test("nothing wanted is nothing looked for", () => {
  assertEquals(findOwners([]), { owners: new Map(), leftOut: new Map(), unreadable: 0 });
});

Deno.test({
  name: "processes that may not be looked into are counted, and theirs is not found (needs root, to be two users)",
  ignore: USER !== 0,
  fn: () =>
    withHolder(["at", 9], (_pid, sockets) => {
      const { owners, unreadable } = asUnprivileged(() => findOwners(wanted(sockets)));
      assertEquals(owners.size, 0);
      assert(unreadable > 0);
    }),
});
