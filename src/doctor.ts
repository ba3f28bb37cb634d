// What works on this host and for this user, found by doing it: with sockets of its own, on loopback.

import {
  CLONE_NEWNET,
  type Descriptor,
  type ForeignFd,
  IPPROTO_MPTCP,
  IPPROTO_TCP,
  isSyscallError,
  open,
  pidfdGetfd,
  pidfdOpen,
  setns,
  socketCookie,
  type SyscallError,
} from "../ffi/libc.ts";
import { Duplicate } from "./duplicate/duplicate.ts";
import { withPair } from "./loopback.ts";
import { formatCookie } from "./netlink/inet_diag.ts";
import { destroysOrphans, WOULD_STAY } from "./orphans.ts";
import { hasCapability, missingForGetfd, missingToLook, yamaScope } from "./owners/permission.ts";
import { areAll, processes, self } from "./owners/proc.ts";
import { DescriptorTable } from "./owners/table.ts";
import { currentNetns, Selector } from "./select.ts";
import { compileSelection } from "./selection/selection.ts";
import { sockIdOf } from "./sockdiag/connection.ts";

/** One thing that was tried. */
export interface Finding {
  /** What was tried. */
  name: string;
  /** `ok`; `limited` where a part of a command does not work; `missing` where it cannot do what the command is for. */
  status: "ok" | "limited" | "missing";
  /** What was seen, and what would help. */
  detail: string;
  /** The commands and flags that need it. */
  affects: string[];
}

/** All that was tried. */
export interface Health {
  /** Whether connections can be hung up on at all. */
  ok: boolean;
  /** One for each thing that was tried. */
  findings: Finding[];
}

type Verdict = Pick<Finding, "status" | "detail">;

const ok = (detail: string): Verdict => ({ status: "ok", detail });
const limited = (detail: string): Verdict => ({ status: "limited", detail });
const missing = (detail: string): Verdict => ({ status: "missing", detail });

/** Tries everything that tcphup's commands rest on. It opens a few connections of its own on loopback, and no others. */
export function doctor(): Health {
  const everything = ["hup", "ls"];
  const findings: Finding[] = [
    find("sock_diag: list TCP sockets", everything, listsTcp),
    find("sock_diag: list MPTCP connections", ["hup", "ls"], listsMptcp),
    find("/proc: find who holds a socket", everything, readsProc),
    find("pidfd_getfd: duplicate a descriptor", ["hup"], duplicates),
    find("pidfd_getfd: of other users' processes", ["hup"], duplicatesOthers),
    find("shutdown: hang up", ["hup"], hangsUp),
    find("SOCK_DESTROY: abort any connection", ["hup --destroy", "hup --destroy-after"], destroys),
    find("SOCK_DESTROY: abort what a program has closed", ["hup --destroy", "hup --destroy-after"], destroysClosed),
    find("connect(AF_UNSPEC): abort through a duplicate", ["hup --destroy", "hup --destroy-after"], aborts),
    find("setns: enter other network namespaces", ["--netns"], entersNamespaces),
  ];
  return { ok: findings.every(({ status }) => status !== "missing"), findings };
}

function find(name: string, affects: string[], probe: () => Verdict): Finding {
  try {
    return { name, ...probe(), affects };
  } catch (error) {
    return { name, ...missing((error as Error).message), affects };
  }
}

function listsTcp(): Verdict {
  return withPair(IPPROTO_TCP, ({ client, listed }) => {
    if (listed()?.cookie === socketCookie(client, formatCookie)) return ok("works");
    return missing("the kernel did not list a connection that was just opened");
  });
}

function listsMptcp(): Verdict {
  try {
    return withPair(IPPROTO_MPTCP, ({ listed }) => {
      if (listed()?.protocol === "mptcp") return ok("works");
      return limited("MPTCP connections are seen as their TCP subflows only: needs CONFIG_INET_MPTCP_DIAG");
    });
  } catch (error) {
    if (!isSyscallError(error, "EPROTONOSUPPORT", "ENOPROTOOPT", "EINVAL")) throw error;
    return ok("this kernel, or net.mptcp.enabled, has MPTCP off: there are no such connections");
  }
}

