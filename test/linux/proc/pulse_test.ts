// A walk over /proc says that it goes on.

import { assert, assertEquals } from "@std/assert";
import { findOwners } from "../../../src/resolve/find_owners.ts";
import { onPulse } from "../../../src/linux/proc/pulse.ts";

Deno.test("each process that is looked into is a pulse, as long as somebody listens", () => {
  const wanted = [{ inode: 1, uid: 0 }];
  let pulses = 0;
  onPulse(() => pulses++);
  findOwners(wanted, { way: "proc" });
  assert(pulses > 0);
  onPulse(null);
  const before = pulses;
  findOwners(wanted, { way: "proc" });
  assertEquals(pulses, before);
});
