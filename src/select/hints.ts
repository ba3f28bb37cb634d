// Suggests what a mistyped DEST or PORT may mean. A suggestion only ends a message; it is never carried out.

import { parsePrefix } from "../model/address.ts";
import type { NamedCondition, Wording } from "../model/wording.ts";
import type { Side } from "./filter.ts";

/** Returns the end of a message about a text that is no address: a suggestion; null when there is none. */
export function suggestAddress(text: string, side: Side, words: Wording): string | null {
  if (/^[^\s,]+(,[^\s,]+)+$/.test(text)) return `did you mean ${each(side, text, words)}?`;
  // 0 is no suggestion: with "any" it would select everything.
  if (/^[1-9]\d{0,4}$/.test(text) && Number(text) <= 65535) return `did you mean ${atPort(side, null, text, words)}?`;
  const [host, port] = withPort(text);
  if (host !== undefined && isHost(host)) return `did you mean ${atPort(side, host, port, words)}?`;
  const ascii = asciiOf(text);
  return ascii === null ? null : `a name with other letters is asked for in ASCII: did you mean "${ascii}"?`;
}

/** Returns the end of a message about a text that is no port: a suggestion; null when there is none. */
export function suggestPort(text: string, side: Side, words: Wording): string | null {
  if (/^[\w-]+(,[\w-]+)+$/.test(text)) return `did you mean ${each(PORT_OF[side], text, words)}?`;
  const [, from, to] = /^(\d+)(?::|\.\.)(\d+)$/.exec(text) ?? [];
  if (from !== undefined) return `did you mean "${from}-${to}"?`;
  const [, port] = /^:([\w-]+)$/.exec(text) ?? /^([\w-]+)\/tcp$/.exec(text) ?? [];
  return port === undefined ? null : `did you mean "${port}"?`;
}

/** Returns a suggestion for an address that reads like one with a port, such as `::1:443`; null for other text. */
export function suggestAddressWithPort(text: string): string | null {
  // No host has such an address (RFC 4291, 2.5.5.1). After other prefixes the last group is likely part of the address.
  const [, host, port] = /^(::[\da-f]{1,4}):(\d{1,4})$/i.exec(text) ?? [];
  return host === undefined ? null : `${host} apart from its port ${port}, or [${text}] for that address`;
}

const PORT_OF = { dst: "dport", src: "sport" } as const;

/** Writes a list as one condition for each of its elements. */
function each(option: string, list: string, words: Wording): string {
  return words.conditions(list.split(",").map((text) => [option, text]));
}

function atPort(side: Side, host: string | null, port: string | undefined, words: Wording): string {
  if (host !== null && !port) return `"${host}"`;
  const conditions: NamedCondition[] = host === null ? [] : [[side, host]];
  return words.conditions(port ? [...conditions, [PORT_OF[side], port]] : conditions);
}

/** Splits `host:port`, or a URL, into host and port. */
function withPort(text: string): [host?: string, port?: string] {
  const [, scheme = "", urlHost, urlPort] =
    /^([a-z][a-z\d+.-]*):\/\/(?:[^@/]*@)?(\[[^\]]*\]|[^:/?#]+)(?::(\d+))?/i.exec(text) ?? [];
  if (urlHost !== undefined) {
    return [bare(urlHost), urlPort ?? (/^https?$/i.test(scheme) ? scheme.toLowerCase() : undefined)];
  }
  const [, host, port] = /^(.+):([\w-]+)$/.exec(text) ?? [];
  return host === undefined ? [] : [bare(host), port];
}

function bare(host: string): string {
  return host.replace(/^\[(.*)\]$/, "$1");
}

function isHost(text: string): boolean {
  return parsePrefix(text) !== null || (/^\w([\w.-]*\w)?$/.test(text) && !/^[\d.]+$/.test(text));
}

/** Returns the ASCII form (punycode, RFC 5891) of an internationalised name; null for other text. */
function asciiOf(text: string): string | null {
  if (/^[!-~]*$/.test(text) || !/^[\p{L}\p{M}\p{N}.-]+$/u.test(text)) return null;
  const url = URL.canParse(`http://${text}`) ? new URL(`http://${text}`) : null;
  return url?.hostname || null;
}
