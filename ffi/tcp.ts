// The socket options of tcp(7) that bear on keepalive: numbers from <linux/tcp.h>, the same on every architecture.

export { TCP_USER_TIMEOUT } from "./libc.ts";

export const TCP_MAXSEG = 2;
export const TCP_KEEPIDLE = 4;
export const TCP_KEEPINTVL = 5;
export const TCP_KEEPCNT = 6;
export const TCP_SYNCNT = 7;
export const TCP_DEFER_ACCEPT = 9;
export const TCP_WINDOW_CLAMP = 10;
