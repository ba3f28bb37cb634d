// Golden bytes, written as hexadecimal with a comment for each field.

/** The bytes that lines of hexadecimal spell; what follows `;` in a line is a comment. */
export function bytes(...texts: string[]): Uint8Array<ArrayBuffer> {
  const digits = texts.join("\n").replace(/;.*|\s/g, "");
  return Uint8Array.from(digits.match(/../g) ?? [], (byte) => parseInt(byte, 16));
}

/** A view of the bytes, with others before them, as where messages lie in a datagram. */
export function viewAt(bytes: Uint8Array, offset: number): DataView {
  const whole = new Uint8Array(offset + bytes.length).fill(0xee);
  whole.set(bytes, offset);
  return new DataView(whole.buffer);
}
