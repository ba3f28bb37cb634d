// The version, from deno.json.

import description from "../../../deno.json" with { type: "json" };

/** The semantic version, such as `1.2.3`. */
export const VERSION: string = description.version;
