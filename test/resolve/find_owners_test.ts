// Who holds which socket, looked up among real processes.

import { assert, assertEquals } from "@std/assert";
import type { Owner } from "../../src/model/connection.ts";
import { type FindOptions, findOwners, MAX_OWNERS } from "../../src/resolve/find_owners.ts";
import { iterateSocketFiles } from "../../src/resolve/socket_files.ts";
import { holdingsOf } from "../../src/resolve/sockets_of.ts";
import { UnsupportedError } from "../../src/model/errors.ts";
import { run } from "../harness/process.ts";
import { hostTest } from "../harness/system.ts";
import { type Held, withHolder } from "./holder.ts";
import { asUnprivileged } from "./user.ts";

const USER = Deno.uid()!;

function wanted(sockets: readonly { inode: number }[]) {
  return sockets.map(({ inode }) => ({ inode, uid: USER }));
}

/** The ways to look: /proc, and the kernel's iterator where it may be had. */
const WAYS = ["proc", ...(mayIterate() ? ["bpf" as const] : [])] as const;

function mayIterate(): boolean {
  try {
    return iterateSocketFiles("inode", [], { atLeast: 0, way: "bpf" }) !== null;
  } catch (error) {
    if (error instanceof UnsupportedError) return false;
    throw error;
  }
}

/** The owners of each socket, in their order. Fails unless all ways give the same, or, of what may stop early, as much. */
function ownersOf(sockets: readonly { inode: number }[], options: FindOptions = {}): (Owner[] | undefined)[] {
  const [first = [], ...others] = WAYS.map((way) => {
    const { owners } = findOwners(wanted(sockets), { ...options, way });
    return sockets.map(({ inode }) => owners.get(inode));
  });
  for (const other of others) {
    if (options.exhaustive) assertEquals(other, first);
    else first.forEach((owners, i) => owners?.forEach((owner) => assert(other[i]?.some(({ fd }) => fd === owner.fd))));
  }
  return others.at(-1) ?? first;
}

/** Fails unless each socket is found with the process that holds it, in every way of looking. */
function assertFound(pid: number, sockets: readonly Held[]): void {
  const expected = sockets.map(({ fd }) => [{ pid, fd, comm: "python3" }]);
  for (const exhaustive of [false, true]) assertEquals(ownersOf(sockets, { exhaustive }), expected);
}

hostTest("sockets at any number, 0 and far apart ones too", ["python3"], async () => {
  await withHolder(["at", 0, 1000, 63, 64, 3900], (pid, sockets) => {
    assertEquals(sockets.map(({ fd }) => fd), [0, 1000, 63, 64, 3900]);
    assertFound(pid, sockets);
    assertFound(pid, sockets.slice(0, 1));
    assertFound(pid, sockets.slice(-1));
  });
});

hostTest("thousands of sockets of one process, all of them and few of them", ["python3"], async () => {
  await withHolder(["many", 3000], (pid, sockets) => {
    assertFound(pid, sockets);
    assertFound(pid, sockets.filter((_, i) => i % 500 === 7));
    for (const i of [0, 1500, 2999]) assertFound(pid, [sockets[i]!]);
  });
});

hostTest("of a socket that a process duplicates without end some descriptors are told, and all are counted", [
  "python3",
], async () => {
  await withHolder(["duplicates", 3000], (pid, [socket]) => {
    for (const way of WAYS) {
      const { owners, leftOut } = findOwners(wanted([socket]), { exhaustive: true, way });
      assertEquals(owners.get(socket.inode)!.map((owner) => owner.pid), Array(MAX_OWNERS).fill(pid));
      assertEquals(leftOut.get(socket.inode), 3000 - MAX_OWNERS);
      // Those that the caller knows are not counted a second time.
      const again = findOwners(wanted([socket]), { exhaustive: true, way, known: owners });
      assertEquals(again.leftOut.get(socket.inode), 3000 - MAX_OWNERS);
    }
  });
});

