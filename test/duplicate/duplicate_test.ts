// Duplicates of descriptors, on sockets and processes of the tests' own.

import { assert, assertEquals } from "@std/assert";
import {
  accept,
  AF_INET,
  bind,
  connect,
  type Descriptor,
  getsockname,
  listen,
  recv,
  send,
  SOCK_STREAM,
  socket,
} from "../../ffi/libc.ts";
import { ipv4 } from "../../src/address.ts";
import type { Connection } from "../../src/connection.ts";
import { Duplicate, Processes } from "../../src/duplicate/duplicate.ts";
import { encodeSockaddr, sockaddrPort } from "../../src/netlink/sockaddr.ts";
import { eventually } from "../harness/process.ts";

const LOOPBACK = ipv4(0x7f000001);
const MANNER = { linger_ms: 5000 };
const IDLE_MS = 50;

/** A connection on loopback: its client's end and its server's. */
function pair(): [Descriptor, Descriptor] {
  const listener = socket(AF_INET, SOCK_STREAM, 0);
  bind(listener, encodeSockaddr(LOOPBACK, 0));
  listen(listener, 1);
  const client = socket(AF_INET, SOCK_STREAM, 0);
  connect(client, encodeSockaddr(LOOPBACK, sockaddrPort(getsockname(listener))));
  const server = accept(listener);
  listener.close();
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
  assertEquals(new Duplicate(client, "tcp").hangUpIfIdle(IDLE_MS, MANNER), "hung-up");
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
  assertEquals(attempt(), "hung-up");
  for (const end of [client, server]) end.close();
});

Deno.test("sending alone is shut down when no more is asked for", async () => {
  const [client, server] = pair();
  await pause();
  assertEquals(new Duplicate(client, "tcp").hangUpIfIdle(IDLE_MS, { ...MANNER, fin_only: true }), "hung-up");
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
  const processes = new Processes(() => null);
  const connection = { protocol: "tcp", cookie: "c0ffee" } as Connection;
  const duplicate = () => processes.duplicate(connection, { pid: child.pid, fd: 0 });
  const before = openDescriptors(child.pid);
  assertEquals(duplicate(), null);
  const opened = [...openDescriptors(child.pid)].filter(([number]) => !before.has(number));
  assertEquals(opened.map(([, what]) => what), ["process"]);
  child.kill("SIGKILL");
  await child.status;
  assertEquals(duplicate(), null);
  assert(!openDescriptors(child.pid).has(opened[0][0]), "not even that");
  processes.close();
});
