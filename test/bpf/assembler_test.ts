// The bytes of instructions, as the kernel's documentation and other assemblers have them.

import { assertEquals, assertThrows } from "@std/assert";
import { Assembler, R0, R1, R10, R2, R6, R7 } from "../../src/bpf/assembler.ts";

function bytesOf(write: (program: Assembler) => void): string[] {
  const program = new Assembler();
  write(program);
  const hex = [...program.assemble()].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.match(/.{16}/g) ?? [];
}

Deno.test("each instruction", () => {
  assertEquals(
    bytesOf((program) => {
      program.moveRegister(R6, R1);
      program.move(R0, 1);
      program.move(R0, -1);
      program.add(R2, -24);
      program.addRegister(R2, R7);
      program.shiftLeft(R7, 4);
      program.and(R1, 0xffff);
      program.or(R1, 0x800000);
      program.orRegister(R1, R2);
      program.shiftRight(R1, 16);
      program.load(4, R7, R6, 184);
      program.load(8, R1, R6, 8);
      program.store(4, R10, -44, R1);
      program.storeValue(4, R10, -4, 0xffff0000);
      program.storeValue(8, R10, -8, 0);
      program.atomicAdd(R0, 16, R1);
      program.swap32(R1);
      program.call(49);
      program.exit();
    }),
    [
      "bf16000000000000",
      "b700000001000000",
      "b7000000ffffffff",
      "07020000e8ffffff",
      "0f72000000000000",
      "6707000004000000",
      "57010000ffff0000",
      "4701000000008000",
      "4f21000000000000",
      "7701000010000000",
      "6167b80000000000",
      "7961080000000000",
      "631ad4ff00000000",
      "620afcff0000ffff",
      "7a0af8ff00000000",
      "db10100000000000",
      "dc01000020000000",
      "8500000031000000",
      "9500000000000000",
    ],
  );
});

Deno.test("numbers of 64 bits and maps take two instructions", () => {
  assertEquals(
    bytesOf((program) => {
      program.moveMap(R1, 5);
      program.moveWide(R1, 0x123456789abcdef0n);
    }),
    ["1811000005000000", "0000000000000000", "18010000f0debc9a", "0000000078563412"],
  );
});

Deno.test("jumps go to labels, forwards and back, over instructions that take two", () => {
  assertEquals(
    bytesOf((program) => {
      program.label("start");
      program.jumpIf(R7, "==", 3, "end");
      program.jumpIf32(R1, "!=", 0xffff0000, "end");
      program.jumpIfRegister(R0, "==", R1, "end");
      program.moveMap(R1, 5);
      program.jumpIf(R1, "&", 1, "start");
      program.label("end");
      program.jump("end");
    }),
    [
      "1507050003000000",
      "560104000000ffff",
      "1d10030000000000",
      "1811000005000000",
      "0000000000000000",
      "4501faff01000000",
      "0500ffff00000000",
    ],
  );
});

Deno.test("a label that is nowhere, or too far away, is an error", () => {
  assertThrows(() => bytesOf((program) => program.jump("nowhere")), RangeError);
  assertThrows(
    () =>
      bytesOf((program) => {
        program.jump("far");
        for (let i = 0; i < 0x8000; i++) program.exit();
        program.label("far");
      }),
    RangeError,
  );
});
