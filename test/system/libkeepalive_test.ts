// What a user of libkeepalive brings along: `tcphup run` with its variables, on every kind of socket that it knows.

import { assertEquals, assertMatch } from "@std/assert";
import { launching } from "../harness/launched.ts";
import type { Namespace } from "../harness/namespace.ts";
import { Peer, python } from "../harness/peer.ts";
import { systemTest } from "../harness/system.ts";

const PORT = 8000;

const VARIABLES = {
  TCP_KEEPIDLE: "7",
  TCP_KEEPINTVL: "5",
  TCP_KEEPCNT: "3",
  TCP_USER_TIMEOUT: "-1",
  TCP_SYNCNT: "2",
  TCP_MAXSEG: "1000",
  TCP_WINDOW_CLAMP: "20000",
  TCP_DEFER_ACCEPT: "3",
};

/** What a program finds on a socket, in the order of the variables. */
const OPTIONS = [7, 5, 3, 22_000, 2, 1000, 20_000, 3];

const PRINT = `
import json, socket
OPTIONS = ["KEEPIDLE", "KEEPINTVL", "KEEPCNT", "USER_TIMEOUT", "SYNCNT", "MAXSEG", "WINDOW_CLAMP", "DEFER_ACCEPT"]
def show(s):
    print(json.dumps([s.getsockopt(socket.IPPROTO_TCP, getattr(socket, "TCP_" + name)) for name in OPTIONS]), flush=True)
`;

async function find(netns: Namespace, program: string, flags: string[], env: Record<string, string> = VARIABLES) {
  const command = launching(python(PRINT + program), flags);
  const { code, stdout, stderr } = await netns.run(command, { env });
  assertEquals([code, stderr], [0, ""]);
  return JSON.parse(stdout);
}

systemTest("run: all of libkeepalive's variables, from socket(2) on", [], async (netns) => {
  assertEquals(await find(netns, "show(socket.socket())", ["--on", "socket"]), OPTIONS);
});

systemTest("run: those that bear on a listener, at listen(2)", [], async (netns) => {
  const program = "s = socket.create_server(('127.0.0.1', 0)); show(s)";
  const [idle, interval, count, timeout, , maxseg, clamp, defer] = OPTIONS;
  const found = await find(netns, program, ["--on", "listen"]);
  assertEquals(found.toSpliced(4, 1), [idle, interval, count, timeout, maxseg, clamp, defer]);
});

systemTest("run: those that bear on a connection, at connect(2)", [], async (netns) => {
  await Peer.start(netns).listen("127.0.0.2", PORT);
  const found = await find(netns, `s = socket.create_connection(("127.0.0.2", ${PORT})); show(s)`, []);
  // Of an open connection TCP_MAXSEG tells what was agreed on: less the twelve bytes of the timestamps.
  assertEquals(found.slice(0, 6), [...OPTIONS.slice(0, 5), 988]);
});

systemTest("run: a flag wins over its variable, and a variable of 0 leaves the system's value", [], async (netns) => {
  const env = { ...VARIABLES, TCP_KEEPINTVL: "0", TCP_USER_TIMEOUT: "0" };
  const found = await find(netns, "show(socket.socket())", ["--on", "socket", "--idle", "20"], env);
  assertEquals(found.slice(0, 4), [20, 75, 3, 0]);
});

systemTest("run: a variable that the kernel would not take is refused before anything starts", [], async (netns) => {
  const { code, stdout, stderr } = await netns.run(launching(["echo", "started"]), { env: { TCP_KEEPCNT: "200" } });
  assertEquals([code, stdout], [2, ""]);
  assertMatch(stderr, /^tcphup: TCP_KEEPCNT=200 is out of range: it takes 1 to 127 probes/);
});
