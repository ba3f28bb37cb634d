// The probes of `doctor`. Each uses sockets of its own over loopback.

import { withOpen } from "../../ffi/closing.ts";
import { host } from "../../ffi/deno.ts";
import { isSyscallError, withFallback } from "../../ffi/errno.ts";
import { pidfdGetfd, pidfdOpen } from "../../ffi/pidfd.ts";
import { IPPROTO_MPTCP, IPPROTO_TCP, socketCookie } from "../../ffi/socket.ts";
import type { Descriptor } from "../../ffi/descriptor.ts";
import { Duplicate } from "../socket/duplicate.ts";
import { withPair } from "../act/loopback_pair.ts";
import { formatCookie } from "../model/ids.ts";
import { currentNetns, inNetns, NetnsError } from "../linux/netns/enter.ts";
import { findNetns, mustExist, type Netns } from "../linux/netns/find.ts";
import { destroyOwn, destroyOwnOrphan, explainRefusal, WOULD_STAY } from "../act/sock_destroy.ts";
import { explainGetfdDenied, explainProcDenied, explainSetnsDenied, hasCapability } from "../linux/proc/permissions.ts";
import { listsAllProcesses, processes } from "../linux/proc/process.ts";
import { DescriptorTable } from "../linux/proc/fd_table.ts";
import { explainDuplicateError } from "../socket/with_duplicate.ts";
import { attachProgram, divert, iterateFiles, passOverSockets } from "./bpf_probes.ts";
import { type ForeignDescriptor, limited, missing, ok, type Probe, type Verdict } from "./verdict.ts";

/** The probes of everything that the commands of tcphup need. */
export const PROBES: readonly Probe[] = [
  probe("sock_diag: list TCP sockets", ["hup", "ls"], listTcp),
  probe("sock_diag: list MPTCP connections", ["hup", "ls"], listMptcp),
  probe("/proc: find who holds a socket", ["hup", "ls"], readProc),
  probe("pidfd_getfd: duplicate a descriptor", ["hup", "keepalive"], duplicateForeign),
  probe("pidfd_getfd: of any process", ["hup", "keepalive"], duplicateOfAny),
  probe("shutdown: hang up", ["hup"], hangUp),
  probe("SOCK_DESTROY: destroy any connection", ["hup --destroy", "hup --destroy-after"], destroyHeld),
  probe("SOCK_DESTROY: destroy what a program has closed", ["hup --destroy", "hup --destroy-after"], destroyOrphan),
  probe("connect(AF_UNSPEC): destroy through a duplicate", ["hup --destroy", "hup --destroy-after"], abortDuplicate),
  probe("BPF: set keepalive as connections are made", ["keepalive --attach"], attachProgram),
  probe("BPF: find who holds a socket", ["hup", "ls", "keepalive"], iterateFiles),
  probe("BPF: read and set keepalive in one pass", ["keepalive", "ls --keepalive"], passOverSockets),
  probe("BPF: refuse or redirect connect(2)", ["hup --refuse", "hup --redirect"], divert),
  probe("setns: enter other network namespaces", ["--netns"], enterNamespaces),
];

function probe(name: string, affects: string[], run: Probe["run"]): Probe {
  return { name, affects, run };
}

function listTcp(): Verdict {
  return withPair(IPPROTO_TCP, ({ client, listed }) => {
    if (listed()?.cookie === socketCookie(client, formatCookie)) return ok("works");
    return missing("the kernel did not list a connection that was just opened");
  });
}

function listMptcp(): Verdict {
  const list = () =>
    withPair(IPPROTO_MPTCP, ({ listed }) => {
      if (listed()?.protocol === "mptcp") return ok("works");
      return limited("MPTCP connections are seen as their TCP subflows only: needs CONFIG_INET_MPTCP_DIAG");
    });
  const none = ok("this kernel, or net.mptcp.enabled, has MPTCP off: there are no such connections");
  return withFallback(none, list, "EPROTONOSUPPORT", "ENOPROTOOPT", "EINVAL");
}

function readProc(): Verdict {
  const pids = processes();
  const need = explainProcDenied() ?? "forbidden by a security module, or by their user namespaces";
  if (!listsAllProcesses(pids)) return limited(`the processes of other users are hidden (hidepid): ${need}`);
  const tables = pids.map((pid) => DescriptorTable.open(pid)).filter((table) => table !== null);
  const unreadable = tables.filter(isUnreadable).length;
  if (unreadable === 0) return ok(`all ${tables.length} processes can be looked into`);
  return limited(`${unreadable} of ${tables.length} processes cannot be looked into: ${need}`);
}

