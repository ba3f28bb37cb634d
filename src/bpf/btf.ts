// Reads BTF, the types of the running kernel, for the numbers of functions and the places of members of structs. Its layout
// is that of Documentation/bpf/btf.rst. Nothing here calls the kernel.
//
// The types of a kernel are 5 MB, and most are of no interest: they are walked as words, and only the names of structs and
// functions are compared, until all that is wanted is found.

/** The types of the running kernel. */
export const BTF_FILE = "/sys/kernel/btf/vmlinux";

const BTF_MAGIC = 0xeb9f;

/** Kinds of types, as `btf_type.info` has them in its bits 24 to 28. */
const KIND = { struct: 4, function: 12 };

/** The words that follow the three words of a type of each kind. */
const WORDS = tableOf({ int: [1, 1], array: [3, 3], variable: [14, 1], tag: [17, 1] });

/** The words that follow for each of the `vlen` members of a type of each kind. */
const WORDS_OF_MEMBER = tableOf({
  struct: [KIND.struct, 3],
  union: [5, 3],
  enum: [6, 2],
  proto: [13, 2],
  section: [15, 3],
  enum64: [19, 3],
});

function tableOf(kinds: Readonly<Record<string, readonly [kind: number, words: number]>>): Uint8Array {
  const table = new Uint8Array(32);
  for (const [kind, words] of Object.values(kinds)) table[kind] = words;
  return table;
}

/** The types to look for: functions, and members of structs by the struct's name. */
export interface WantedTypes {
  readonly functions: readonly string[];
  readonly members: Readonly<Record<string, readonly string[]>>;
}

/** What was found. Functions are named as they are, members as `struct.member`. */
export interface FoundTypes {
  /** The numbers of functions. */
  readonly ids: ReadonlyMap<string, number>;
  /** The offsets of members, in bytes. */
  readonly offsets: ReadonlyMap<string, number>;
}

/** Looks for types. What is not there, or what bytes that are no BTF of this machine's byte order lack, is left out. */
export function readTypes(btf: Uint8Array, wanted: WantedTypes): FoundTypes {
  const walk = new Walk(btf);
  walk.find(wanted);
  return walk;
}

/** Returns the offset, in bytes, of a member of a struct; null when there is no such struct with such a member. */
export function memberOffset(btf: Uint8Array, struct: string, member: string): number | null {
  const { offsets } = readTypes(btf, { functions: [], members: { [struct]: [member] } });
  return offsets.get(`${struct}.${member}`) ?? null;
}

/** A name, as it stands in the section of strings. */
interface Name {
  readonly text: string;
  readonly bytes: Uint8Array;
}

interface Struct extends Name {
  readonly members: readonly string[];
}

const encoder = new TextEncoder();

function nameOf(text: string): Name {
  return { text, bytes: encoder.encode(`${text}\0`) };
}

class Walk {
  readonly ids = new Map<string, number>();
  readonly offsets = new Map<string, number>();
  #words: Uint32Array = new Uint32Array(0);
  #strings: Uint8Array = new Uint8Array(0);

  constructor(btf: Uint8Array) {
    const view = new DataView(btf.buffer, btf.byteOffset, btf.byteLength);
    // struct btf_header {u16 magic; u8 version, flags; u32 hdr_len, type_off, type_len, str_off, str_len}
    if (btf.length < 24 || view.getUint16(0, true) !== BTF_MAGIC) return;
    const header = view.getUint32(4, true);
    const [typesAt, typesLength] = [header + view.getUint32(8, true), view.getUint32(12, true)];
    const [stringsAt, stringsLength] = [header + view.getUint32(16, true), view.getUint32(20, true)];
    if (typesAt + typesLength > btf.length || stringsAt + stringsLength > btf.length) return;
    this.#words = wordsIn(btf, typesAt, typesLength);
    this.#strings = btf.subarray(stringsAt, stringsAt + stringsLength);
  }

  find(wanted: WantedTypes): void {
    const words = this.#words;
    const functions: Name[] = wanted.functions.map(nameOf);
    const structs: Struct[] = Object.entries(wanted.members).map(([name, members]) => ({ ...nameOf(name), members }));
    const count = functions.length + structs.reduce((sum, { members }) => sum + members.length, 0);
    // This loop runs a hundred thousand times, before the runtime has compiled it: its test of a letter settles most.
    const strings = this.#strings;
    const letters = new Uint8Array(256);
    for (const { bytes } of [...functions, ...structs]) letters[bytes[0]!] = 1;
    // The first type is number 1: number 0 is void.
    for (let at = 0, id = 1; at + 3 <= words.length; id++) {
      const info = words[at + 1]!;
      const kind = (info >>> 24) & 0x1f;
      const next = at + 3 + WORDS[kind]! + WORDS_OF_MEMBER[kind]! * (info & 0xffff);
      if ((kind === KIND.struct || kind === KIND.function) && letters[strings[words[at]!]!] === 1) {
        const name = (kind === KIND.struct ? structs : functions as (Name | Struct)[]).find((one) =>
          this.#isNamed(words[at]!, one)
        );
        if (name !== undefined && "members" in name) this.#takeMembers(at, next, name);
        else if (name !== undefined) this.ids.set(name.text, id);
        if (this.ids.size + this.offsets.size === count) return;
      }
      at = next;
    }
  }

  /** struct btf_type {u32 name_off, info, size}; struct btf_member {u32 name_off, type, offset}, the offset in bits. */
  #takeMembers(at: number, end: number, { text, members }: Struct): void {
    const words = this.#words;
    const names = members.map(nameOf);
    // With kind_flag, the upper 8 bits are the width of a bit field.
    const mask = words[at + 1]! >>> 31 ? 0xffffff : ~0;
    for (let member = at + 3; member + 2 < Math.min(end, words.length); member += 3) {
      const name = names.find((one) => this.#isNamed(words[member]!, one));
      if (name === undefined) continue;
      const key = `${text}.${name.text}`;
      if (!this.offsets.has(key)) this.offsets.set(key, ((words[member + 2]! & mask) >>> 0) / 8);
    }
  }

  #isNamed(place: number, { bytes }: Name): boolean {
    for (let i = 0; i < bytes.length; i++) if (this.#strings[place + i] !== bytes[i]) return false;
    return true;
  }
}

function wordsIn(btf: Uint8Array, start: number, length: number): Uint32Array {
  const from = btf.byteOffset + start;
  // The section of types is aligned in the kernel's own BTF, but need not be in memory.
  const aligned = from % 4 === 0 ? btf.buffer : btf.slice(start, start + length).buffer;
  return new Uint32Array(aligned as ArrayBuffer, from % 4 === 0 ? from : 0, length >>> 2);
}
