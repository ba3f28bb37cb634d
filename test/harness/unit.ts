// scripts/systemd/tcphup-keepalive.service, as a list of settings.

/** Where the unit is. */
export const UNIT = new URL("../../scripts/systemd/tcphup-keepalive.service", import.meta.url).pathname;

/** The values of a setting, in order. */
export async function unitSetting(name: string): Promise<string[]> {
  const lines = (await Deno.readTextFile(UNIT)).split("\n");
  return lines.filter((line) => line.startsWith(`${name}=`)).map((line) => line.slice(name.length + 1));
}

/** The capabilities that it leaves, as setpriv(1) spells them. */
export async function unitCapabilities(): Promise<string[]> {
  const [set] = await unitSetting("CapabilityBoundingSet");
  return set!.split(" ").map((name) => name.toLowerCase().replace("cap_", ""));
}

/** What it runs tcphup with. */
export async function unitCommand(): Promise<string[]> {
  const [command] = await unitSetting("ExecStart");
  return command!.split(" ").slice(1);
}
