// Notifications as the kernel lays them out, decoded to calls.

import { assertEquals } from "@std/assert";
import { Notification, NOTIFICATION_SIZE, syscallAbis } from "../../ffi/seccomp.ts";
import { decodeCall } from "../../src/run/syscall.ts";
import { readSocketCredentials, whyCannotImpersonate } from "../../src/run/socket_maker.ts";

/** struct seccomp_notif {u64 id; u32 pid, flags; seccomp_data {s32 nr; u32 arch; u64 ip, args[6]}} */
function notification(arch: number, nr: number, args: bigint[]): Notification {
  const bytes = new Uint8Array(NOTIFICATION_SIZE);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, 0x1122334455667788n, true);
  view.setUint32(8, 4242, true);
  view.setInt32(16, nr, true);
  view.setUint32(20, arch, true);
  args.forEach((arg, i) => view.setBigUint64(32 + i * 8, arg, true));
  return new Notification(bytes);
}

Deno.test("Notification: its fields", () => {
  const connect = notification(0xc000003e, 42, [7n, 0x7ffe00001000n, 16n]);
  assertEquals([connect.id, connect.tid, connect.nr, connect.arch], [0x1122334455667788n, 4242, 42, 0xc000003e]);
  assertEquals(connect.address(1), 0x7ffe00001000n);
  connect.clear();
  assertEquals(connect.id, 0n);
});

Deno.test("decodeCall: the call and its arguments, for each kind of program", () => {
  for (const machine of ["x86_64", "aarch64"] as const) {
    for (const { arch, connect, listen, socket } of syscallAbis(machine)) {
      const decode = (nr: number, ...args: bigint[]) => decodeCall(notification(arch, nr, args), syscallAbis(machine));
      assertEquals(decode(connect, 7n, 0x7ffe00001000n, 16n), { syscall: "connect", args: [7, 4096, 16] });
      assertEquals(decode(listen, 8n, 128n), { syscall: "listen", args: [8, 128, 0] });
      assertEquals(decode(socket, 10n, 0x80801n, 262n), { syscall: "socket", args: [10, 0x80801, 262] });
      assertEquals(decode(999), null);
    }
  }
});

Deno.test("decodeCall: x32, and a kind that this machine does not know", () => {
  assertEquals(decodeCall(notification(0xc000003e, 42 | 0x40000000, [3n]), syscallAbis("x86_64"))?.syscall, "connect");
  assertEquals(decodeCall(notification(0xc00000b7, 203, [3n]), syscallAbis("x86_64")), null);
});

Deno.test("whyCannotImpersonate: a socket is not made for a task of another control group or security label", () => {
  const self = readSocketCredentials("self");
  assertEquals(whyCannotImpersonate(self, readSocketCredentials(Deno.pid)), null);
  assertEquals(whyCannotImpersonate(self, { ...self, uid: 1, gid: 1, netns: 1 }), null);
  assertEquals(
    whyCannotImpersonate(self, { ...self, cgroup: "0::/else\n" }),
    "is in another control group than the supervisor",
  );
  assertEquals(
    whyCannotImpersonate(self, { ...self, label: "else" }),
    "has another security label than the supervisor",
  );
});
