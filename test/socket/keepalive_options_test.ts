import { assert, assertEquals } from "@std/assert";
import {
  accept,
  AF_INET,
  getsockopt,
  IPPROTO_MPTCP,
  IPPROTO_TCP,
  SOCK_STREAM,
  socket,
  TCP_DEFER_ACCEPT,
  TCP_MAXSEG,
  TCP_SYNCNT,
  TCP_WINDOW_CLAMP,
} from "../../ffi/socket.ts";
import type { Descriptor } from "../../ffi/descriptor.ts";
import { apply, read } from "../../src/socket/keepalive_options.ts";
import { steps, withoutEffect } from "../../src/keepalive/socket_options.ts";
import { KEEPALIVE_FIELDS, KEEPALIVE_NAMES, type KeepaliveValues, SYSTEM_VALUES } from "../../src/keepalive/values.ts";
import { functionTest } from "../harness/needs.ts";
import { connectedTo, listener, withDescriptors } from "../harness/sockets.ts";

const ALL: KeepaliveValues = {
  idleS: 11,
  intervalS: 12,
  count: 3,
  userTimeoutMs: 14_000,
  syncnt: 5,
  maxseg: 1000,
  windowClamp: 17_000,
  deferAcceptS: 7,
};

const SET = { enabled: true, idleS: 11, intervalS: 12, count: 3, userTimeoutMs: 14_000 };

function names(values: KeepaliveValues, use: Parameters<typeof steps>[1]): string {
  return steps(values, use).map(({ option, value }) => `${option}=${value}`).join(" ");
}

Deno.test("what the timer reads is set before what arms it, and the user timeout only then", () => {
  const armed =
    "TCP_KEEPINTVL=12 TCP_KEEPCNT=3 TCP_KEEPIDLE=11 SO_KEEPALIVE=1 TCP_USER_TIMEOUT=14000 TCP_WINDOW_CLAMP=17000";
  assertEquals(names(ALL, "established"), armed);
  assertEquals(names(ALL, "connect"), `${armed} TCP_MAXSEG=1000 TCP_SYNCNT=5`);
  assertEquals(names(ALL, "listen"), `${armed} TCP_MAXSEG=1000 TCP_DEFER_ACCEPT=7`);
  assertEquals(names(ALL, "new"), `${armed} TCP_MAXSEG=1000 TCP_SYNCNT=5 TCP_DEFER_ACCEPT=7`);
});

Deno.test("a value of 0 needs no call, and what has no effect is named", () => {
  assertEquals(names(SYSTEM_VALUES, "new"), "SO_KEEPALIVE=1");
  assertEquals(withoutEffect(ALL, "established"), ["maxseg", "syncnt", "deferAcceptS"]);
  assertEquals(withoutEffect(ALL, "listen"), ["syncnt"]);
  assertEquals(withoutEffect(ALL, "connect"), ["deferAcceptS"]);
  assertEquals(withoutEffect(ALL, "new"), []);
  assertEquals(withoutEffect(SYSTEM_VALUES, "established"), []);
});

function tcpSocket(protocol = IPPROTO_TCP): Descriptor {
  return socket(AF_INET, SOCK_STREAM, protocol);
}

Deno.test("the kernel takes every value, and read gives them back", () => {
  withDescriptors((own) => {
    const fresh = own(tcpSocket());
    assertEquals(read(fresh).enabled, false);
    for (const { option, error } of apply(fresh, ALL, "new")) assertEquals(error, null, option);
    assertEquals(read(fresh), SET);
    assertEquals(getsockopt(fresh, IPPROTO_TCP, TCP_SYNCNT), 5);
    assertEquals(getsockopt(fresh, IPPROTO_TCP, TCP_MAXSEG), 1000);
    assertEquals(getsockopt(fresh, IPPROTO_TCP, TCP_WINDOW_CLAMP), 17_000);
    assertEquals(getsockopt(fresh, IPPROTO_TCP, TCP_DEFER_ACCEPT), 7);
  });
});

Deno.test("turnOff turns off keepalive alone", () => {
  withDescriptors((own) => {
    const fresh = own(tcpSocket());
    apply(fresh, ALL, "new");
    assertEquals(apply(fresh, "off", "new"), [{ option: "SO_KEEPALIVE", value: 0, error: null }]);
    assertEquals(read(fresh), { ...SET, enabled: false });
  });
});

Deno.test("what a listener has, the connections that it accepts later have", () => {
  withDescriptors((own) => {
    const listening = own(listener());
    // Without TCP_DEFER_ACCEPT, or a client that says nothing would not be accepted.
    const results = apply(listening, { ...ALL, deferAcceptS: 0 }, "listen");
    assertEquals(results.filter(({ error }) => error !== null), []);
    const client = own(connectedTo(listening));
    assertEquals(read(own(accept(listening))), SET);
    assertEquals(read(client).enabled, false);
    apply(client, ALL, "established");
    assertEquals(read(client), SET);
  });
});

Deno.test("the ranges are the kernel's own: it takes both ends and nothing beyond", () => {
  withDescriptors((own) => {
    for (const name of KEEPALIVE_NAMES) {
      const { minimum, maximum } = KEEPALIVE_FIELDS[name];
      const error = (value: number) => {
        const [result] = apply(own(tcpSocket()), { ...SYSTEM_VALUES, [name]: value }, "new")
          .filter(({ option }) => option !== "SO_KEEPALIVE");
        return result!.error;
      };
      assertEquals([error(minimum), error(maximum)], [null, null], name);
      if (minimum > 1) assertEquals(error(minimum - 1), "EINVAL", name);
      if (maximum < 2147483647) assertEquals(error(maximum + 1), "EINVAL", name);
    }
  });
});

functionTest("on MPTCP what is refused is reported, and the rest is set", ["MPTCP"], () =>
  withDescriptors((own) => {
    const fresh = own(tcpSocket(IPPROTO_MPTCP));
    const results = apply(fresh, { ...ALL, syncnt: 0, maxseg: 0, windowClamp: 0, deferAcceptS: 0 }, "new");
    const options = results.map(({ option }) => option).join(" ");
    assertEquals(options, "TCP_KEEPINTVL TCP_KEEPCNT TCP_KEEPIDLE SO_KEEPALIVE TCP_USER_TIMEOUT");
    const refused = results.filter(({ error }) => error !== null);
    for (const { option } of refused) assertEquals(option, "TCP_USER_TIMEOUT");
    const { userTimeoutMs, ...rest } = read(fresh);
    assertEquals(rest, { enabled: true, idleS: 11, intervalS: 12, count: 3 });
    // A kernel that refuses to set it does not tell it either.
    assert(refused.length === 1 ? userTimeoutMs === null : userTimeoutMs === 14_000);
  }));
