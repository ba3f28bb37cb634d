// Programs that a test builds, static ones that call the kernel themselves.

import { Directory } from "./directory.ts";
import { run } from "./process.ts";

/** A program. Disposing of it deletes it. */
class Built extends Directory {
  readonly program = `${this.path}/program`;
}

/** Builds one of our programs with the Go compiler. */
export async function goProgram(name: string): Promise<Built> {
  const built = new Built();
  const env = { CGO_ENABLED: "0", GOCACHE: `${built.path}/cache`, GOTOOLCHAIN: "local" };
  await run(["go", "build", "-o", built.program, new URL(`programs/${name}`, import.meta.url).pathname], { env });
  return built;
}

const I386_HEADER = "7f454c46010101000000000000000000" + // ELF, 32 bits, little endian
  "02000300010000005480040834000000" + // an executable for i386, entry 0x8048054, program headers at 52
  "00000000000000003400200001000000" + "00000000" +
  "0100000000000000008004080080040822010000" + "22010000" + "07000000" + "00100000"; // load all of it, rwx

function i386(code: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.fromHex((I386_HEADER + code).replaceAll(" ", ""));
}

let canRunI386: boolean | undefined;

/** Returns whether a 32-bit program of x86 can be run, which some hypervisors forbid although the kernel could. */
export function runsI386(): boolean {
  return canRunI386 ??= triesI386();
}

function triesI386(): boolean {
  using built = new Built();
  Deno.writeFileSync(built.program, i386("b801000000 31db cd80"), { mode: 0o755 }); // exit(0)
  try {
    return new Deno.Command(built.program).outputSync().success;
  } catch {
    return false; // ENOEXEC
  }
}

/**
 * Writes an i386 program that, in a vfork(2)ed child, connects to 127.0.0.1:PORT twice, by socketcall(2) and by connect(2), and
 * exits with SO_KEEPALIVE of the first + 2 × that of the second; with the negative errno when a connect failed.
 */
export async function i386Program(port: number): Promise<Built> {
  const code = "b8be000000 cd80 85c0 0f8595000000" + // vfork; in the parent go to `parent`
    "b866000000 bb01000000 6a00 6a01 6a02 89e1 cd80 89c6" + // esi = socketcall(SYS_SOCKET, {2, 1, 0})
    "b866000000 bb03000000 6a10 6812810408 56 89e1 cd80 89c5" + // ebp = socketcall(SYS_CONNECT, {esi, address, 16})
    "e83d000000 89c7" + // edi = keepalive()
    "b867010000 bb02000000 b901000000 31d2 cd80 89c6" + // esi = socket(2, 1, 0)
    "b86a010000 89f3 b912810408 ba10000000 cd80 09c5" + // ebp |= connect(esi, address, 16)
    "e80c000000 8d1c47 09eb b801000000 cd80" + // exit(edi + 2 * keepalive() | ebp)
    "57 56 6a04 6a00 89e0 89f3 89c6 8d7804 b901000000 ba09000000" + // keepalive: getsockopt(esi, SOL_SOCKET,
    "b86d010000 cd80 58 59 5e 5f c3" + // SO_KEEPALIVE, …) on the stack, and its value
    "6a00 89c3 89e1 31d2 b807000000 cd80 5b c1eb08 b801000000 cd80" + // parent: exit with what waitpid says
    "0200" + port.toString(16).padStart(4, "0") + "7f000001 0000000000000000"; // address: struct sockaddr_in
  const built = new Built();
  await Deno.writeFile(built.program, i386(code), { mode: 0o755 });
  return built;
}
