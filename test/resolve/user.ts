// What an unprivileged user sees, also where the tests are run by root.

const SYS_setresuid = Deno.build.arch === "x86_64" ? 117n : 147n;
const NOBODY = 65534;
const UNCHANGED = -1;

/** Calls `look` as a user other than root. */
export function asUnprivileged<T>(look: () => T): T {
  if (Deno.uid() !== 0) return look();
  become(NOBODY);
  try {
    return look();
  } finally {
    become(0);
  }
}

/** Changes the user of this thread alone: libc's own function would change that of all threads. */
function become(user: number): void {
  const { symbols } = Deno.dlopen("libc.so.6", {
    syscall: { parameters: ["i64", "i32", "i32", "i32"], result: "i32" },
  });
  if (symbols.syscall(SYS_setresuid, UNCHANGED, user, UNCHANGED) !== 0) throw new Error(`cannot become user ${user}`);
}
