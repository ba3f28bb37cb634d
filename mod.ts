/**
 * Hang up on TCP connections from outside the programs that hold them.
 *
 * {@link listConnections} says which connections there are and who holds them; {@link hangUp} ends them as if the applications had
 * closed them themselves: the peer is sent a FIN, the application reads end-of-file. {@link setKeepalive} and
 * {@link watchKeepalive} set keepalive on them instead, and {@link planKeepalive} says what that costs. {@link checkHost} says what
 * works on this host. Linux ≥ 5.10 with glibc; with Deno, `--allow-ffi`.
 *
 * @module
 */

export { listConnections, type ListConnectionsOptions, type Listing, type NetnsSysctls } from "./src/list.ts";
export type { Group, Summary, Totals } from "./src/report/summary.ts";
export { hangUp } from "./src/hang_up.ts";
export { DEFAULT_LINGER_MS, type HangUpOptions, type Progress } from "./src/act/hang_up_options.ts";
export type { WhenIdle } from "./src/act/cut_options.ts";
export type { Pacing } from "./src/act/pacing.ts";
export { type KeepaliveReport, setKeepalive, watchKeepalive } from "./src/set_keepalive.ts";
export { DEFAULT_EVERY_MS, type SetKeepaliveOptions, type WatchKeepaliveOptions } from "./src/keepalive/set_options.ts";
export {
  EMIT_FORMATS,
  type EmitFormat,
  emitKeepaliveConfig,
  type Plan,
  planKeepalive,
  type PlanKeepaliveOptions,
  type PlanRow,
  valuesWithin,
} from "./src/plan.ts";
export { type GivenValues, type KeepaliveValues, SYSTEM_VALUES } from "./src/keepalive/values.ts";
export { type Detection, type KeepaliveSysctls, KERNEL_DEFAULTS, readSysctls } from "./src/keepalive/detection.ts";
export { checkHost, type CheckHostOptions, type Finding, type Health } from "./src/doctor.ts";
export type { HangUpReport, Phases } from "./src/report/report.ts";
export type { Connection, Endpoint, Info, Keepalive, Noticed, Outcome, Owner, Timer } from "./src/model/connection.ts";
export type { KeepaliveSettings, RefusedOption, Unread } from "./src/model/connection.ts";
export type { TcpInfo } from "./src/model/connection.ts";
export { type State, STATES } from "./src/model/tcp_states.ts";
export type { Criteria, OneOrMore, Selection } from "./src/select/criteria.ts";
export type { IpVersion } from "./src/select/destination.ts";
export { UnsupportedError, UsageError, type UsageErrorCode } from "./src/model/errors.ts";
export { LibcUnavailableError } from "./ffi/native.ts";
export { SyscallError } from "./ffi/errno.ts";
