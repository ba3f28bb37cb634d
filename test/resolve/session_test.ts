// Which connections carry the operator's own session, in a process that was started with an environment of its own.

import { assertEquals } from "@std/assert";
import type { HeldConnection } from "../../src/model/connection.ts";
import { run } from "../harness/process.ts";
import { sampleListed } from "../harness/sample.ts";

const LISTENED_ON = 2222;

const SCRIPT = `
import { Session } from ${JSON.stringify(new URL("../../src/resolve/session.ts", import.meta.url).href)};
const session = new Session(() => (_, port) => port === ${LISTENED_ON});
console.log(JSON.stringify(JSON.parse(Deno.args[0]).map((connection) => session.explainProtection(connection))));
`;

/** What is said of each connection in a process with this SSH_CONNECTION. */
async function sessions(ssh: string | undefined, connections: HeldConnection[]): Promise<(string | null)[]> {
  const env = { ...Deno.env.toObject(), ...(ssh === undefined ? {} : { SSH_CONNECTION: ssh }) };
  if (ssh === undefined) delete env.SSH_CONNECTION;
  const config = new URL("../../deno.json", import.meta.url).pathname;
  const args = ["run", "--config", config, "--allow-ffi", "-", JSON.stringify(connections)];
  const { stdout } = await run([Deno.execPath(), ...args], { env, clearEnv: true, stdin: SCRIPT });
  return JSON.parse(stdout);
}

/** The server's end of a connection. */
function served(client: string, server: string, ports: [number, number] = [50122, 22]): HeldConnection {
  const [clientPort, serverPort] = ports;
  return sampleListed({
    src: { address: server, port: serverPort },
    dst: { address: client, port: clientPort },
    owners: [],
  });
}

const SESSION = "the ssh connection of this session (SSH_CONNECTION)";

Deno.test("the connection that SSH_CONNECTION names is the session's, and no other", async () => {
  const found = await sessions("192.0.2.9 50122 10.0.0.7 22", [
    served("192.0.2.9", "10.0.0.7"),
    served("192.0.2.9", "10.0.0.7", [50123, 22]),
    served("192.0.2.9", "10.0.0.7", [50122, 2222]),
    served("192.0.2.9", "10.0.0.8"),
    served("10.0.0.7", "192.0.2.9", [22, 50122]),
  ]);
  assertEquals(found, [SESSION, null, null, null, null]);
});

Deno.test("SSH_CONNECTION may spell its addresses otherwise, and give them a zone", async () => {
  const spellings = {
    "fe80::1%eth0 50122 fe80::2%eth0 22": served("fe80::1", "fe80::2"),
    "::ffff:192.0.2.9 50122 ::ffff:10.0.0.7 22": served("192.0.2.9", "10.0.0.7"),
    "2001:DB8:0:0::1 50122 2001:db8::0:2 22": served("2001:db8::1", "2001:db8::2"),
  };
  for (const [ssh, connection] of Object.entries(spellings)) {
    assertEquals(await sessions(ssh, [connection]), [SESSION], ssh);
  }
});

Deno.test("without SSH_CONNECTION, or with less than one, no connection is named by it", async () => {
  const connections = [served("192.0.2.9", "10.0.0.7"), sampleListed()];
  for (const ssh of [undefined, "", "192.0.2.9", "192.0.2.9 50122 10.0.0.7", "UNKNOWN 65535 UNKNOWN 65535"]) {
    assertEquals(await sessions(ssh, connections), [null, null], ssh);
  }
});

Deno.test("a connection that an ancestor has accepted is the session's, whoever else holds it", async () => {
  const owner = (pid: number) => ({ pid, fd: 3, comm: "server" });
  const accepted = (...pids: number[]) => ({
    ...served("192.0.2.9", "10.0.0.7", [50122, LISTENED_ON]),
    owners: pids.map(owner),
  });
  // The child's parent is this process.
  const found = await sessions(undefined, [
    accepted(Deno.pid),
    accepted(4_194_305, Deno.ppid),
    accepted(4_194_305),
    accepted(),
  ]);
  const by = (pid: number) => `accepted by an ancestor of this process: pid ${pid} (server)`;
  assertEquals(found, [by(Deno.pid), by(Deno.ppid), null, null]);
});

Deno.test("a connection that an ancestor has opened is none of the session's", async () => {
  assertEquals(await sessions(undefined, [sampleListed({ owners: [{ pid: Deno.pid, fd: 3, comm: "pool" }] })]), [
    null,
  ]);
});
