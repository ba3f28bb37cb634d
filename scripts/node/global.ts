// For `node --import`, after register.ts: gives tests a `Deno`. The program itself is run without it.

import { deno } from "./deno.ts";

Object.assign(globalThis, { Deno: deno });
