// What an attached program has decided, by destination.

/** The number of connections to one destination that a program has decided about. */
export interface DestinationCount {
  /** Whether this host accepted them: then the destination is this host's end. */
  readonly accepted: boolean;
  /** The destination's address, in its usual form. */
  readonly address: string;
  /** The destination's port. */
  readonly port: number;
  /** Those on which the values were set. */
  readonly set: number;
  /** Those whose application had keepalive on, and kept it. */
  readonly kept: number;
  /** Those on which the kernel has refused an option. */
  readonly refused: number;
}