/** Tells whether the targets of a process's descriptors are hidden. Their numbers may be visible all the same. */
function isUnreadable(table: DescriptorTable | "unreadable"): boolean {
  if (table === "unreadable") return true;
  if (!table.exhausted) table.readBlock(() => {});
  return table.unreadable;
}

/** Duplicates a socket of this process in the way used for sockets of other processes. */
function duplicateOf(client: Descriptor): Duplicate {
  return new Duplicate(duplicate(host.pid, client.number), "tcp");
}

function duplicate(pid: number, fd: number): Descriptor {
  return withOpen(pidfdOpen(pid), (pidfd) => pidfdGetfd(pidfd, fd));
}

function duplicateForeign(foreign: ForeignDescriptor | null): Verdict {
  try {
    if (foreign !== null) duplicate(foreign.pid, foreign.fd).close();
    else withPair(IPPROTO_TCP, ({ client }) => duplicateOf(client).close());
  } catch (error) {
    if (!isSyscallError(error)) throw error;
    return missing(`${error.message}: ${explainDuplicateError(error).message}`);
  }
  return foreign ? ok("works") : limited("tried on this process alone, which is always allowed to");
}

/**
 * A number that no descriptor has. Duplicating it fails with EBADF when this user may access the process, else with
 * EPERM.
 */
const NO_FD = 0x7fffffff;

function duplicateOfAny(): Verdict {
  const pids = processes();
  const denied = pids.filter(isDenied).length;
  if (denied === 0) return ok(`works for all ${pids.length} processes`);
  return limited(`denied for ${denied} of ${pids.length} processes: ${explainGetfdDenied()}`);
}

function isDenied(pid: number): boolean {
  try {
    duplicate(pid, NO_FD).close();
    return false;
  } catch (error) {
    if (!isSyscallError(error)) throw error;
    return ["EPERM", "EACCES", "ENOSYS"].includes(error.code);
  }
}

function hangUp(): Verdict {
  return withPair(IPPROTO_TCP, ({ client }) => {
    const result = withOpen(duplicateOf(client), (duplicate) => duplicate.hangUp({ lingerMs: 1000 }));
    return result === "already-gone" ? missing("the connection had ended by itself") : ok("works");
  });
}

function destroyHeld(): Verdict {
  return withPair(IPPROTO_TCP, ({ listed }) => {
    const connection = listed();
    if (connection === undefined) return limited("not tried: the connection to try it on was not listed");
    try {
      destroyOwn(connection);
      return ok("works");
    } catch (error) {
      if (!isSyscallError(error, "EPERM", "EOPNOTSUPP")) throw error;
      return limited(
        `${explainRefusal(error)}; where a process holds the connection, it is destroyed through a duplicate`,
      );
    }
  });
}

function destroyOrphan(): Verdict {
  try {
    return destroyOwnOrphan() ? ok("works") : limited(`${WOULD_STAY}, so it is left to its timers`);
  } catch (error) {
    if (!isSyscallError(error, "EPERM", "EOPNOTSUPP")) throw error;
    return limited(explainRefusal(error)!);
  }
}

function abortDuplicate(): Verdict {
  return withPair(IPPROTO_TCP, ({ client }) => {
    try {
      withOpen(duplicateOf(client), (duplicate) => duplicate.abort());
      return ok("works");
    } catch (error) {
      if (!isSyscallError(error)) throw error;
      return limited(error.message);
    }
  });
}

function enterNamespaces(): Verdict {
  const found = findNetns(["all"], processes(), mustExist);
  const forbidden = found.forbidden.length + found.namespaces.filter((netns) => !mayEnter(netns)).length;
  const all = found.namespaces.length + found.forbidden.length;
  if (forbidden > 0) return limited(`${forbidden} of ${all} cannot be entered: ${explainSetnsDenied()}`);
  if (all > 1) return ok(`works for all ${all}; this one is ${currentNetns()}`);
  if (hasCapability("CAP_SYS_ADMIN")) return ok(`there is none but this one, ${currentNetns()}`);
  return limited(`there is none but this one to try it on: ${explainSetnsDenied()}`);
}

/** Tells whether the namespace can be entered, or has gone. */
function mayEnter(netns: Netns): boolean {
  try {
    return inNetns(netns, () => true);
  } catch (error) {
    if (error instanceof NetnsError) return error.reason !== "forbidden";
    throw error;
  }
}
