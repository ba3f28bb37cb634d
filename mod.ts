/**
 * Hang up on TCP connections from outside the programs that hold them.
 *
 * {@link listConnections} says which connections there are and who holds them; {@link hangUp} ends them as if the applications had
 * closed them themselves: the peer is sent a FIN, the application reads end-of-file. {@link setKeepalive} and
 * {@link watchKeepalive} set keepalive on them instead, and {@link planKeepalive} says what that costs. {@link checkHost} says what
 * works on this host. Linux ≥ 5.10 with glibc; with Deno, `--allow-ffi`.
 *
 * Times in milliseconds have names that end in `Ms`, times in seconds names that end in `S`. Nothing that a function
 * returns has to be closed.
 *
 * **Errors.** A wrong option or selection is a {@link UsageError}, with a `code`, before anything is touched. A kernel that
 * lacks something is an {@link UnsupportedError}, a call that failed a {@link SyscallError}, a libc that cannot be loaded a
 * {@link LibcUnavailableError}. Functions that return a promise reject it, the others throw. What becomes of a single
 * connection is no error: the report says it.
 *
 * **Aborting.** A function that takes a `signal` ends between two connections when it is aborted. Its promise resolves,
 * and the report has `interrupted` set. It does not reject with an `AbortError`, since what was done has to be reported.
 *
 * **Blocking.** System calls are synchronous. Listing sockets and reading in /proc who holds them block the event loop:
 * together for some 0.1 s with 1,000 connections and some 0.4 s with 10,000, on a small virtual machine. A dry run and a
 * list read every descriptor of every process, which takes some 1 s with 20,000 of them. All other work on connections
 * lets the event loop have its turn every 0.1 s. A program that cannot wait so long calls the functions in a worker.
 *
 * @module
 */

export { listConnections, type ListConnectionsOptions, type Listing, type NetnsSysctls } from "./src/list.ts";
export type { Group, Summary, Totals } from "./src/report/summary.ts";
export { hangUp } from "./src/hang_up.ts";
export { DEFAULT_LINGER_MS, type HangUpOptions, type Progress, type WhenIdle } from "./src/act/hang_up_options.ts";
export type { Pacing } from "./src/act/pacing.ts";
export { setKeepalive, watchKeepalive } from "./src/set_keepalive.ts";
export { ATTACHED_EVERY_MS, DEFAULT_EVERY_MS, type SetKeepaliveOptions } from "./src/keepalive/set_options.ts";
export type { WatchKeepaliveOptions, WatchMeans } from "./src/keepalive/set_options.ts";
export type { DestinationCount } from "./src/model/destination_count.ts";
export { type FollowEvent, followName } from "./src/follow.ts";
export { FOLLOW_DEFAULTS, type FollowOptions } from "./src/follow/follow_options.ts";
export { EMIT_FORMATS, type EmitFormat, emitKeepaliveConfig } from "./src/keepalive/emit.ts";
export { planKeepalive, valuesWithin } from "./src/keepalive/plan.ts";
export type { Plan, PlanKeepaliveOptions, PlanRow } from "./src/keepalive/plan.ts";
export { type GivenValues, type KeepaliveValues, SYSTEM_VALUES } from "./src/keepalive/values.ts";
export { type Detection, type KeepaliveSysctls, KERNEL_DEFAULTS, readSysctls } from "./src/keepalive/detection.ts";
export { checkHost, type CheckHostOptions, type Finding, type Health } from "./src/doctor/check_host.ts";
export type { HangUpReport, KeepaliveReport, Phases, Report } from "./src/report/report.ts";
export type { ConnectCount, DiversionReport, DiversionRule } from "./src/model/diversion.ts";
export type { Connection, Endpoint, Info, Keepalive, Noticed, Owner, Timer } from "./src/model/connection.ts";
export type { HeldConnection, ListedConnection } from "./src/model/connection.ts";
export type { HangUpOutcome, HangUpResult, KeepaliveOutcome, KeepaliveResult } from "./src/model/result.ts";
export type { CommonOutcome, KeepaliveChange, Outcome, Reason, Reasons, Result } from "./src/model/result.ts";
export type { KeepaliveSettings, RefusedOption, Unread } from "./src/model/connection.ts";
export type { Cookie, ForeignFd, NetnsInode, SocketInode } from "./src/model/ids.ts";
export type { TcpInfo } from "./src/model/connection.ts";
export { type State, STATES } from "./src/model/tcp_states.ts";
export type { Criteria, OneOrMore, Selection } from "./src/select/selection.ts";
export type { IpVersion } from "./src/select/destination.ts";
export { UnsupportedError, UsageError, type UsageErrorCode } from "./src/model/errors.ts";
export { LibcUnavailableError } from "./ffi/native.ts";
export { SyscallError } from "./ffi/errno.ts";
