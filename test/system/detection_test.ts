// A peer that falls silent, behind a veth: the application's read fails when detection() says, and not without keepalive.

import { assert, assertEquals } from "@std/assert";
import { pidfdGetfd, pidfdOpen } from "../../ffi/pidfd.ts";
import { detection, KERNEL_DEFAULTS } from "../../src/keepalive/detection.ts";
import { apply, read } from "../../src/socket/keepalive_options.ts";
import { type GivenValues, type Keepalive, resolveValues } from "../../src/keepalive/values.ts";
import { Dialogue } from "../harness/lines.ts";
import { Namespace } from "../harness/namespace.ts";
import { python } from "../harness/peer.ts";
import { systemTest } from "../harness/system.ts";

const CLIENT_ADDRESS = "192.0.2.1";
const SERVER_ADDRESS = "192.0.2.2";

/** Accepts connections, and keeps them. */
const SERVER = `
import socket, sys, threading
server = socket.create_server((sys.argv[1], 7000))
print("listening", flush=True)
kept = []
def accept():
    while True:
        kept.append(server.accept())
threading.Thread(target=accept, daemon=True).start()
sys.stdin.read()
`;

/**
 * Connects and prints its descriptor. Told to "read" or to "write", it writes or does not, says so, and reads. It prints
 * how that ended, and how many milliseconds after the last sign of the peer (tcpi_last_ack_recv) or after the write.
 */
const CLIENT = `
import errno, signal, socket, struct, sys, time
signal.alarm(60)  # What has not come by then never will.
client = socket.create_connection((sys.argv[1], 7000))
print(client.fileno(), flush=True)
order = sys.stdin.readline().strip()
info = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 64)
begin = time.monotonic() - struct.unpack_from("I", info, 56)[0] / 1000
if order == "write":
    begin = time.monotonic()
    client.send(b"word")
print("reading", flush=True)
try:
    end = repr(client.recv(1))
except OSError as error:
    end = errno.errorcode[error.errno]
print(end, round((time.monotonic() - begin) * 1000), flush=True)
sys.stdin.read()
`;

/** Sets values on a socket of another process, from outside; what it has then. */
function setFromOutside(pid: number, fd: number, given: GivenValues): Keepalive {
  const pidfd = pidfdOpen(pid);
  const duplicate = pidfdGetfd(pidfd, fd);
  pidfd.close();
  try {
    const refused = apply(duplicate, resolveValues(given).values, "established").filter(({ error }) => error !== null);
    assertEquals(refused, []);
    return read(duplicate);
  } finally {
    duplicate.close();
  }
}

interface Drill {
  name: string;
  given: GivenValues;
  /** Whether there is data in flight when the peer falls silent. */
  order: "read" | "write";
}

const DRILLS: Drill[] = [
  { name: "idle", given: { idleS: 1, intervalS: 1, count: 3 }, order: "read" },
  { name: "idle, no user timeout", given: { idleS: 1, intervalS: 1, count: 2, userTimeoutMs: 0 }, order: "read" },
  {
    name: "idle, user timeout shorter than idle",
    given: { idleS: 2, intervalS: 1, count: 9, userTimeoutMs: 1000 },
    order: "read",
  },
  { name: "data in flight", given: { idleS: 1, intervalS: 1, count: 3 }, order: "write" },
];

/** Fails unless the client's read failed at the planned time, within one interval, and a second for the machine. */
async function assertNoticed(client: Dialogue, keepalive: Keepalive, { name, order }: Drill): Promise<void> {
  const { idleMs, inFlightMs } = detection(keepalive, KERNEL_DEFAULTS);
  const planned_ms = order === "read" ? idleMs! : inFlightMs;
  const intervalMs = keepalive.intervalS * 1000;
  const [end, measured_ms] = (await client.line()).split(" ");
  assertEquals(end, "ETIMEDOUT", name);
  assert(
    Number(measured_ms) >= planned_ms - intervalMs && Number(measured_ms) <= planned_ms + intervalMs + 1000,
    `${name}: planned ${planned_ms} ms, measured ${measured_ms} ms`,
  );
}

systemTest("a read from a peer that fell silent fails at the planned time", [], async (clients) => {
  await using stack = new AsyncDisposableStack();
  const servers = stack.use(await Namespace.create());
  await clients.link(servers, [`${CLIENT_ADDRESS}/24`], [`${SERVER_ADDRESS}/24`]);
  const start = (netns: Namespace, program: string) =>
    stack.use(new Dialogue(netns.spawn(python(program, SERVER_ADDRESS)), "a program of the test"));
  await start(servers, SERVER).line();

  const untouched = start(clients, CLIENT);
  await untouched.line();
  const drills = await Promise.all(DRILLS.map(async (drill) => {
    const client = start(clients, CLIENT);
    const fd = Number(await client.line());
    return { drill, client, keepalive: setFromOutside(client.pid, fd, drill.given) };
  }));

  await clients.silence(SERVER_ADDRESS, servers);
  for (const { client, drill } of drills) await client.tell(drill.order);
  await untouched.tell("read");
  for (const client of [untouched, ...drills.map(({ client }) => client)]) {
    assertEquals(await client.line(), "reading");
  }
  for (const { client, keepalive, drill } of drills) await assertNoticed(client, keepalive, drill);

  const longer = new Promise((resolve) => setTimeout(resolve, 1000, "still reading"));
  assertEquals(await Promise.race([untouched.line(), longer]), "still reading");
});
