// An assembler of BPF: instructions of <linux/bpf.h> as bytes. Nothing here calls the kernel.

/** A register. R10 is the frame pointer; R6 to R9 survive calls; a call takes R1 to R5 and returns R0. */
export type Register = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10;

export const [R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10] as const;

/** The number of bytes that a load or a store moves. */
export type Size = 2 | 4 | 8;

/** BPF_H, BPF_W and BPF_DW. */
const SIZES: Readonly<Record<Size, number>> = { 2: 0x08, 4: 0x00, 8: 0x18 };

/** Classes of instructions. */
const BPF_LDX = 0x61;
const BPF_ST = 0x62;
const BPF_STX = 0x63;
const BPF_JMP = 0x05;
/** Jumps that compare the lower 32 bits. Linux ≥ 5.1. */
const BPF_JMP32 = 0x06;
/** BPF_STX | BPF_ATOMIC | BPF_DW, whose immediate 0 means BPF_ADD. */
const ATOMIC_ADD = 0xdb;
/** BPF_LD | BPF_IMM | BPF_DW. */
const LOAD_IMMEDIATE = 0x18;
/** In the source register of LOAD_IMMEDIATE: the immediate is a map's descriptor. */
const BPF_PSEUDO_MAP_FD = 1;
const MOVE = { value: 0xb7, register: 0xbf };
const ADD = { value: 0x07, register: 0x0f };
const AND_VALUE = 0x57;
const OR = { value: 0x47, register: 0x4f };
const SHIFT_LEFT_VALUE = 0x67;
const SHIFT_RIGHT_VALUE = 0x77;
/** BPF_ALU | BPF_END | BPF_TO_BE. */
const TO_BIG_ENDIAN = 0xdc;
const CALL = 0x85;
const EXIT = 0x95;
const ALWAYS = 0x05;
/** BPF_X: the second operand is a register. */
const BPF_X = 0x08;

/** The comparisons of a jump; all are unsigned. */
const COMPARISONS = { "==": 0x10, ">": 0x20, ">=": 0x30, "!=": 0x50, "<": 0xa0, "&": 0x40 } as const;

/** A comparison of two operands; `&` holds when they have a bit in common. */
export type Comparison = keyof typeof COMPARISONS;

interface Instruction {
  readonly code: number;
  readonly destination?: Register;
  readonly source?: number;
  readonly offset?: number;
  readonly immediate?: number;
  /** The label that a jump goes to. */
  readonly target?: string;
}

/** Makes a program, an instruction a call. Labels may be used before they are placed. */
export class Assembler {
  readonly #instructions: Instruction[] = [];
  readonly #labels = new Map<string, number>();
  #made = 0;

  /** Returns a name for a label that no other one has. */
  newLabel(): string {
    return `.${this.#made++}`;
  }

  /** Places a label at the next instruction. */
  label(name: string): void {
    this.#labels.set(name, this.#instructions.length);
  }

  move(destination: Register, value: number): void {
    this.#add({ code: MOVE.value, destination, immediate: value });
  }

  moveRegister(destination: Register, source: Register): void {
    this.#add({ code: MOVE.register, destination, source });
  }

  /** Sets all 64 bits of a register. */
  moveWide(destination: Register, value: bigint): void {
    this.#addWide(destination, 0, Number(value & 0xffffffffn), Number(value >> 32n));
  }

  /** Makes a register point at a place of the stack, by its offset from R10. */
  moveStack(destination: Register, offset: number): void {
    this.moveRegister(destination, R10);
    this.add(destination, offset);
  }

  /** Makes a register point at a map. */
  moveMap(destination: Register, descriptor: number): void {
    this.#addWide(destination, BPF_PSEUDO_MAP_FD, descriptor, 0);
  }

  add(destination: Register, value: number): void {
    this.#add({ code: ADD.value, destination, immediate: value });
  }

  addRegister(destination: Register, source: Register): void {
    this.#add({ code: ADD.register, destination, source });
  }

  and(destination: Register, value: number): void {
    this.#add({ code: AND_VALUE, destination, immediate: value });
  }

