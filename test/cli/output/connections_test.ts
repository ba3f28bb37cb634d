// The texts of a connection.

import { assertEquals, assertMatch } from "@std/assert";
import { ownersText } from "../../../src/cli/output/connections.ts";
import type { Owner } from "../../../src/model/connection.ts";
import { sampleListed } from "../../harness/sample.ts";

const owner = (pid: number, fd = 3, comm = "nginx") => ({ pid, fd, comm });

Deno.test("an owner is a process and its name; the others are counted, by process", () => {
  const held = (...owners: Owner[]) => ownersText(sampleListed({ owners }), false);
  assertEquals(held(), "-");
  assertEquals(held(owner(7)), "7/nginx");
  assertEquals(held(owner(7, 3), owner(7, 4)), "7/nginx");
  assertEquals(held(owner(7, 3), owner(7, 4), owner(8), owner(9)), "7/nginx +2");
  const all = ownersText(sampleListed({ owners: [owner(7, 0), owner(8, 12)] }), true);
  assertEquals(all, "7/nginx fd 0, 8/nginx fd 12");
});

Deno.test("of a socket that was duplicated without end a table names some descriptors, and counts the others", () => {
  const owners = Array.from({ length: 100 }, (_, fd) => owner(7, fd));
  const connection = sampleListed({ owners, ownersLeftOut: 79_900 });
  assertEquals(ownersText(connection, false), "7/nginx and 79999 more");
  assertMatch(ownersText(connection, true), /^7\/nginx fd 0, (.*, ){8}7\/nginx fd 9 and 79990 more$/);
});
