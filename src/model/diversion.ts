// What is said of programs that refuse connect(2), or have it go elsewhere.

/** The calls of connect(2) to one destination that were refused, or that went elsewhere. */
export interface ConnectCount {
  /** The address that was called for, in its usual form. */
  readonly address: string;
  /** The port that was called for. */
  readonly port: number;
  /** Number of calls. */
  readonly count: number;
  /** The time of the last one as ISO 8601 has it, to some 10 ms. */
  readonly lastAt: string;
}

/** What is in force for connect(2). */
export interface DiversionRule {
  /** What becomes of the calls. */
  readonly op: "refuse" | "redirect";
  /** Where they go instead: addresses, with a port where that changes too. Empty for `refuse`. */
  readonly to: readonly string[];
  /** The error with which they fail, `EPERM` before Linux 5.18; null for `redirect`. */
  readonly errno: "ECONNREFUSED" | "EPERM" | null;
  /** The paths of the control groups whose programs are concerned, from the root of cgroup v2. */
  readonly cgroups: readonly string[];
  /** The time when it began, as ISO 8601 has it. */
  readonly since: string;
}

/** What was in force for connect(2), and what came of it. */
export interface DiversionReport extends DiversionRule {
  /** The name under which it is pinned; null when it ends with the command. */
  readonly pin: string | null;
  /**
   * `true` when it was in force to the end of the command: not in a dry run, nor where a guard has refused, nor when its
   * control group has gone.
   */
  readonly inForce: boolean;
  /** Number of calls that were refused, or went elsewhere. */
  readonly count: number;
  /** The time of the last one, as ISO 8601 has it; null when there was none. */
  readonly lastAt: string | null;
  /** Those calls by the destination that was called for, the most frequent first. */
  readonly connects: readonly ConnectCount[];
}