function readsProc(): Verdict {
  const pids = processes();
  const need = missingToLook() ?? "forbidden by a security module, or by their user namespaces";
  if (!areAll(pids)) return limited(`the processes of other users are hidden (hidepid): ${need}`);
  const tables = pids.map((pid) => DescriptorTable.open(pid)).filter((table) => table !== null);
  const unreadable = tables.filter(isUnreadable).length;
  if (unreadable === 0) return ok(`all ${tables.length} processes can be looked into`);
  return limited(`${unreadable} of ${tables.length} processes cannot be looked into: ${need}`);
}

/** Whether what the descriptors lead to is hidden: that there are some may be seen all the same. */
function isUnreadable(table: DescriptorTable | "unreadable"): boolean {
  if (table === "unreadable") return true;
  if (!table.exhausted) table.readBlock(() => false);
  return table.denied;
}

/** A duplicate of one of our own sockets, taken the way that another process's would be. */
function duplicateOf(client: Descriptor): Duplicate {
  const pidfd = pidfdOpen(self());
  try {
    return new Duplicate(pidfdGetfd(pidfd, client.number as ForeignFd), "tcp");
  } finally {
    pidfd.close();
  }
}

function duplicates(): Verdict {
  return withPair(IPPROTO_TCP, ({ client }) => {
    try {
      duplicateOf(client).close();
      return ok("works");
    } catch (error) {
      if (!isSyscallError(error, "ENOSYS", "EPERM")) throw error;
      return missing(
        `${error.message}: needs Linux 5.6, and a seccomp profile that allows it (CAP_SYS_PTRACE in containers)`,
      );
    }
  });
}

function duplicatesOthers(): Verdict {
  const scope = yamaScope();
  if (scope === 3) return limited(missingForGetfd());
  if (hasCapability("CAP_SYS_PTRACE")) return ok("CAP_SYS_PTRACE is there");
  const own = scope === 0
    ? "own processes"
    : scope === 1
    ? "own descendants (kernel.yama.ptrace_scope is 1)"
    : "nothing";
  return limited(`reaches ${own} only: needs CAP_SYS_PTRACE, run it as root`);
}

function hangsUp(): Verdict {
  return withPair(IPPROTO_TCP, ({ client }) => {
    const duplicate = duplicateOf(client);
    try {
      return duplicate.hangUp({ linger_ms: 1000 }) ? ok("works") : missing("the connection had ended by itself");
    } finally {
      duplicate.close();
    }
  });
}

function destroys(): Verdict {
  return withPair(IPPROTO_TCP, ({ listed }) => {
    const connection = listed();
    if (connection === undefined) return limited("not tried: the connection to try it on was not listed");
    const selector = new Selector(compileSelection({ dst: "any" }));
    try {
      selector.diagOf(connection).destroy(IPPROTO_TCP, sockIdOf(connection));
      return ok("works");
    } catch (error) {
      if (!isSyscallError(error, "EPERM", "EOPNOTSUPP")) throw error;
      return limited(`${destroyNeeds(error)}; where a process holds the connection, it is aborted through a duplicate`);
    } finally {
      selector.close();
    }
  });
}

function destroysClosed(): Verdict {
  try {
    return destroysOrphans() ? ok("works") : limited(`${WOULD_STAY}, so it is left to its timers`);
  } catch (error) {
    if (!isSyscallError(error, "EPERM", "EOPNOTSUPP")) throw error;
    return limited(destroyNeeds(error));
  }
}

function destroyNeeds({ code }: SyscallError): string {
  return code === "EPERM" ? "needs CAP_NET_ADMIN" : "needs a kernel with CONFIG_INET_DIAG_DESTROY";
}

function aborts(): Verdict {
  return withPair(IPPROTO_TCP, ({ client }) => {
    const duplicate = duplicateOf(client);
    try {
      duplicate.abort();
      return ok("works");
    } catch (error) {
      if (!isSyscallError(error)) throw error;
      return limited(error.message);
    } finally {
      duplicate.close();
    }
  });
}

function entersNamespaces(): Verdict {
  const namespace = open(null, "/proc/thread-self/ns/net");
  try {
    setns(namespace, CLONE_NEWNET);
    return ok(`works; this one is ${currentNetns()}`);
  } catch (error) {
    if (!isSyscallError(error, "EPERM")) throw error;
    return limited("only this namespace: needs CAP_SYS_ADMIN");
  } finally {
    namespace.close();
  }
}
