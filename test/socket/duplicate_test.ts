// Duplicates of descriptors, on sockets and processes of the tests' own.

import { assert, assertEquals } from "@std/assert";
import { pidfdGetfd, pidfdOpen } from "../../ffi/pidfd.ts";
import {
  accept,
  AF_INET,
  getsockopt,
  IPPROTO_TCP,
  MSG_DONTWAIT,
  recv,
  send,
  setsockoptBytes,
  SO_LINGER,
  SOCK_STREAM,
  socket,
  SOL_SOCKET,
  TCP_USER_TIMEOUT,
} from "../../ffi/socket.ts";
import type { Descriptor } from "../../ffi/descriptor.ts";
import type { Connection } from "../../src/model/connection.ts";
import { Duplicate, PidfdCache } from "../../src/socket/duplicate.ts";
import { eventually } from "../harness/process.ts";
import { connectedTo, listener } from "../harness/sockets.ts";

const MANNER = { lingerMs: 5000 };
const IDLE_MS = 50;
const HUNG_UP = { trouble: null };

/** A connection on loopback: its client's end and its server's. */
function pair(): [Descriptor, Descriptor] {
  const listening = listener();
  const client = connectedTo(listening);
  const server = accept(listening);
  listening.close();
  return [client, server];
}

/** Longer than a connection has to be quiet, whatever the kernel's ticks. */
function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 2 * IDLE_MS));
}

const buffer = new Uint8Array(16);

Deno.test("an idle connection is hung up on, both ways", async () => {
  const [client, server] = pair();
  await pause();
  assertEquals(new Duplicate(client, "tcp").hangUpIfIdle(IDLE_MS, MANNER), HUNG_UP);
  assertEquals([recv(client, buffer, 0), recv(server, buffer, 0)], [0, 0]);
  for (const end of [client, server]) end.close();
});

Deno.test("a connection that carries something is left as it is", async () => {
  const [client, server] = pair();
  const attempt = () => new Duplicate(client, "tcp").hangUpIfIdle(IDLE_MS, MANNER);
  assert(typeof attempt() === "object", "it has just been opened");
  await pause();
  send(server, buffer);
  await pause();
  assertEquals(attempt(), { busy: "data waits to be read" });
  assertEquals(recv(client, buffer, 0), buffer.length);
  send(client, buffer);
  assertEquals(attempt(), { busy: `it carried data less than ${IDLE_MS} ms before` });
  assertEquals(recv(server, buffer, 0), buffer.length);
  await pause();
  assertEquals(attempt(), HUNG_UP);
  for (const end of [client, server]) end.close();
});

Deno.test("sending alone is shut down when no more is asked for", async () => {
  const [client, server] = pair();
  await pause();
  assertEquals(new Duplicate(client, "tcp").hangUpIfIdle(IDLE_MS, { ...MANNER, finOnly: true }), HUNG_UP);
  assertEquals(recv(server, buffer, 0), 0);
  send(server, buffer);
  assertEquals(recv(client, buffer, 0), buffer.length);
  for (const end of [client, server]) end.close();
});

const HELD = new URL(import.meta.url).pathname;

/**
 * What this process's descriptors are, of those that are of a certain process, alive or dead, or of the file that it
 * holds: those of other tests come and go meanwhile.
 */
function openDescriptors(pid: number): Map<string, "process" | "file"> {
  const descriptors = new Map<string, "process" | "file">();
  for (const { name } of Deno.readDirSync("/proc/self/fd")) {
    try {
      const [, of] = /^Pid:\s*(-?\d+)$/m.exec(Deno.readTextFileSync(`/proc/self/fdinfo/${name}`)) ?? [];
      if (of === `${pid}` || of === "-1") descriptors.set(name, "process");
      if (Deno.readLinkSync(`/proc/self/fd/${name}`) === HELD) descriptors.set(name, "file");
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return descriptors;
}

Deno.test("what is not the connection is closed again, and so is a process that has gone", async () => {
  const child = new Deno.Command("sh", { args: ["-c", 'exec sleep 3600 <"$0"', HELD], stdin: "null" }).spawn();
  await eventually("it holds the file", () => Deno.readLinkSync(`/proc/${child.pid}/fd/0`) === HELD);
  const pidfds = new PidfdCache(() => null);
  const connection = { protocol: "tcp", cookie: "c0ffee" } as Connection;
  const duplicate = () => pidfds.duplicate(connection, { pid: child.pid, fd: 0 });
  const before = openDescriptors(child.pid);
  assertEquals(duplicate(), null);
  const opened = [...openDescriptors(child.pid)].filter(([number]) => !before.has(number));
  assertEquals(opened.map(([, what]) => what), ["process"]);
  child.kill("SIGKILL");
  await child.status;
  assertEquals(duplicate(), null);
  assert(!openDescriptors(child.pid).has(opened[0]![0]), "not even that");
  pidfds.close();
});

Deno.test("what fails after the FIN is told, and the FIN is out", async () => {
  const refused = { lingerMs: -1 };
  for (const idleMs of [null, IDLE_MS]) {
    const [client, server] = pair();
    await pause();
    const duplicate = new Duplicate(client, "tcp");
    const done = idleMs === null ? duplicate.hangUp(refused) : duplicate.hangUpIfIdle(idleMs, refused);
    assertEquals(typeof done === "object" && "trouble" in done && done.trouble?.message, "setsockopt: EINVAL");
    assertEquals([recv(client, buffer, 0), recv(server, buffer, 0)], [0, 0]);
    for (const end of [client, server]) end.close();
  }
});

Deno.test("a connection that could not be hung up on keeps its user timeout", () => {
  const unconnected = socket(AF_INET, SOCK_STREAM, 0);
  assertEquals(new Duplicate(unconnected, "tcp").hangUp(MANNER), "already-gone");
  assertEquals(getsockopt(unconnected, IPPROTO_TCP, TCP_USER_TIMEOUT), 0);
  unconnected.close();
});

/** The last descriptor of a connection with SO_LINGER whose peer does not take what was sent; and the peer. */
function lingering(): [Duplicate, Descriptor] {
  const [client, server] = pair();
  setsockoptBytes(client, SOL_SOCKET, SO_LINGER, new Uint8Array(Int32Array.of(1, 3600).buffer));
  send(client, new Uint8Array(16 << 20), MSG_DONTWAIT);
  const pidfd = pidfdOpen(Deno.pid);
  const duplicate = new Duplicate(pidfdGetfd(pidfd, Number(client.number)), "tcp");
  for (const descriptor of [client, pidfd]) descriptor.close();
  return [duplicate, server];
}

Deno.test("closing the last duplicate of a connection with SO_LINGER keeps nobody waiting", async () => {
  const [hungUp, left] = [lingering(), lingering()];
  assertEquals(hungUp[0].hangUp(MANNER), HUNG_UP);
  for (const [duplicate] of [hungUp, left]) duplicate.close();
  // Which lets the thread go that closes the other one.
  for (const [, server] of [hungUp, left]) server.close();
  await pause();
});
