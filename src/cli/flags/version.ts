// The version, from the project's own description of itself.

import description from "../../../deno.json" with { type: "json" };

/** Semantic version, such as `1.2.3`. */
export const VERSION: string = description.version;
