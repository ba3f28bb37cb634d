// For `deno test --preload` before Deno 2.8, which fails a test that leaves something open unless it is told otherwise:
// libc, once a test has loaded it, stays loaded, and programs that end with their namespace leave pipes.

const { test } = Deno;
const options = { sanitizeOps: false, sanitizeResources: false };

Object.assign(Deno, {
  test: (first: string | Deno.TestDefinition, fn: Deno.TestDefinition["fn"]) =>
    test(typeof first === "string" ? { ...options, name: first, fn } : { ...options, ...first }),
});
