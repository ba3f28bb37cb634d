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

/** This process's descriptors of processes and of /dev/null, by number: others come and go as the runtime likes. */
function openDescriptors(): Map<string, string> {
  const descriptors = new Map<string, string>();
  for (const { name } of Deno.readDirSync("/proc/self/fd")) {
    try {
      const target = Deno.readLinkSync(`/proc/self/fd/${name}`);
      if (target === "/dev/null" || target === "anon_inode:[pidfd]") descriptors.set(name, target);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return descriptors;
}

Deno.test("what is not the connection is closed again, and so is a process that has gone", async () => {
  const child = new Deno.Command("sleep", { args: ["3600"], stdin: "null" }).spawn();
  const processes = new Processes();
  const connection = { protocol: "tcp", cookie: "c0ffee" } as Connection;
  const duplicate = () => processes.duplicate(connection, { pid: child.pid, fd: 0 });
  const before = openDescriptors();
  assertEquals(duplicate(), null);
  const opened = [...openDescriptors()].filter(([number]) => !before.has(number));
  assertEquals(opened.map(([, target]) => target), ["anon_inode:[pidfd]"], "the process alone");
  child.kill("SIGKILL");
  await child.status;
  assertEquals(duplicate(), null);
  assert(!openDescriptors().has(opened[0][0]), "not even that");
  processes.close();
});
