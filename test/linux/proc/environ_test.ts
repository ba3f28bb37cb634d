// The environment and the arguments that a command inherits.

import { assertEquals } from "@std/assert";
import { lookUp, rawArguments } from "../../../src/linux/proc/environ.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

Deno.test("lookUp: the first variable of that name, and of no longer name", () => {
  const environment = ["PATHS=/no", "PATH=/bin:/a=b", "PATH=/second", "EMPTY="].map(bytes);
  assertEquals(lookUp(environment, "PATH"), "/bin:/a=b");
  assertEquals(lookUp(environment, "EMPTY"), "");
  assertEquals(lookUp(environment, "NONE"), undefined);
});

Deno.test("rawArguments: words that are not this process's own are encoded", () => {
  assertEquals(rawArguments(["no such argument", "é"]), [bytes("no such argument"), bytes("é")]);
});