hostTest("sockets of several processes", ["python3"], async () => {
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

hostTest("processes that share sockets after a fork are all found", ["python3"], async () => {
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

hostTest("one process is found once for each descriptor of a socket", ["python3"], async () => {
  await withHolder(["twice"], (pid, sockets) => {
    const [owners] = ownersOf(sockets, { exhaustive: true });
    assertEquals(owners?.map(({ pid, fd }) => ({ pid, fd })), sockets.map(({ fd }) => ({ pid, fd })));
  });
});

const THREAD_NEEDS = ["python3", "permission to use kcmp"] as const;

hostTest("a thread that has unshared its descriptors is found, as the thread that it is", THREAD_NEEDS, async () => {
  await withHolder(["thread"], (pid, { tid, fd, inode }) => {
    for (const exhaustive of [false, true]) {
      assertEquals(ownersOf([{ inode }], { exhaustive }), [[{ pid, tid, fd, comm: "python3" }]]);
    }
  });
});

hostTest("a thread that shares its process's descriptors is not told apart from it", ["python3"], async () => {
  await withHolder(["shared-thread"], (pid, { fd, inode }) => assertFound(pid, [{ fd, inode }]));
});

hostTest("a process may be left out", ["python3"], async () => {
  await withHolder(["fork", 2], (pid, { child, sockets }) => {
    for (const [except, found] of [[pid, child], [child, pid]] as const) {
      for (const exhaustive of [false, true]) {
        const owners = ownersOf(sockets, { except, exhaustive });
        assertEquals(owners.map((owners) => owners?.map(({ pid }) => pid)), [[found], [found]]);
      }
    }
  });
});

hostTest("a process that is to be read first is found where another would do", ["python3"], async () => {
  await withHolder(["fork", 1], (pid, { child, sockets }) => {
    for (const first of [pid, child]) {
      const [owners] = ownersOf(sockets, { first: [first] });
      assertEquals(owners?.[0]?.pid, first);
    }
  });
});

hostTest("a socket that nobody holds has no owners, and keeps no other from being found", ["python3"], async () => {
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
    const [owners = []] = ownersOf([{ inode: ino! }], { exhaustive: true });
    assertEquals(owners.filter(({ pid }) => pid === Deno.pid), []);
  } finally {
    file.close();
  }
});

hostTest("a socket on its way to another process has no holder", ["python3"], async () => {
  await withHolder(["in-flight"], (_pid, sockets) => {
    for (const exhaustive of [false, true]) assertEquals(ownersOf(sockets, { exhaustive }), [undefined]);
  });
});

hostTest("in a pid namespace holders have its numbers, and those outside are none", [
  "root",
  "python3",
  "unshare",
  "permission to make namespaces",
], async () => {
  await withHolder(["at", 9], async (_pid, [outside]) => {
    const program = new URL("inside.ts", import.meta.url).pathname;
    const deno = [Deno.execPath(), "run", "-A", program, `${outside!.inode}`, ...WAYS];
    const { stdout } = await run(["unshare", "--pid", "--fork", "--mount-proc", ...deno]);
    const { self, found } = JSON.parse(stdout);
    for (const owners of found) {
      assertEquals(owners, found[0]);
      assertEquals(owners.at(-1), null);
      for (const [[pid]] of owners.slice(0, -1)) assertEquals(pid, self);
    }
  });
});

hostTest("all sockets of processes, those of their threads too, and of no others", THREAD_NEEDS, async () => {
  await withHolder(["thread"], async (one, thread) => {
    await withHolder(["fork", 300], (other, { child, sockets }) => {
      for (const way of WAYS) {
        const { owners, unreadable } = holdingsOf([one, other], way);
        assertEquals(unreadable, []);
        assertEquals(owners.get(thread.inode), [{ pid: one, tid: thread.tid, fd: thread.fd, comm: "python3" }]);
        for (const { inode, fd } of sockets) assertEquals(owners.get(inode), [{ pid: other, fd, comm: "python3" }]);
        assertEquals(holdingsOf([child], way).owners.size, sockets.length);
        assertEquals(holdingsOf([], way).owners.size, 0);
      }
    });
  });
});

Deno.test("nothing wanted is nothing looked for", () => {
  assertEquals(findOwners([]), { owners: new Map(), leftOut: new Map(), unreadable: 0 });
});

hostTest(
  "processes that may not be looked into are counted, and theirs is not found",
  ["root", "python3"],
  async () => {
    await withHolder(["at", 9], (_pid, sockets) => {
      const { owners, unreadable } = asUnprivileged(() => findOwners(wanted(sockets)));
      assertEquals(owners.size, 0);
      assert(unreadable > 0);
    });
  },
);
