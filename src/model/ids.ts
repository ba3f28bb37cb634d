// Numbers and names that the kernel gives. Each is a type of its own, so that one cannot stand for another by mistake. A
// plain number or text can, so that nothing has to be cast: the mark of the type is never there at run time.

/** Inode number of a socket. */
export type SocketInode = number & { readonly is?: "inode of a socket" };

/** Inode number of a network namespace. */
export type NetnsInode = number & { readonly is?: "inode of a network namespace" };

/** SO_COOKIE in hexadecimal, as in ss's `sk:`. No other socket has it until the next boot. */
export type Cookie = string & { readonly is?: "cookie of a socket" };

/** A cookie of two words, the lower one first, as ss(8) writes it. */
export function formatCookie(low: number, high: number): Cookie {
  return high === 0 ? low.toString(16) : high.toString(16) + low.toString(16).padStart(8, "0");
}

/** The number of a descriptor in another process. It means nothing in this one. */
export type ForeignFd = number & { readonly is?: "descriptor of another process" };
