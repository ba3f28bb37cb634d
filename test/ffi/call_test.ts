// Calls of libc, on descriptors of the test's own.

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { retryOnClobberedErrno } from "../../ffi/call.ts";
import { EAGAIN, isSyscallError, SyscallError } from "../../ffi/errno.ts";
import { shareDescriptors } from "../../ffi/process.ts";
import { countAbandonedLookups, getaddrinfo, ifNameToIndex, Lookup, LookupError } from "../../ffi/netdb.ts";
import { getdents64, O_DIRECTORY, open, read, readlinkat, statx } from "../../ffi/fs.ts";
import { pidfdOpen } from "../../ffi/pidfd.ts";
import {
  accept,
  AF_INET,
  AF_INET6,
  bind,
  connect,
  getpeername,
  getsockname,
  getsockopt,
  MSG_DONTWAIT,
  MSG_TRUNC,
  recv,
  send,
  setsockopt,
  setsockoptBytes,
  SHUT_RDWR,
  shutdown,
  SO_DOMAIN,
  SO_KEEPALIVE,
  SO_PROTOCOL,
  SO_RCVTIMEO,
  SOCK_STREAM,
  socket,
  socketCookie,
  SOL_SOCKET,
} from "../../ffi/socket.ts";
import type { Descriptor } from "../../ffi/descriptor.ts";
import { load } from "../../ffi/deno.ts";
import { functionTest, PYTHON } from "../harness/needs.ts";
import { connectedTo, listener, LOOPBACK, withDescriptors } from "../harness/sockets.ts";

const SOCK_DGRAM = 2;

function assertFails(call: () => unknown, message: string): void {
  assertEquals(assertThrows(call, SyscallError).message, message);
}

const words = (low: number, high: number) => [low, high] as const;

Deno.test("a failing call names itself and the reason", () => {
  assertFails(() => socket(AF_INET, SOCK_STREAM, 17), "socket: EPROTONOSUPPORT");
  assertFails(() => socket(9999, SOCK_STREAM, 0), "socket: EAFNOSUPPORT");
  assertFails(() => open("/no/such/file"), "openat: ENOENT");
  assertFails(() => open("/dev/null", O_DIRECTORY), "openat: ENOTDIR");
  assertFails(() => pidfdOpen(2 ** 31 - 1), "pidfd_open: ESRCH");
  withDescriptors((track) => {
    const tcp = track(socket(AF_INET, SOCK_STREAM, 0));
    assertFails(() => shutdown(tcp, SHUT_RDWR), "shutdown: ENOTCONN");
    assertFails(() => getpeername(tcp), "getpeername: ENOTCONN");
    assertFails(() => getsockopt(tcp, SOL_SOCKET, 9999), "getsockopt: ENOPROTOOPT");
    const file = track(open("/dev/null"));
    assertFails(() => socketCookie(file, words), "getsockopt: ENOTSOCK");
  });
});

/** A descriptor that was closed, and another one that was given its number. */
function closedAndReused(): [Descriptor, Descriptor] {
  for (;;) {
    const first = open("/dev/null");
    const { number } = first;
    first.close();
    const second = open("/dev/null");
    if (second.number === number) return [first, second];
    // A thread of the runtime has opened something in between.
    second.close();
  }
}

Deno.test("a closed descriptor is no descriptor, and is not closed again when its number has another owner", () => {
  const [first, second] = closedAndReused();
  withDescriptors((track) => {
    track(second);
    assertEquals(first.number, -1);
    assertFails(() => read(first, new Uint8Array(1)), "read: EBADF");
    first.close();
    first[Symbol.dispose]();
    assertEquals(read(second, new Uint8Array(1)), 0);
  });
});

Deno.test("descriptors are not inherited by programs that are started meanwhile", () => {
  withDescriptors((track) => {
    const listening = track(listener());
    const opened = [
      listening,
      track(connectedTo(listening)),
      track(accept(listening)),
      track(open("/proc", O_DIRECTORY)),
      track(pidfdOpen(Deno.pid)),
    ];
    for (const { number } of opened) {
      const [, flags = ""] = /^flags:\s*([0-7]+)$/m.exec(Deno.readTextFileSync(`/proc/self/fdinfo/${number}`))!;
      assert(parseInt(flags, 8) & 0o2000000, `descriptor ${number} has flags ${flags}`);
    }
  });
});

