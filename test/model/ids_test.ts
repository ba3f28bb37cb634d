// Numbers of the kernel that must not be mixed up. The compiler checks what is said here: `deno check` fails where a line
// below is no error.

import { assertEquals } from "@std/assert";
import { Descriptor } from "../../ffi/descriptor.ts";
import type { Cookie, ForeignFd, NetnsInode, SocketInode } from "../../src/model/ids.ts";

Deno.test("a number of one kind is none of another kind, and a plain one is of any", () => {
  const inode: SocketInode = 1;
  const cookie: Cookie = "1";
  // @ts-expect-error: a socket is no namespace.
  const netns: NetnsInode = inode;
  // @ts-expect-error: a descriptor of this process is none of another one.
  const fd: ForeignFd = new Descriptor(-1).number;
  const inNetns = new Map<NetnsInode, Cookie>([[netns, cookie]]);
  // @ts-expect-error: nothing is found by a number of another kind.
  assertEquals(inNetns.get(inode), "1");
  assertEquals(fd, -1);
});
