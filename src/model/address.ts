// IP addresses and prefixes in the one form in which they are compared: 128 bits, IPv4 as ::ffff:a.b.c.d
// (RFC 4291, section 2.5.5.2). Above the codecs a v4-mapped IPv6 address is an IPv4 address.

/** An address as four words of 32 bits, most significant first, in host order. */
export type Words = readonly [number, number, number, number];

/** An IP address. */
export interface Address {
  readonly words: Words;
}

/** All addresses that begin with the first `length` bits of `address`. IPv4 prefixes count from 96. */
export interface Prefix extends Address {
  /** 0 to 128. */
  readonly length: number;
}

const MAPPED = 0xffff;

/** Whether the words are those of an IPv4 address. */
export function isIPv4({ words }: Address): boolean {
  return words[0] === 0 && words[1] === 0 && words[2] === MAPPED;
}

/** Returns the IPv4 address whose 32 bits, in host order, are `word`. */
export function ipv4(word: number): Address {
  return { words: [0, 0, MAPPED, word >>> 0] };
}

/** 127.0.0.1 */
export const LOOPBACK: Address = ipv4(0x7f000001);

const DOT = 46;
const ZERO = 48;

/** Parses character by character, which is the fastest way for thousands of addresses before the engine optimises. */
function parseIPv4(text: string): number | null {
  const { length } = text;
  if (length > 15) return null;
  let word = 0;
  let octets = 0;
  let octet = 0;
  let digits = 0;
  for (let i = 0; i <= length; i++) {
    const code = i < length ? text.charCodeAt(i) : DOT;
    if (code === DOT) {
      if (digits === 0 || octet > 255) return null;
      word = word * 256 + octet;
      octets++;
      octet = 0;
      digits = 0;
      continue;
    }
    const digit = code - ZERO;
    // A leading zero means octal to some programs and nothing to others: refused, as inet_pton(3) does.
    if (digit < 0 || digit > 9 || (octet === 0 && digits > 0)) return null;
    octet = octet * 10 + digit;
    digits++;
  }
  return octets === 4 ? word : null;
}

function parseIPv6(text: string): Words | null {
  const [, groupsText, octets] = /^(.*:)([^:]*\.[^:]*)$/.exec(text) ?? [];
  if (octets !== undefined) {
    const word = parseIPv4(octets);
    if (word === null) return null;
    text = `${groupsText}${(word >>> 16).toString(16)}:${(word & 0xffff).toString(16)}`;
  }
  const halves = text.split("::");
  if (halves.length > 2) return null;
  const [before = [], after = []] = halves.map((half) => half === "" ? [] : half.split(":"));
  const given = [...before, ...after];
  if (!given.every((group) => /^[0-9a-f]{1,4}$/i.test(group))) return null;
  const missing = 8 - given.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return null;
  const groups = new DataView(new ArrayBuffer(16));
  before.forEach((group, i) => groups.setUint16(2 * i, parseInt(group, 16)));
  after.forEach((group, i) => groups.setUint16(2 * (before.length + missing + i), parseInt(group, 16)));
  return [groups.getUint32(0), groups.getUint32(4), groups.getUint32(8), groups.getUint32(12)];
}

/** Reads an IPv4 address (four decimal octets) or an IPv6 address (any spelling of RFC 4291); null for neither. */
export function parseAddress(text: string): Address | null {
  const word = parseIPv4(text);
  if (word !== null) return ipv4(word);
  const words = parseIPv6(text);
  return words && { words };
}

/** Returns the prefix that holds `address` alone. */
export function hostPrefix(address: Address): Prefix {
  return { words: address.words, length: 128 };
}

/** Reads `ADDRESS` or `ADDRESS/LENGTH`; null for neither. Bits beyond the length are cleared. */
export function parsePrefix(text: string): Prefix | null {
  const word = parseIPv4(text);
  if (word !== null) return hostPrefix(ipv4(word));
  const [, addressText, lengthText] = /^([^/]*)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  if (addressText === undefined) return null;
  const address = parseAddress(addressText);
  if (address === null) return null;
  if (lengthText === undefined) return hostPrefix(address);
  // "::ffff:10.0.0.0/104" and "10.0.0.0/8" are the same addresses, so the spelling decides how the length is counted.
  const length = Number(lengthText) + (addressText.includes(":") ? 0 : 96);
  if (length > 128) return null;
  return { words: maskWords(address.words, length), length };
}

/** Returns the words with all but the first `length` bits cleared. */
export function maskWords(words: Words, length: number): Words {
  return [
    (words[0] & prefixMask(length)) >>> 0,
    (words[1] & prefixMask(length - 32)) >>> 0,
    (words[2] & prefixMask(length - 64)) >>> 0,
    (words[3] & prefixMask(length - 96)) >>> 0,
  ];
}

/** Returns a word whose first `bits` bits are set: none below 1, all above 31. */
function prefixMask(bits: number): number {
  return bits <= 0 ? 0 : bits >= 32 ? -1 : -1 << (32 - bits);
}

/** Writes an IPv4 address as octets, an IPv6 address in the form of RFC 5952. */
export function formatAddress({ words }: Address): string {
  if (isIPv4({ words })) return formatIPv4(words[3]);
  const groups = words.flatMap((word) => [word >>> 16, word & 0xffff]);
  let [start, length] = [-1, 1];
  for (let i = 0; i < 8; i++) {
    let zeros = 0;
    while (i + zeros < 8 && groups[i + zeros] === 0) zeros++;
    if (zeros > length) [start, length] = [i, zeros];
  }
  const hex = (part: number[]) => part.map((group) => group.toString(16)).join(":");
  return start < 0 ? hex(groups) : `${hex(groups.slice(0, start))}::${hex(groups.slice(start + length))}`;
}

/** Texts of IPv4 addresses: many connections share few. The cache is emptied when it is full. */
const texts = new Map<number, string>();
const MAX_TEXTS = 65_536;

/** Writes the IPv4 address whose 32 bits, in host order, are `word`. */
export function formatIPv4(word: number): string {
  let text = texts.get(word);
  if (text !== undefined) return text;
  if (texts.size >= MAX_TEXTS) texts.clear();
  text = `${word >>> 24}.${(word >>> 16) & 255}.${(word >>> 8) & 255}.${word & 255}`;
  texts.set(word, text);
  return text;
}

/** Writes a prefix as `ADDRESS/LENGTH`, or as the address alone where it holds one. */
export function formatPrefix(prefix: Prefix): string {
  const text = formatAddress(prefix);
  if (prefix.length === 128) return text;
  return `${text}/${isIPv4(prefix) ? prefix.length - 96 : prefix.length}`;
}

/** Writes an endpoint as ss(8) does: `10.0.0.1:443`, `[2001:db8::1]:443`. */
export function formatEndpoint(address: string, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