Deno.test("a file is read to its end, and its status is what the runtime says", () => {
  withDescriptors((track) => {
    const path = new URL(import.meta.url).pathname;
    const { ino, nlink, mode, uid, size, dev } = Deno.statSync(path);
    const device = `${dev >> 8 & 0xfff}:${dev & 0xff}`;
    const status = { ino: ino!, nlink: nlink!, mode: mode!, uid: uid!, size, dev: device };
    assertEquals(statx(null, path), status);
    const file = track(open(path));
    assertEquals(statx(file), status);
    const bytes = new Uint8Array(size + 10);
    assertEquals([read(file, bytes), read(file, bytes)], [size, 0]);
    assertEquals(bytes.subarray(0, size), Deno.readFileSync(path));
  });
});

Deno.test("a link that has gone has no target, which is no error; any other failure is", () => {
  withDescriptors((track) => {
    const directory = track(open("/proc/self/fd", O_DIRECTORY));
    const target = new Uint8Array(64);
    const path = (text: string) => new TextEncoder().encode(`${text}\0`);
    const length = readlinkat(directory, path(String(directory.number)), target, 64n);
    assertEquals(new TextDecoder().decode(target.subarray(0, length)), `/proc/${Deno.pid}/fd`);
    assertEquals(readlinkat(directory, path("999999"), target, 64n), 0);
    assertFails(() => readlinkat(track(open("/dev/null")), path("x"), target, 64n), "readlinkat: ENOTDIR");
  });
});

Deno.test("a directory's entries come until there are none", () => {
  withDescriptors((track) => {
    const directory = track(open("/proc/self/task", O_DIRECTORY));
    const buffer = new Uint8Array(4096);
    assert(getdents64(directory, buffer) > 0);
    assertEquals(getdents64(directory, buffer), 0);
    assertFails(() => getdents64(track(open("/proc", O_DIRECTORY)), buffer.subarray(0, 8)), "getdents64: EINVAL");
  });
});

Deno.test("two ends of a connection: options, names, cookies, data", () => {
  withDescriptors((track) => {
    const listening = track(listener());
    const client = track(connectedTo(listening));
    const server = track(accept(listening));
    assertEquals(getpeername(client), getsockname(listening));
    assertEquals(getpeername(server), getsockname(client));
    assertEquals([SO_DOMAIN, SO_PROTOCOL, SO_KEEPALIVE].map((option) => getsockopt(client, SOL_SOCKET, option)), [
      2,
      6,
      0,
    ]);
    setsockopt(client, SOL_SOCKET, SO_KEEPALIVE, 1);
    assertEquals(getsockopt(client, SOL_SOCKET, SO_KEEPALIVE), 1);
    const [low, high] = socketCookie(client, words);
    assertEquals(socketCookie(client, words), [low, high]);
    assert(low !== socketCookie(server, words)[0] && low >= 0 && high >= 0);

    const buffer = new Uint8Array(8);
    assertFails(() => recv(server, buffer, MSG_DONTWAIT), "recv: EAGAIN");
    assertEquals(send(client, Uint8Array.of(1, 2, 3)), 3);
    assertEquals(recv(server, buffer, 0), 3);
    assertEquals(buffer, Uint8Array.of(1, 2, 3, 0, 0, 0, 0, 0));
    shutdown(client, SHUT_RDWR);
    assertEquals(recv(server, buffer, 0), 0);
  });
});

Deno.test("MSG_TRUNC tells how long a datagram was that was cut short", () => {
  withDescriptors((track) => {
    const receiver = track(socket(AF_INET, SOCK_DGRAM, 0));
    bind(receiver, LOOPBACK);
    const sender = track(socket(AF_INET, SOCK_DGRAM, 0));
    connect(sender, getsockname(receiver));
    send(sender, new Uint8Array(100));
    assertEquals(recv(receiver, new Uint8Array(8), MSG_TRUNC), 100);
  });
});

/** Sends SIGUSR1 to one thread, five times; tgkill(2), since kill(2) leaves the choice of thread to the kernel. */
const SIGNAL_THREAD = `
import ctypes, sys, time
for _ in range(5):
    time.sleep(0.05)
    ctypes.CDLL(None).tgkill(int(sys.argv[1]), int(sys.argv[2]), 10)
`;

