// A file of live addresses: what it says, and when it says nothing.

import { assertEquals } from "@std/assert";
import { LiveFile, parseLiveAddresses } from "../../src/follow/live_file.ts";
import { Directory } from "../harness/directory.ts";

Deno.test("addresses, comments, empty lines", () => {
  const text = "# live\n192.0.2.1\n\n  2001:DB8:0::1 # the new one\n::ffff:192.0.2.2\n192.0.2.1\n";
  assertEquals(parseLiveAddresses(text), { ipv4: ["192.0.2.1", "192.0.2.2"], ipv6: ["2001:db8::1"] });
});

Deno.test("whatever is in doubt is no answer", () => {
  const unfinished = "its last line does not end, as in a file that is only half written";
  assertEquals(parseLiveAddresses("192.0.2.1\n192.0.2.1"), unfinished);
  assertEquals(parseLiveAddresses("192.0.2.1"), unfinished);
  assertEquals(parseLiveAddresses(""), "it has no address");
  assertEquals(parseLiveAddresses("# none\n"), "it has no address");
  for (const line of ["192.0.2", "192.0.2.0/24", "db.internal", "192.0.2.1 192.0.2.2", "any", "fe80::1%eth0"]) {
    assertEquals(parseLiveAddresses(`192.0.2.1\n${line}\n`), "line 2 is no address", line);
  }
});

Deno.test("a file that comes, goes and is replaced", async () => {
  using directory = new Directory();
  const path = `${directory.path}/live`;
  const file = new LiveFile(path);
  const look = async () => {
    const { answer, problems } = await file.look();
    return answer?.ipv4 ?? [...problems];
  };
  assertEquals(await look(), [[path, "ENOENT"]]);
  await Deno.writeTextFile(path, "192.0.2.1\n");
  assertEquals(await look(), ["192.0.2.1"]);
  await Deno.writeTextFile(`${path}.new`, "192.0.2.2\n");
  await Deno.rename(`${path}.new`, path);
  assertEquals(await look(), ["192.0.2.2"]);
  // As Kubernetes replaces what it mounts.
  await Deno.writeTextFile(`${path}.3`, "192.0.2.3\n");
  await Deno.symlink(`${path}.3`, `${path}.link`);
  await Deno.rename(`${path}.link`, path);
  assertEquals(await look(), ["192.0.2.3"]);
  await Deno.remove(path);
  await Deno.mkdir(path);
  assertEquals(await look(), [[path, "it is no file"]]);
  await Deno.remove(path);
  await Deno.writeTextFile(path, "192.0.2.1\n".repeat(200_000));
  assertEquals(await look(), [[path, "it is larger than 1 MiB"]]);
});
