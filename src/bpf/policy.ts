// Whether programs may be loaded for what can be done without.

let isForbidden = false;

/** Has everything done without BPF from now on that can be. */
export function avoidBpf(): void {
  isForbidden = true;
}

/** Returns whether BPF is to be avoided. */
export function avoidsBpf(): boolean {
  return isForbidden;
}
