// Reads BTF, the types of the running kernel, for the place of single members of its structs. Its layout is that of
// Documentation/bpf/btf.rst. Nothing here calls the kernel.
//
// The types of a kernel are 5 MB, and most are of no interest: the name is looked up in the section of strings first,
// and the types are walked as words, until one has that name.

const BTF_MAGIC = 0xeb9f;

/** Kinds of types, as `btf_type.info` has them in its bits 24 to 28. */
const KIND = {
  int: 1,
  array: 3,
  struct: 4,
  union: 5,
  enum: 6,
  proto: 13,
  variable: 14,
  section: 15,
  tag: 17,
  enum64: 19,
};

/** The bytes that follow the three words of a type, by its kind: some for each of its `vlen` members, or a number of them. */
function wordsAfter(kind: number, vlen: number): number {
  switch (kind) {
    case KIND.int:
    case KIND.variable:
    case KIND.tag:
      return 1;
    case KIND.array:
      return 3;
    case KIND.struct:
    case KIND.union:
    case KIND.section:
    case KIND.enum64:
      return 3 * vlen;
    case KIND.enum:
    case KIND.proto:
      return 2 * vlen;
    default:
      return 0;
  }
}

/**
 * Returns the offset, in bytes, of a member of a struct; null when there is no such struct with such a member, or the
 * bytes are no BTF of this machine's byte order.
 */
export function memberOffset(btf: Uint8Array, struct: string, member: string): number | null {
  const view = new DataView(btf.buffer, btf.byteOffset, btf.byteLength);
  // struct btf_header {u16 magic; u8 version, flags; u32 hdr_len, type_off, type_len, str_off, str_len}
  if (btf.length < 24 || view.getUint16(0, true) !== BTF_MAGIC) return null;
  const header = view.getUint32(4, true);
  const [typesAt, typesLength] = [header + view.getUint32(8, true), view.getUint32(12, true)];
  const [stringsAt, stringsLength] = [header + view.getUint32(16, true), view.getUint32(20, true)];
  if (typesAt + typesLength > btf.length || stringsAt + stringsLength > btf.length) return null;
  // A character a byte, so that a place in the text is a place in the section.
  const strings = new TextDecoder("latin1").decode(btf.subarray(stringsAt, stringsAt + stringsLength));
  const [structName, memberName] = [nameIn(strings, struct), nameIn(strings, member)];
  if (structName === null || memberName === null) return null;
  return memberIn(wordsIn(btf, typesAt, typesLength), structName, memberName);
}

/** Returns the place of a whole string in the section of strings; null when it is not there. */
function nameIn(strings: string, name: string): number | null {
  const at = strings.indexOf(`\0${name}\0`);
  return at === -1 ? null : at + 1;
}

function wordsIn(btf: Uint8Array, start: number, length: number): Uint32Array {
  const from = btf.byteOffset + start;
  // The section of types is aligned in the kernel's own BTF, but need not be in memory.
  const aligned = from % 4 === 0 ? btf.buffer : btf.slice(start, start + length).buffer;
  return new Uint32Array(aligned as ArrayBuffer, from % 4 === 0 ? from : 0, length >>> 2);
}

/** struct btf_type {u32 name_off, info, size}; struct btf_member {u32 name_off, type, offset}, the offset in bits. */
function memberIn(words: Uint32Array, structName: number, memberName: number): number | null {
  for (let at = 0; at + 3 <= words.length;) {
    const info = words[at + 1]!;
    const [kind, vlen] = [(info >>> 24) & 0x1f, info & 0xffff];
    const after = wordsAfter(kind, vlen);
    if (kind === KIND.struct && words[at] === structName) {
      for (let member = at + 3; member + 2 < Math.min(at + 3 + after, words.length); member += 3) {
        // With kind_flag, the upper 8 bits are the width of a bit field.
        const bits = words[member + 2]! & (info >>> 31 ? 0xffffff : ~0);
        if (words[member] === memberName) return (bits >>> 0) / 8;
      }
    }
    at += 3 + after;
  }
  return null;
}
