// A control group of the command's own, to which a BPF program is attached that sets the values on its sockets. The kernel
// then does what a supervisor would do.
//
// The group is made inside of that of this process, which moves into it and becomes the command. The program stays attached
// as long as the group exists. When tcphup is killed meanwhile, an empty group stays, at most. The next start removes it.

import { BPF_CGROUP_SOCK_OPS } from "../../ffi/bpf.ts";
import { withOpen } from "../../ffi/closing.ts";
import type { Descriptor } from "../../ffi/descriptor.ts";
import { attempt, isSyscallError } from "../../ffi/errno.ts";
import { readDirectory } from "../../ffi/files.ts";
import { makeDirectory, O_RDWR, open, removeDirectory, write, xattrLength } from "../../ffi/fs.ts";
import {
  AF_INET,
  bind,
  connect,
  getsockname,
  getsockopt,
  IPPROTO_TCP,
  listen,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  socket,
} from "../../ffi/socket.ts";
import { apply } from "../socket/keepalive_options.ts";
import { attachToCgroup, loadProgram } from "../bpf/cgroup_link.ts";
import { emitAlways } from "../bpf/conditions.ts";
import { withOptionalBpf } from "../bpf/explain.ts";
import { compileSockOps, rankOfDepth, sockOpsProgram } from "../bpf/sock_ops.ts";
import { type Step, steps } from "../keepalive/socket_options.ts";
import type { KeepaliveValues } from "../keepalive/values.ts";
import { encodeSockaddr, sockaddrPort } from "../linux/netlink/sockaddr.ts";
import { ownCgroup, type UnifiedCgroup, unifiedCgroupOf } from "../linux/proc/cgroup.ts";
import { hasSeccompFilter } from "../linux/proc/permissions.ts";
import { readFile, readStat, self } from "../linux/proc/process.ts";
import { LOOPBACK } from "../model/address.ts";
import { UnsupportedError } from "../model/errors.ts";

/** A control group of tcphup's, and the process that made it. */
const NAME = /^tcphup-run-(\d+)-\d+$/;

/** The control group that this process has moved into. */
export class OwnCgroup {
  /** Its path from the root of the hierarchy. */
  readonly path: string;
  readonly #directory: string;
  readonly #outer: UnifiedCgroup;

  private constructor(outer: UnifiedCgroup) {
    // Another process of this number may be gone, and its descendants still be in its group.
    const name = `tcphup-run-${self()}-${Date.now()}`;
    this.path = `${outer.path === "/" ? "" : outer.path}/${name}`;
    this.#directory = `${outer.directory}/${name}`;
    this.#outer = outer;
  }

