// Which failures pass.

import { assertEquals } from "@std/assert";
import { SyscallError } from "../../ffi/errno.ts";
import { isTransient } from "../../src/linux/transient.ts";
import { UnsupportedError } from "../../src/model/errors.ts";

const [EPERM, ENFILE, EMFILE, ENOBUFS] = [1, 23, 24, 105];

Deno.test("a shortage passes; what the kernel forbids or lacks does not", () => {
  for (const errno of [ENFILE, EMFILE, ENOBUFS]) assertEquals(isTransient(new SyscallError("openat", errno)), true);
  assertEquals(isTransient(new UnsupportedError("The list changes too fast", { passing: true })), true);
  for (
    const error of [
      new SyscallError("openat", EPERM),
      new UnsupportedError("No sock_diag"),
      new TypeError("ENFILE"),
      "x",
    ]
  ) {
    assertEquals(isTransient(error), false);
  }
});
