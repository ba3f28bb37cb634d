// Putting the filter on the thread that becomes the command.

import { type Descriptor, isSyscallError } from "../../ffi/libc.ts";
import { setNoNewPrivs } from "../../ffi/process.ts";
import { installFilter } from "../../ffi/seccomp.ts";
import { Unsupported } from "../unsupported.ts";

/** A filter in place. */
export interface Installed {
  readonly listener: Descriptor;
  /** Whether the kernel asked for no_new_privs, because this process has no CAP_SYS_ADMIN. */
  readonly noNewPrivs: boolean;
}

/** Installs `program`, an array of `struct sock_filter`, on the calling thread. */
export function install(program: Uint8Array): Installed {
  try {
    return { listener: installFilter(program), noNewPrivs: false };
  } catch (error) {
    if (!isSyscallError(error, "EACCES")) throw explain(error);
  }
  setNoNewPrivs();
  try {
    return { listener: installFilter(program), noNewPrivs: true };
  } catch (error) {
    throw explain(error);
  }
}

function explain(error: unknown): unknown {
  if (isSyscallError(error, "EBUSY")) {
    return new Unsupported(
      "another supervisor already has a seccomp listener here, and the kernel allows one: " +
        "this is inside another tcphup run, or a container whose runtime has one",
    );
  }
  if (isSyscallError(error, "EINVAL", "ENOSYS")) {
    return new Unsupported("this kernel has no seccomp user notification: Linux 5.9 with CONFIG_SECCOMP_FILTER has");
  }
  if (isSyscallError(error)) return new Unsupported(`the seccomp filter cannot be installed: ${error.code}`);
  return error;
}