  /**
   * Makes a control group whose TCP sockets get the values at connect(2) and at listen(2), and moves this process into it.
   *
   * @throws {UnsupportedError} When that cannot be done here, or the command might find other limits there. Nothing is left
   * then.
   */
  static enter(values: KeepaliveValues): OwnCgroup {
    if (values.deferAcceptS !== 0) throw new UnsupportedError("a BPF program cannot set TCP_DEFER_ACCEPT");
    if (hasSeccompFilter()) {
      throw new UnsupportedError("a seccomp filter is in force here, which might kill who calls bpf(2)");
    }
    try {
      const outer = ownCgroup();
      if (outer === null) throw new UnsupportedError("cgroup v2 is not mounted here");
      requireSameConditions(outer);
      return withOptionalBpf(() => this.#enter(outer, values), ["CAP_BPF", "CAP_NET_ADMIN"]);
    } catch (error) {
      if (!isSyscallError(error)) throw error;
      if (["ENETUNREACH", "EADDRNOTAVAIL"].includes(error.code)) {
        throw new UnsupportedError("loopback is down, so that nothing could be tried");
      }
      throw new UnsupportedError(`a control group of its own cannot be had: ${error.message}`);
    }
  }

  static #enter(outer: UnifiedCgroup, values: KeepaliveValues): OwnCgroup {
    const cgroup = new OwnCgroup(outer);
    const program = loadProgram(sockOpsProgram(compileSockOps({
      connecting: steps(values, "connect"),
      listening: steps(values, "listen"),
      accepted: null,
      onlyMissing: false,
      rank: rankOfDepth(cgroup.path.split("/").length - 1),
      chooses: emitAlways(true),
      goesByAddress: false,
      counters: null,
    })));
    try {
      removeAbandoned(outer.directory);
      makeDirectory(cgroup.#directory, 0o755);
      if (!attachToCgroup(program, cgroup.#directory, outer.directory, BPF_CGROUP_SOCK_OPS)) {
        throw new UnsupportedError("a BPF program on an outer control group would give way to that of tcphup");
      }
      moveInto(cgroup.#directory);
      requireSet(values);
      return cgroup;
    } catch (error) {
      cgroup.leave();
      throw error;
    } finally {
      program.close();
    }
  }

  /** Moves this process back, and removes the control group. */
  leave(): void {
    // What fails is left to the next start.
    attempt(() => moveInto(this.#outer.directory));
    attempt(() => removeDirectory(this.#directory));
  }
}

/**
 * Moves this process out of the control groups of outer runs, whose programs would set their values after a supervisor has
 * set others.
 *
 * @returns `false` when it is still in one.
 */
export function leaveOuterRuns(): boolean {
  const names = unifiedCgroupOf(self())?.split("/") ?? [];
  const outermost = names.findIndex((name) => NAME.test(name));
  if (outermost === -1) return true;
  const cgroup = ownCgroup();
  return cgroup !== null && attempt(() => moveInto(`${cgroup.directory}${"/..".repeat(names.length - outermost)}`));
}

function moveInto(directory: string): void {
  // It stands for the process that writes it, with all of its threads.
  const writer = new TextEncoder().encode("0");
  withOpen(open(`${directory}/cgroup.procs`, O_RDWR), (members) => write(members, writer));
}

/** Removes what commands that have ended have left inside of the control group of this process. */
export function removeAbandonedCgroups(): void {
  attempt(() => removeAbandoned(ownCgroup()?.directory ?? ""));
}

/** Removes the control groups of processes that have ended, unless there are processes in them: rmdir(2) refuses that. */
function removeAbandoned(directory: string): void {
  for (const { name } of readDirectory(directory)) {
    const [, pid] = NAME.exec(name) ?? [];
    if (pid === undefined || readStat(Number(pid)) !== null) continue;
    attempt(() => removeAbandoned(`${directory}/${name}`));
    attempt(() => removeDirectory(`${directory}/${name}`));
  }
}

/** The limits that programs look for in their own control group, and not in the outer ones. */
const LIMITS = ["memory.max", "memory.high", "memory.swap.max", "cpu.max"];

/** The marks that systemd gives a control group that its processes manage: Delegate=. */
const DELEGATED = ["trusted.delegate", "user.delegate"];

/**
 * Checks that a process may as well be in a new control group inside of this one.
 *
 * @throws {UnsupportedError} When it would be limited in another way, or find no limits where it looks for them.
 */
export function requireSameConditions({ path, directory }: UnifiedCgroup): void {
  const controllers = readFile(`${directory}/cgroup.subtree_control`)?.trim();
  if (controllers) {
    throw new UnsupportedError(`the control group ${path} gives inner ones shares of their own: ${controllers}`);
  }
  for (const limit of LIMITS) {
    if (!/^(?:max\b|$)/.test(readFile(`${directory}/${limit}`) ?? "")) {
      throw new UnsupportedError(`programs look for ${limit} in their own control group, and it is set in ${path}`);
    }
  }
  if (DELEGATED.some((mark) => attempt(() => xattrLength(directory, mark)))) {
    throw new UnsupportedError(`the control group ${path} is the command's to manage (Delegate=)`);
  }
}

/** The options that a connection tells otherwise than they were set. Of a listener they are compared. */
const AGREED_ON = ["TCP_MAXSEG", "TCP_WINDOW_CLAMP"];

/**
 * Checks that new sockets of this process get the values from the kernel, as they would from a supervisor.
 *
 * @throws {UnsupportedError} When they do not, or loopback is down.
 */
function requireSet(values: KeepaliveValues): void {
  const open: Descriptor[] = [];
  const newSocket = (type = SOCK_STREAM) => {
    open.push(socket(AF_INET, type, IPPROTO_TCP));
    return open.at(-1)!;
  };
  const valuesOf = (socket: Descriptor, all: readonly Step[]) =>
    all.map(({ level, name }) => getsockopt(socket, level, name)).join();
  try {
    const listener = newSocket();
    bind(listener, encodeSockaddr(LOOPBACK, 0));
    listen(listener, 1);
    const client = newSocket(SOCK_STREAM | SOCK_NONBLOCK);
    // The socket does not wait for the peer: before connect(2) returns, the values are set.
    attempt(() => connect(client, encodeSockaddr(LOOPBACK, sockaddrPort(getsockname(listener)))), "EINPROGRESS");
    for (const [tried, phase] of [[listener, "listen"], [client, "connect"]] as const) {
      const model = newSocket();
      apply(model, values, phase);
      const compared = steps(values, phase).filter(({ option }) => phase === "listen" || !AGREED_ON.includes(option));
      if (valuesOf(tried, compared) === valuesOf(model, compared)) continue;
      throw new UnsupportedError("a BPF program was attached, and the kernel did not have it set the values");
    }
  } finally {
    // The listener first: it resets the connection that nobody has accepted.
    for (const descriptor of open) descriptor.close();
  }
}