  or(destination: Register, value: number): void {
    this.#add({ code: OR.value, destination, immediate: value });
  }

  orRegister(destination: Register, source: Register): void {
    this.#add({ code: OR.register, destination, source });
  }

  shiftLeft(destination: Register, bits: number): void {
    this.#add({ code: SHIFT_LEFT_VALUE, destination, immediate: bits });
  }

  shiftRight(destination: Register, bits: number): void {
    this.#add({ code: SHIFT_RIGHT_VALUE, destination, immediate: bits });
  }

  /** Swaps the lower 32 bits of a register between this machine's order and network order. */
  swap32(register: Register): void {
    this.#add({ code: TO_BIG_ENDIAN, destination: register, immediate: 32 });
  }

  /** Loads what stands at `base + offset`; the upper bits become 0. */
  load(size: Size, destination: Register, base: Register, offset: number): void {
    this.#add({ code: BPF_LDX | SIZES[size], destination, source: base, offset });
  }

  store(size: Size, base: Register, offset: number, source: Register): void {
    this.#add({ code: BPF_STX | SIZES[size], destination: base, source, offset });
  }

  /** Stores a number, which memory of the program takes, but not its context. */
  storeValue(size: Size, base: Register, offset: number, value: number): void {
    this.#add({ code: BPF_ST | SIZES[size], destination: base, offset, immediate: value });
  }

  /** Adds a register to the 64 bits at `base + offset`, in one step for all processors. */
  atomicAdd(base: Register, offset: number, source: Register): void {
    this.#add({ code: ATOMIC_ADD, destination: base, source, offset });
  }

  jump(target: string): void {
    this.#add({ code: ALWAYS, target });
  }

  /** Jumps when the comparison with a number holds. The number is extended to 64 bits by its sign. */
  jumpIf(register: Register, comparison: Comparison, value: number, target: string): void {
    this.#add({ code: BPF_JMP | COMPARISONS[comparison], destination: register, immediate: value, target });
  }

  /** Jumps when the comparison of the lower 32 bits with a number holds. */
  jumpIf32(register: Register, comparison: Comparison, value: number, target: string): void {
    this.#add({ code: BPF_JMP32 | COMPARISONS[comparison], destination: register, immediate: value, target });
  }

  jumpIfRegister(register: Register, comparison: Comparison, other: Register, target: string): void {
    const code = BPF_JMP | BPF_X | COMPARISONS[comparison];
    this.#add({ code, destination: register, source: other, target });
  }

  /** Calls a function of the kernel: one of `enum bpf_func_id`. */
  call(helper: number): void {
    this.#add({ code: CALL, immediate: helper });
  }

  exit(): void {
    this.#add({ code: EXIT });
  }

  /** Returns the program as an array of `struct bpf_insn` {u8 code; u8 dst:4, src:4; s16 off; s32 imm}, little endian. */
  assemble(): Uint8Array {
    const view = new DataView(new ArrayBuffer(this.#instructions.length * 8));
    this.#instructions.forEach(({ code, destination = 0, source = 0, offset = 0, immediate = 0, target }, i) => {
      view.setUint8(i * 8, code);
      view.setUint8(i * 8 + 1, (source << 4) | destination);
      view.setInt16(i * 8 + 2, target === undefined ? offset : this.#distance(i, target), true);
      view.setInt32(i * 8 + 4, immediate, true);
    });
    return new Uint8Array(view.buffer);
  }

  #add(instruction: Instruction): void {
    this.#instructions.push(instruction);
  }

  /** Adds the instruction that takes the place of two. */
  #addWide(destination: Register, source: number, low: number, high: number): void {
    this.#add({ code: LOAD_IMMEDIATE, destination, source, immediate: low });
    this.#add({ code: 0, immediate: high });
  }

  #distance(from: number, label: string): number {
    const distance = this.#labels.get(label)! - from - 1;
    if (Number.isInteger(distance) && distance >= -0x8000 && distance <= 0x7fff) return distance;
    throw new RangeError(`A jump to ${label} is too far, or there is no such label`);
  }
}
