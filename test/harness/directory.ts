// Directories of a test's own.

/** A directory that is gone, with all that is in it, once it is disposed of. */
export class Directory implements Disposable {
  readonly path = Deno.makeTempDirSync({ prefix: "tcphup-test-" });

  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}
