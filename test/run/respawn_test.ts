// The shell beside a command, with a supervisor of the test's own.

import { assert, assertEquals } from "@std/assert";
import { pidfdOpen } from "../../ffi/pidfd.ts";
import type { Descriptor } from "../../ffi/descriptor.ts";
import { receive, setReceiveTimeout, socketpair } from "../../ffi/unix.ts";
import { startRespawning } from "../../src/run/respawn.ts";
import { eventually } from "../harness/process.ts";

/** What a test does with a shell and a supervisor, which is a script that writes a line to $LOG each time it starts. */
interface Kept {
  readonly command: Deno.ChildProcess;
  /** tcphup's end of the pair. */
  readonly socket: Descriptor;
  readonly starts: () => number;
}

/** Runs `body` beside a command that sleeps, kept by a supervisor that ends as `script` says. */
async function withKeeper(script: string, body: (kept: Kept) => Promise<void> | void): Promise<void> {
  const log = await Deno.makeTempFile({ prefix: "tcphup-test-" });
  const command = new Deno.Command("sleep", { args: ["1000"] }).spawn();
  const [socket, handoverSocket] = socketpair();
  const pidfd = pidfdOpen(command.pid);
  try {
    startRespawning({
      supervisor: ["/bin/sh", "-c", `LOG=${log}; echo start >>$LOG; ${script}`],
      environment: [],
      handoverSocket,
      command: pidfd,
      stderr: "none",
    });
    handoverSocket.close();
    await body({ command, socket, starts: () => Deno.readTextFileSync(log).split("\n").length - 1 });
  } finally {
    for (const descriptor of [socket, handoverSocket, pidfd]) descriptor.close();
    try {
      command.kill("SIGKILL");
    } catch {
      // The shell has done so.
    }
    await command.status;
    await Deno.remove(log);
  }
}

for (const status of [1, 101, 128, 137, 255]) {
  Deno.test(`startRespawning: a supervisor that ends with ${status} while the command runs is started anew`, async () => {
    // Which of them it is the log tells, of which each start is a line.
    const script = `[ $(wc -l <"$LOG") -gt 2 ] || exit ${status}`;
    await withKeeper(script, async ({ socket, starts }) => {
      socket.close();
      await eventually("a third start", () => starts() === 3);
    });
  });
}

for (const [status, what] of [[0, "that has finished"], [140, "for which there is another"]] as const) {
  Deno.test(`startRespawning: a supervisor ${what} is not started anew`, async () => {
    await withKeeper(`exit ${status}`, ({ socket, starts }) => {
      // The shell holds the other end until it ends.
      setReceiveTimeout(socket, 30);
      assertEquals(receive(socket), null);
      assertEquals(starts(), 1);
    });
  });
}

Deno.test("startRespawning: who waits for the first supervisor is told how it has ended", async () => {
  await withKeeper("exit 159", async ({ command, socket, starts }) => {
    setReceiveTimeout(socket, 30);
    assertEquals(receive(socket)?.text, "ended 159\n");
    command.kill("SIGKILL");
    await command.status;
    // Nothing waits any more for a supervisor.
    while (receive(socket) !== null);
    assert(starts() <= 3, String(starts()));
  });
});

Deno.test("startRespawning: a command whose supervisor ends again and again is killed", async () => {
  await withKeeper("exit 1", async ({ command, socket, starts }) => {
    socket.close();
    assertEquals((await command.status).signal, "SIGKILL");
    assertEquals(starts(), 16);
  });
});
