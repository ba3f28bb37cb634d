// Times in words, for people: a table and a sentence want different ones.

/** Drops what toFixed pads: "5.70" is "5.7", "45.0" is "45". */
function decimal(value: number, digits: number): string {
  return String(Number(value.toFixed(digits)));
}

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** From which time on two units are written, the larger and the smaller. */
const UNITS = [
  { from: DAY, larger: "d", part: HOUR, smaller: "h" },
  { from: HOUR, larger: "h", part: MINUTE, smaller: "min" },
  { from: MINUTE, larger: "min", part: SECOND, smaller: "s" },
];

/**
 * Milliseconds in words, in at most two units: `2 h 11 min`, `15 min 25 s`, `4.2 s`, `200 ms`. null is `never`.
 */
export function formatDuration(ms: number | null): string {
  if (ms === null) return "never";
  for (const { from, larger, part, smaller } of UNITS) {
    const rounded = Math.round(ms / part) * part;
    if (rounded < from) continue;
    const rest = (rounded % from) / part;
    const whole = `${Math.floor(rounded / from)} ${larger}`;
    return rest === 0 ? whole : `${whole} ${rest} ${smaller}`;
  }
  return Math.round(ms) < SECOND ? `${decimal(ms, 0)} ms` : `${decimal(ms / SECOND, 1)} s`;
}

/** Milliseconds in one unit, as a column of a table wants them: `11.25 min`, `45 s`, `never`. */
export function formatMinutes(ms: number | null): string {
  if (ms === null || ms < MINUTE) return formatDuration(ms);
  return `${decimal(ms / MINUTE, 2)} min`;
}
