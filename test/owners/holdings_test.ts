// What processes hold, read at once or a little at a time, and what becomes of it when connections are resolved.

import { assert, assertEquals } from "@std/assert";
import { holdingsOf, Survey } from "../../src/owners/holdings.ts";
import { Resolver } from "../../src/resolve.ts";
import { sampleConnection } from "../harness/sample.ts";
import { withHolder } from "./holder.ts";

Deno.test("a process's sockets are the same, read at once or step by step", async () => {
  await withHolder(["many", 300], (pid, sockets) => {
    const survey = new Survey([pid]);
    let steps = 1;
    while (survey.step()) steps++;
    assert(steps > 300 / 64, `${steps} steps`);
    assertEquals(survey.step(), false);
    assertEquals(survey.owners, holdingsOf([pid]).owners);
    assertEquals(
      sockets.map(({ inode }) => survey.owners.get(inode)),
      sockets.map(({ fd }) => [{ pid, fd, comm: "python3" }]),
    );
  });
});

Deno.test("what is begun can be finished", async () => {
  await withHolder(["many", 300], (pid) => {
    const survey = new Survey([pid]);
    survey.step();
    assertEquals(survey.finish().owners, holdingsOf([pid]).owners);
  });
});

Deno.test("what was read ahead serves one look, and what it has missed is looked for", async () => {
  const resolver = new Resolver();
  await withHolder(["many", 3], async (pid, early) => {
    while (resolver.readAhead());
    await withHolder(["many", 3], (latePid, late) => {
      const connections = [...early, ...late].map(({ inode }) => sampleConnection({ inode, owners: [] }));
      const expected = [...early.map(({ fd }) => [pid, fd]), ...late.map(({ fd }) => [latePid, fd])];
      for (let look = 0; look < 2; look++) {
        resolver.resolve(connections, { exhaustive: true });
        assertEquals(connections.map(({ owners: [{ pid, fd }] }) => [pid, fd]), expected);
      }
    });
  });
});

Deno.test("a connection of two holders has both of them, read ahead or not", async () => {
  await withHolder(["fork", 2], (pid, { child, sockets }) => {
    const resolver = new Resolver();
    for (const ahead of [true, false]) {
      if (ahead) resolver.readAhead();
      const connections = sockets.map(({ inode }) => sampleConnection({ inode, owners: [] }));
      resolver.resolve(connections, { exhaustive: true });
      for (const { owners } of connections) {
        assertEquals(owners.map((owner) => owner.pid).sort(), [pid, child].sort());
      }
    }
  });
});
