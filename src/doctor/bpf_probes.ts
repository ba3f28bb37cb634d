// The probes of BPF. Each uses sockets of its own over loopback.

import { withOpen } from "../../ffi/closing.ts";
import { host } from "../../ffi/deno.ts";
import { isSyscallError } from "../../ffi/errno.ts";
import { statx } from "../../ffi/fs.ts";
import { getsockopt, IPPROTO_TCP, SO_KEEPALIVE, SOL_SOCKET } from "../../ffi/socket.ts";
import { withPair } from "../act/loopback_pair.ts";
import { Diversion } from "../attach/diversion.ts";
import { KeepaliveAttachment } from "../attach/keepalive_attachment.ts";
import { resolveValues } from "../keepalive/values.ts";
import { unifiedCgroupOf } from "../linux/proc/cgroup.ts";
import { UnsupportedError } from "../model/errors.ts";
import { explainPass, readInPass } from "../resolve/keepalive_pass.ts";
import { iterateSocketFiles } from "../resolve/socket_files.ts";
import { compileSelection } from "../select/compile_selection.ts";
import { Selector } from "../select/selector.ts";
import { limited, ok, type Verdict } from "./verdict.ts";

/** Tries it on the control group of this process, for one port. */
export function attachProgram(): Verdict {
  let attachment: KeepaliveAttachment | undefined;
  try {
    return withPair(IPPROTO_TCP, ({ client }) => {
      if (getsockopt(client, SOL_SOCKET, SO_KEEPALIVE) !== 0) return ok("works");
      return limited("a program can be attached, and the kernel does not run it");
    }, (port) => {
      const selection = compileSelection({ dst: "127.0.0.1", dport: port });
      const cgroup = unifiedCgroupOf(host.pid) ?? "/";
      const { values } = resolveValues();
      attachment = new KeepaliveAttachment(selection, [cgroup], { values, onlyMissing: false, settings: {} });
    });
  } catch (error) {
    if (!(error instanceof UnsupportedError)) throw error;
    return limited(`${error.message}; --watch does without`);
  } finally {
    attachment?.close();
  }
}

/** Has the kernel find the descriptor of a socket of this process. */
export function iterateFiles(): Verdict {
  return withPair(IPPROTO_TCP, ({ client }) => {
    try {
      const inode = statx(client).ino;
      const found = iterateSocketFiles("inode", [inode], { atLeast: Infinity, way: "bpf" }) ?? [];
      return found.some(({ fd }) => fd === client.number) ? ok("works") : limited(`it finds none; ${WITHOUT_ITERATOR}`);
    } catch (error) {
      if (!(error instanceof UnsupportedError) && !isSyscallError(error)) throw error;
      return limited(`${error.message}; ${WITHOUT_ITERATOR}`);
    }
  });
}

const WITHOUT_ITERATOR = "/proc tells it more slowly";

/** Has the kernel read the keepalive of a socket of this process. */
export function passOverSockets(): Verdict {
  return withPair(IPPROTO_TCP, ({ listed }) => {
    const connection = listed();
    if (connection === undefined) return limited("not tried: the connection to try it on was not listed");
    return withOpen(new Selector(compileSelection({ dst: "any" })), (selector) => {
      const read = readInPass([{ connection, owners: [] }], selector);
      return read.has(connection) ? ok("works") : limited(`${explainPass()}; duplicating takes CAP_SYS_PTRACE`);
    });
  });
}

/** Tries it on the control group of this process, for one port. */
export function divert(): Verdict {
  let diversion: Diversion | undefined;
  let errno = "";
  try {
    return withPair(
      IPPROTO_TCP,
      () => limited("a program can be attached, and the kernel does not run it"),
      (port) => {
        const cgroup = unifiedCgroupOf(host.pid) ?? "/";
        const selection = { dst: "127.0.0.1", dport: port, ...(cgroup === "/" ? {} : { cgroup }) };
        diversion = new Diversion(selection, compileSelection(selection), { refuse: {} });
        diversion.arm();
        errno = diversion.report().errno ?? "";
      },
    );
  } catch (error) {
    if (isSyscallError(error, "ECONNREFUSED")) return ok("works");
    if (isSyscallError(error, "EPERM") && errno === "EPERM") {
      return ok("works; connects that are refused fail with EPERM: Linux 5.18 can make that ECONNREFUSED");
    }
    if (!(error instanceof UnsupportedError)) throw error;
    return limited(error.message);
  } finally {
    diversion?.close();
  }
}
