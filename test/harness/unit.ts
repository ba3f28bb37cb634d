// The units in scripts/systemd, as lists of settings.

const DIRECTORY = new URL("../../scripts/systemd/", import.meta.url).pathname;

/** Where the units are. Every function here is about the first one unless told otherwise. */
export const UNIT = `${DIRECTORY}tcphup-keepalive.service`;
export const WATCH_UNIT = `${DIRECTORY}tcphup-keepalive-watch.service`;
export const FOLLOW_UNIT = `${DIRECTORY}tcphup-follow@.service`;

/** The values of a setting, in order. */
export async function unitSetting(name: string, unit = UNIT): Promise<string[]> {
  const lines = (await Deno.readTextFile(unit)).split("\n");
  return lines.filter((line) => line.startsWith(`${name}=`)).map((line) => line.slice(name.length + 1));
}

/** The capabilities that it leaves, as setpriv(1) spells them. */
export async function unitCapabilities(unit = UNIT): Promise<string[]> {
  const [set] = await unitSetting("CapabilityBoundingSet", unit);
  return set!.split(" ").map((name) => name.toLowerCase().replace("cap_", ""));
}

/** What it runs tcphup with. */
export async function unitCommand(unit = UNIT): Promise<string[]> {
  const [command] = await unitSetting("ExecStart", unit);
  return command!.split(" ").slice(1);
}
