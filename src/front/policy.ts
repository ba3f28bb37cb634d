// Whether this process may load programs (BPF) for what can be done without them.

let isForbidden = false;

/** Has everything done without BPF from now on that can be. */
export function avoidBpf(): void {
  isForbidden = true;
}

/** Returns whether BPF is to be avoided. */
export function avoidsBpf(): boolean {
  return isForbidden;
}
