// The hidden command by which tcphup starts itself as a helper: see ../crew.ts.

export const HELP_OUT = "help-out";
