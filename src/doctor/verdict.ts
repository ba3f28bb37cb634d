// What a probe is, and what it finds.

/** The finding of one probe. */
export interface Finding {
  /** The name of the probe. */
  name: string;
  /** `ok`; `limited` when a part of a command does not work; `missing` when the command cannot do its work at all. */
  status: "ok" | "limited" | "missing";
  /** The observation, and the remedy. */
  detail: string;
  /** The commands and flags that depend on the probe. */
  affects: string[];
}

/** The result of a probe. */
export type Verdict = Pick<Finding, "status" | "detail">;

/** A descriptor of another process that is not a child of this one. */
export interface ForeignDescriptor {
  readonly pid: number;
  readonly fd: number;
}

/** A probe. */
export interface Probe {
  readonly name: string;
  readonly affects: string[];
  /** @param foreign A descriptor to duplicate; null when there is none. */
  run(foreign: ForeignDescriptor | null): Verdict;
}

export const ok = (detail: string): Verdict => ({ status: "ok", detail });
export const limited = (detail: string): Verdict => ({ status: "limited", detail });
export const missing = (detail: string): Verdict => ({ status: "missing", detail });
