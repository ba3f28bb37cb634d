// The names in a selection that is looked for in several network namespaces. Interfaces and port ranges are each one's
// own; hosts, services and users are looked up once, as tcphup's own namespace knows them.

import { UsageError } from "../usage_error.ts";
import type { SystemNames } from "./names.ts";

/** The index of no interface: the kernel's are positive numbers of an int. */
const NO_INTERFACE = 0xffffffff;

/** Looks names up again and again, in whichever namespace the thread is in then. */
export class NamesByNetns implements SystemNames {
  /** Whether something was asked that may have another answer in another namespace. */
  local = false;
  readonly #names: SystemNames;
  readonly #lenient: boolean;
  readonly #answers = new Map<string, unknown>();
  /** Interfaces that have not been there so far, and what is to be said of them. */
  readonly #missing = new Map<string, UsageError>();
  readonly #present = new Set<string>();

  /** @param lenient Whether an interface may be missing in one namespace, as long as another one has it. */
  constructor(names: SystemNames, lenient: boolean) {
    this.#names = names;
    this.#lenient = lenient;
  }

  addresses(host: string): ReturnType<SystemNames["addresses"]> {
    return this.#once(`host ${host}`, () => this.#names.addresses(host));
  }

  port(service: string): number {
    return this.#once(`port ${service}`, () => this.#names.port(service));
  }

  uid(user: string): number {
    return this.#once(`user ${user}`, () => this.#names.uid(user));
  }

  cgroupId(path: string): bigint {
    return this.#once(`cgroup ${path}`, () => this.#names.cgroupId(path));
  }

  localPorts(): ReturnType<SystemNames["localPorts"]> {
    this.local = true;
    return this.#names.localPorts();
  }

  interfaceIndex(name: string): number {
    this.local = true;
    try {
      const index = this.#names.interfaceIndex(name);
      this.#present.add(name);
      return index;
    } catch (error) {
      // A number is an index, which only the reader of the number knows.
      if (!this.#lenient || !(error instanceof UsageError) || /^\d+$/.test(name)) throw error;
      this.#missing.set(name, error);
      return NO_INTERFACE;
    }
  }

  /** To be called when every namespace has been asked. @throws {UsageError} For an interface that none of them has. */
  verify(): void {
    for (const [name, error] of this.#missing) {
      if (!this.#present.has(name)) throw error;
    }
  }

  #once<T>(question: string, answer: () => T): T {
    if (!this.#answers.has(question)) this.#answers.set(question, answer());
    return this.#answers.get(question) as T;
  }
}
