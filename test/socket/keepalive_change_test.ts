import { assert, assertEquals } from "@std/assert";
import {
  AF_INET,
  getsockopt,
  IPPROTO_TCP,
  setsockopt,
  SO_KEEPALIVE,
  SOCK_STREAM,
  socket,
  SOL_SOCKET,
  TCP_DEFER_ACCEPT,
  TCP_KEEPIDLE,
  TCP_SYNCNT,
  TCP_USER_TIMEOUT,
} from "../../ffi/socket.ts";
import type { Descriptor } from "../../ffi/descriptor.ts";
import { change, deferral, plannedSettings, sameSettings, unmetSettings } from "../../src/socket/keepalive_change.ts";
import { read } from "../../src/socket/keepalive_options.ts";
import {
  type DesiredKeepalive,
  type KeepaliveValues,
  resolveValues,
  SYSTEM_VALUES,
} from "../../src/keepalive/values.ts";
import { sampleKeepalive } from "../harness/sample.ts";
import { listener, withDescriptors } from "../harness/sockets.ts";

const { values: LIBKEEPALIVE } = resolveValues();
const OFF = sampleKeepalive({ enabled: false });
const SET = { enabled: true, idleS: 15, intervalS: 15, count: 9, userTimeoutMs: 150_000 };

function withSocket(body: (socket: Descriptor) => void): void {
  withDescriptors((own) => body(own(socket(AF_INET, SOCK_STREAM, 0))));
}

function values(given: Partial<KeepaliveValues>): DesiredKeepalive {
  return { values: { ...SYSTEM_VALUES, ...given } };
}

Deno.test("what a wish makes of a socket: its values, and where there are none the socket's own", () => {
  assertEquals(plannedSettings(OFF, { values: LIBKEEPALIVE }, "established"), SET);
  assertEquals(plannedSettings(OFF, values({}), "established"), { ...OFF, enabled: true });
  assertEquals(plannedSettings(OFF, values({ count: 3 }), "established"), { ...OFF, enabled: true, count: 3 });
  assertEquals(plannedSettings(SET, { values: "off" }, "established"), { ...SET, enabled: false });
});

Deno.test("an option that a socket does not have it will not get", () => {
  const mptcp = { ...OFF, userTimeoutMs: null };
  assertEquals(plannedSettings(mptcp, { values: LIBKEEPALIVE }, "established"), { ...SET, userTimeoutMs: null });
  const without = { ...mptcp, windowClamp: null };
  assertEquals(plannedSettings(without, values({ windowClamp: 4000 }), "established").windowClamp, null);
});

Deno.test("only what is missing: a user timeout that is set stays", () => {
  const chosen = { ...OFF, userTimeoutMs: 7000 };
  const planned = plannedSettings(chosen, { values: LIBKEEPALIVE, onlyMissing: true }, "established");
  assertEquals(planned, { ...SET, userTimeoutMs: 7000 });
});

Deno.test("what has no effect on a socket of its kind is not looked at", () => {
  const desired = values({ syncnt: 3, maxseg: 1000, deferAcceptS: 5 });
  assertEquals(plannedSettings(OFF, desired, "established"), { ...OFF, enabled: true });
  assertEquals(plannedSettings(OFF, desired, "connect"), { ...OFF, enabled: true, syncnt: 3, maxseg: 1000 });
  assertEquals(plannedSettings(OFF, desired, "listen"), { ...OFF, enabled: true, maxseg: 1000, deferAcceptS: 7 });
});

Deno.test("a socket is brought to what is wanted, once", () => {
  withSocket((socket) => {
    const before = read(socket);
    const first = change(socket, { values: LIBKEEPALIVE }, "established");
    assertEquals(first, { before, after: SET, refused: [], unmet: [], keptByApplication: false });
    assertEquals(read(socket), SET);
    const second = change(socket, { values: LIBKEEPALIVE }, "established");
    assertEquals(second, { before: SET, after: SET, refused: [], unmet: [], keptByApplication: false });
    assert(sameSettings(second.before, second.after));
    const off = change(socket, { values: "off" }, "established");
    assertEquals(off.after, { ...SET, enabled: false });
    assertEquals(read(socket), { ...SET, enabled: false });
  });
});

Deno.test("what does not read back as wanted is named, refused or not", () => {
  const planned = { ...SET, windowClamp: 1 };
  const refused = (option: string) => [{ option, value: 1, error: "EPERM" }];
  assertEquals(unmetSettings(planned, { ...planned, enabled: false }, refused("SO_KEEPALIVE")), ["enabled"]);
  assertEquals(unmetSettings(planned, { ...planned, idleS: 7200, count: 3 }, []), ["idleS", "count"]);
  const rounded = { ...planned, windowClamp: 2304 };
  assertEquals(unmetSettings(planned, rounded, []), []);
  assertEquals(unmetSettings(planned, rounded, refused("TCP_WINDOW_CLAMP")), ["windowClamp"]);
});

Deno.test("a dry run says what would be, and touches nothing", () => {
  withSocket((socket) => {
    const before = read(socket);
    assertEquals(change(socket, { values: LIBKEEPALIVE }, "established", true).after, SET);
    assertEquals(read(socket), before);
  });
});

Deno.test("only where it is missing: keepalive that is on is left as it is", () => {
  withSocket((socket) => {
    setsockopt(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
    setsockopt(socket, IPPROTO_TCP, TCP_KEEPIDLE, 77);
    const chosen = read(socket);
    const { before, after, keptByApplication } = change(
      socket,
      { values: LIBKEEPALIVE, onlyMissing: true },
      "established",
    );
    assertEquals({ before, after, keptByApplication }, { before: chosen, after: chosen, keptByApplication: true });
    assertEquals(read(socket), chosen);
  });
});

Deno.test("only where it is missing: the rest gets it, but for a user timeout of its own", () => {
  withSocket((socket) => {
    setsockopt(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, 7000);
    change(socket, { values: LIBKEEPALIVE, onlyMissing: true }, "established");
    assertEquals(read(socket), { ...SET, userTimeoutMs: 7000 });
  });
});

Deno.test("what else was asked for is read back too", () => {
  withSocket((socket) => {
    const { before, after } = change(socket, values({ syncnt: 3 }), "connect");
    assert(before.syncnt !== 3);
    assertEquals(after.syncnt, 3);
    assertEquals(getsockopt(socket, IPPROTO_TCP, TCP_SYNCNT), 3);
  });
});

Deno.test("a value that the kernel changes to its own is not set again and again", () => {
  withSocket((socket) => {
    // Any window below half of SOCK_MIN_RCVBUF is made that much.
    const first = change(socket, values({ windowClamp: 1 }), "established");
    assert(first.after.windowClamp! > 1);
    const second = change(socket, values({ windowClamp: 1 }), "established");
    assert(sameSettings(second.before, second.after));
  });
});

Deno.test("deferral is what the kernel makes of TCP_DEFER_ACCEPT", () => {
  withDescriptors((own) => {
    const listening = own(listener());
    for (const wantedS of [1, 2, 3, 4, 7, 8, 15, 60, 120, 128, 200, 248, 1000, 30_000, 2_147_483_647]) {
      setsockopt(listening, IPPROTO_TCP, TCP_DEFER_ACCEPT, wantedS);
      assertEquals(deferral(wantedS), getsockopt(listening, IPPROTO_TCP, TCP_DEFER_ACCEPT), `${wantedS} s`);
    }
  });
});
