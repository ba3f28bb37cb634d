// A machine for the programs that tcphup makes, so that tests can run them without the kernel: 64-bit registers, a stack, a
// context, maps, and the few functions of the kernel that they call.

/** Functions of the kernel that a program calls, by number. They get R1 to R5, and the machine's memory. */
export type Helpers = Readonly<Record<number, (args: Arguments, memory: Memory) => bigint>>;

type Arguments = readonly [bigint, bigint, bigint, bigint, bigint];

const MASK = 0xffffffffffffffffn;
const MASK32 = 0xffffffffn;
const STACK_SIZE = 512;

/** Memory at made-up addresses: a region begins at each multiple of 2^32. */
export class Memory {
  readonly #regions: DataView[] = [];

  /** Adds a region. Returns its address. */
  add(bytes: Uint8Array): bigint {
    this.#regions.push(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    return BigInt(this.#regions.length) << 32n;
  }

  /** The bytes at an address. */
  bytes(address: bigint, length: number): Uint8Array {
    const [region, offset] = this.#at(address, length);
    return new Uint8Array(region.buffer, region.byteOffset + offset, length);
  }

  load(address: bigint, size: number): bigint {
    const [region, offset] = this.#at(address, size);
    switch (size) {
      case 1:
        return BigInt(region.getUint8(offset));
      case 2:
        return BigInt(region.getUint16(offset, true));
      case 4:
        return BigInt(region.getUint32(offset, true));
      default:
        return region.getBigUint64(offset, true);
    }
  }

  store(address: bigint, size: number, value: bigint): void {
    const [region, offset] = this.#at(address, size);
    for (let i = 0; i < size; i++) region.setUint8(offset + i, Number((value >> BigInt(8 * i)) & 0xffn));
  }

  #at(address: bigint, length: number): [DataView, number] {
    const region = this.#regions[Number(address >> 32n) - 1];
    const offset = Number(address & MASK32);
    if (region === undefined || offset + length > region.byteLength) throw new Error(`no memory at ${address}`);
    return [region, offset];
  }
}

const SIZES: Readonly<Record<number, number>> = { 0x00: 4, 0x08: 2, 0x10: 1, 0x18: 8 };

/** Runs a program on a context, beside what the memory has already. Returns R0. Map descriptors are loaded as plain numbers. */
export function runProgram(
  program: Uint8Array,
  context: Uint8Array,
  helpers: Helpers,
  memory: Memory = new Memory(),
): bigint {
  const view = new DataView(program.buffer, program.byteOffset, program.byteLength);
  const registers = new BigUint64Array(11);
  registers[1] = memory.add(context);
  registers[10] = memory.add(new Uint8Array(STACK_SIZE)) + BigInt(STACK_SIZE);
  for (let i = 0, steps = 0;; i++) {
    if (++steps > 1_000_000) throw new Error("the program does not end");
    const code = view.getUint8(8 * i);
    const [to, from] = [view.getUint8(8 * i + 1) & 15, view.getUint8(8 * i + 1) >> 4];
    const offset = view.getInt16(8 * i + 2, true);
    const number = view.getInt32(8 * i + 4, true);
    const immediate = BigInt(number) & MASK;
    const [value, source] = [registers[to]!, registers[from]!];
    const operand = code & 0x08 ? source : immediate;
    const size = SIZES[code & 0x18]!;
    switch (code & 0x07) {
      case 0x00: // BPF_LD: 64 bits of an immediate, in two instructions
        registers[to] = (immediate & MASK32) | (BigInt(view.getUint32(8 * i + 12, true)) << 32n);
        i++;
        break;
      case 0x01:
        registers[to] = memory.load(source + BigInt(offset), size);
        break;
      case 0x02:
        memory.store(value + BigInt(offset), size, immediate);
        break;
      case 0x03: {
        const address = value + BigInt(offset);
        const isAtomic = (code & 0xe0) === 0xc0;
        memory.store(address, size, source + (isAtomic ? memory.load(address, size) : 0n));
        break;
      }
      case 0x04:
        if (code !== 0xdc || number !== 32) throw new Error(`unknown instruction ${code}`);
        registers[to] = swap32(value & MASK32);
        break;
      case 0x05:
        if (code === 0x95) return registers[0]!;
        if (code === 0x85) call(number);
        else if (code === 0x05 || holds(code, value, operand)) i += offset;
        break;
      case 0x06:
        if (holds(code, value & MASK32, operand & MASK32)) i += offset;
        break;
      default:
        registers[to] = calculate(code, value, operand);
    }
  }

  function call(number: number): void {
    const helper = helpers[number];
    if (helper === undefined) throw new Error(`no function ${number}`);
    registers[0] = helper([...registers.subarray(1, 6)] as unknown as Arguments, memory) & MASK;
    // The kernel leaves nothing in them that a program may use.
    registers.fill(0xdeadn, 1, 6);
  }
}

function swap32(value: bigint): bigint {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint32(0, Number(value));
  return BigInt(view.getUint32(0, true));
}

function holds(code: number, a: bigint, b: bigint): boolean {
  switch (code & 0xf0) {
    case 0x10:
      return a === b;
    case 0x20:
      return a > b;
    case 0x30:
      return a >= b;
    case 0x40:
      return (a & b) !== 0n;
    case 0x50:
      return a !== b;
    case 0xa0:
      return a < b;
    case 0xb0:
      return a <= b;
    default:
      throw new Error(`unknown jump ${code}`);
  }
}

function calculate(code: number, a: bigint, b: bigint): bigint {
  switch (code & 0xf0) {
    case 0x00:
      return a + b;
    case 0x40:
      return a | b;
    case 0x50:
      return a & b;
    case 0x60:
      return a << b;
    case 0x70:
      return a >> b;
    case 0xb0:
      return b;
    default:
      throw new Error(`unknown calculation ${code}`);
  }
}
