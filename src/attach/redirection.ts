// Where connects go that go elsewhere: one address of each family, which the selection has to fit.

import type { Endpoint, Fate } from "../bpf/sock_addr.ts";
import { isIPv4 } from "../model/address.ts";
import { UsageError } from "../model/errors.ts";
import { usageError } from "../model/wording.ts";
import type { CompiledSelection } from "../select/compile_selection.ts";
import { parseEndpoint } from "../select/destination.ts";
import { mayChooseFamily, mayChoosePeer } from "../select/may_choose.ts";

/** Returns where connects go, by family. @throws {UsageError} */
export function redirection(targets: readonly string[], { filter }: CompiledSelection): Fate {
  const endpoints: { ipv4: Endpoint | null; ipv6: Endpoint | null } = { ipv4: null, ipv6: null };
  for (const text of targets) {
    const { address, port } = parseEndpoint(text);
    const family = isIPv4(address) ? "ipv4" : "ipv6";
    if (endpoints[family] !== null) {
      throw conflict(
        `Connects cannot go to both ${targets.join(" and ")}: expected one address of each family at most`,
      );
    }
    if (!mayChooseFamily(filter, family === "ipv4" ? 4 : 6)) {
      throw conflict(`Connects cannot go to "${text}": none of the selected addresses is of its family`);
    }
    if (mayChoosePeer(filter, address, port)) {
      throw usageError(
        ({ name }) =>
          `Connects cannot go to "${text}", which is selected itself: leave it out with ${name("not.dst")} ` +
          `${text.replace(/(?<=\.\d+):\d+$|^\[|\](?::\d+)?$/g, "")}`,
        { code: "conflict", option: "redirect.to" },
      );
    }
    endpoints[family] = { words: address.words, port };
  }
  for (const [version, family] of [[4, "ipv4"], [6, "ipv6"]] as const) {
    if (endpoints[family] !== null || !mayChooseFamily(filter, version)) continue;
    const other = version === 4 ? 6 : 4;
    throw usageError(
      (words) =>
        `IPv${version} addresses are selected too, from which connects cannot go to ${
          targets.join(" or ")
        }: expected ` +
        `${words.name("redirect.to")} with an IPv${version} address as well, or ${words.quote("version", other)}`,
      { code: "conflict", option: "redirect.to" },
    );
  }
  return { op: "redirect", ...endpoints };
}

function conflict(message: string): UsageError {
  return new UsageError(message, { code: "conflict", option: "redirect.to" });
}
