// netlink(7): `struct nlmsghdr` and `struct nlattr` of <linux/netlink.h>. All integers are in host order, which is
// little-endian on both machines that tcphup runs on.

export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;

export const NLM_F_REQUEST = 0x1;
export const NLM_F_ACK = 0x4;
/** NLM_F_ROOT | NLM_F_MATCH */
export const NLM_F_DUMP = 0x300;
/** Set on a message of a dump that may be inconsistent. sock_diag never sets it, other families do. */
export const NLM_F_DUMP_INTR = 0x10;

/** sizeof(struct nlmsghdr): {u32 len, u16 type, u16 flags, u32 seq, u32 pid} */
export const NLMSGHDR_SIZE = 16;
/** sizeof(struct nlattr): {u16 len, u16 type} */
export const NLATTR_SIZE = 4;

/** Rounds a length up to a multiple of four: NLMSG_ALIGN and NLA_ALIGN. */
export function align4(length: number): number {
  return (length + 3) & ~3;
}

/** A netlink message: header, then `payload` (its own length already a multiple of four), then `attributes`. */
export function encodeMessage(
  type: number,
  flags: number,
  sequence: number,
  payload: Uint8Array,
  attributes: readonly Uint8Array[] = [],
): Uint8Array {
  const length = attributes.reduce((sum, attribute) => sum + attribute.length, NLMSGHDR_SIZE + payload.length);
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, length, true);
  view.setUint16(4, type, true);
  view.setUint16(6, flags, true);
  view.setUint32(8, sequence, true);
  bytes.set(payload, NLMSGHDR_SIZE);
  let offset = NLMSGHDR_SIZE + payload.length;
  for (const attribute of attributes) {
    bytes.set(attribute, offset);
    offset += attribute.length;
  }
  return bytes;
}

/**
 * An attribute, padded to a multiple of four.
 *
 * @throws {RangeError} When the value is longer than the 16 bits of `nla_len` can say.
 */
export function encodeAttribute(type: number, value: Uint8Array): Uint8Array {
  const length = NLATTR_SIZE + value.length;
  if (length > 0xffff) throw new RangeError(`Netlink attribute is ${length} bytes: at most 65535`);
  const bytes = new Uint8Array(align4(length));
  const view = new DataView(bytes.buffer);
  view.setUint16(0, length, true);
  view.setUint16(2, type, true);
  bytes.set(value, NLATTR_SIZE);
  return bytes;
}

/** Says that a message does not keep to its own lengths, so that nothing it says can be relied upon. */
export class GarbledMessageError extends Error {
  override readonly name = "GarbledMessageError";
}

/** The largest errno that the kernel returns: MAX_ERRNO. */
const MAX_ERRNO = 4095;

/**
 * Returns the errno (positive, 0 for none) in the payload of an NLMSG_ERROR or an NLMSG_DONE that starts at `offset`; null
 * where it holds none.
 */
export function messageErrno(view: DataView, offset: number, end: number): number | null {
  const payload = offset + NLMSGHDR_SIZE;
  if (payload + 4 > end) return null;
  const errno = -view.getInt32(payload, true);
  return errno >= 0 && errno <= MAX_ERRNO ? errno : null;
}

/**
 * Finds an attribute among those from `from` to `end`. Returns where its value begins, −1 when there is none.
 *
 * @param size How many bytes the value has at least.
 * @throws {GarbledMessageError} When the value is shorter, or an attribute on the way to it does not fit.
 */
export function findAttribute(view: DataView, from: number, end: number, type: number, size: number): number {
  for (let offset = from; offset + NLATTR_SIZE <= end;) {
    const length = view.getUint16(offset, true);
    if (length < NLATTR_SIZE || offset + length > end) {
      throw new GarbledMessageError("a netlink attribute does not fit");
    }
    if (view.getUint16(offset + 2, true) === type) {
      if (length < NLATTR_SIZE + size) throw new GarbledMessageError("a netlink attribute is shorter than its value");
      return offset + NLATTR_SIZE;
    }
    offset += align4(length);
  }
  return -1;
}
