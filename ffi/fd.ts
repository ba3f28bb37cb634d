// Numbers of descriptors. Each is a type of its own, so that one cannot stand for the other by mistake. A plain number can.

/** The number of a descriptor in another process. It means nothing in this one. */
export type ForeignFd = number & { readonly is?: "descriptor of another process" };

/** The number of a descriptor of this process. It means nothing in another one. */
export type OwnFd = number & { readonly is?: "descriptor of this process" };