functionTest("a signal that comes while a call waits does not end the call", ["python3"], async () => {
  let signals = 0;
  const count = () => void signals++;
  Deno.addSignalListener("SIGUSR1", count);
  const [pid = "", , tid = ""] = Deno.readLinkSync("/proc/thread-self").split("/");
  const child = new Deno.Command(PYTHON, { args: ["-c", SIGNAL_THREAD, pid, tid] }).spawn();
  withDescriptors((track) => {
    const receiver = track(socket(AF_INET, SOCK_DGRAM, 0));
    bind(receiver, LOOPBACK);
    // struct timeval: without it signal(7) would have the kernel go on by itself.
    setsockoptBytes(receiver, SOL_SOCKET, SO_RCVTIMEO, new Uint8Array(new BigInt64Array([1n, 0n]).buffer));
    assertFails(() => recv(receiver, new Uint8Array(8), 0), "recv: EAGAIN");
  });
  assert((await child.status).success);
  while (signals === 0) await new Promise((resolve) => setTimeout(resolve, 10));
  Deno.removeSignalListener("SIGUSR1", count);
});

Deno.test("names are looked up by the host's resolver", () => {
  const families = getaddrinfo("127.0.0.1", null).map((address) => address[0]);
  assertEquals(families, [AF_INET]);
  const six = getaddrinfo("::1", "443")[0]!;
  assertEquals([six[0], ...six.subarray(2, 4), six.length], [AF_INET6, 1, 187, 28]);
  assertEquals([...six.subarray(8, 24)], [...new Array(15).fill(0), 1]);
  assertEquals(assertThrows(() => getaddrinfo("no such host", null), LookupError).code, "EAI_NONAME");
  assertEquals(assertThrows(() => getaddrinfo(null, "no such service"), LookupError).code, "EAI_SERVICE");
});

Deno.test("names are looked up in another thread", async () => {
  const result = async (name: string, family: number) => {
    const lookup = new Lookup(name, family);
    for (;;) {
      const found = lookup.take();
      if (found !== null) return found.map((address) => [address[0], address.length]);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  };
  assertEquals(await result("127.0.0.1", AF_INET), [[AF_INET, 16]]);
  assertEquals(await result("::1", AF_INET6), [[AF_INET6, 28]]);
  assertEquals((await assertRejects(() => result("no such host", AF_INET), LookupError)).code, "EAI_NONAME");
  assertEquals((await assertRejects(() => result("127.0.0.1", AF_INET6), LookupError)).code, "EAI_ADDRFAMILY");
  for (let i = 0; i < 100; i++) new Lookup("127.0.0.1", AF_INET).abandon();
  while (countAbandonedLookups() > 0) await new Promise((resolve) => setTimeout(resolve, 1));
});

Deno.test("interfaces have numbers, and 0 is none", () => {
  assertEquals(ifNameToIndex("lo"), Number(Deno.readTextFileSync("/sys/class/net/lo/ifindex")));
  assertEquals(ifNameToIndex("no-such-interface-anywhere"), 0);
});

functionTest("threads of a process share its descriptors, other processes do not", ["permission to use kcmp"], () => {
  const threads = [...Deno.readDirSync("/proc/self/task")].map(({ name }) => Number(name));
  let shared = 0;
  for (const tid of threads) {
    try {
      assert(shareDescriptors(Deno.pid, tid));
      shared++;
    } catch (error) {
      // The runtime ends threads that have nothing to do.
      if (!isSyscallError(error, "ESRCH")) throw error;
    }
  }
  assert(shared > 1);
  assert(!shareDescriptors(Deno.pid, Deno.ppid));
});

Deno.test("what the runtime has left in errno is not taken for a call's own failure", () => {
  withDescriptors((track) => {
    const { recv } = load({ recv: { parameters: ["i32", "buffer", "usize", "i32"], result: "i32" } });
    const client = track(connectedTo(track(listener())));
    // It fails with EAGAIN, as there is nothing to be had.
    const fails = () => recv(client.number, new Uint8Array(1), 1n, MSG_DONTWAIT);
    let calls = 0;
    assertEquals(retryOnClobberedErrno(() => ++calls < 3 ? fails() : 42), 42);
    assertEquals(retryOnClobberedErrno(() => ++calls < 5 ? fails() : recv(-1, new Uint8Array(1), 1n, 0)), -9, "EBADF");
    assertEquals(retryOnClobberedErrno(fails), -EAGAIN, "what lasts is its own all the same");
  });
});
