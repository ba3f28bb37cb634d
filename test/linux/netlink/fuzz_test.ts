// The decoders on recorded messages that were damaged: see ./fuzz.ts.

import { Random } from "../../select/random.ts";
import { fuzzRtnetlink, fuzzSockDiag, fuzzStructs } from "./fuzz.ts";

const ROUNDS = 20_000;

Deno.test("sock_diag: damaged datagrams are garbled, or rows that are within them", () => {
  fuzzSockDiag(new Random(23), ROUNDS);
});

Deno.test("rtnetlink: damaged addresses and routes are garbled, or prefixes within 128 bits", () => {
  fuzzRtnetlink(new Random(23), ROUNDS);
});

Deno.test("what socket options and calls return, damaged, is read as far as it goes", () => {
  fuzzStructs(new Random(23), ROUNDS);
});
