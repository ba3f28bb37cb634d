// The hidden command by which tcphup starts itself as the engine: see front.ts. SHARED,FRONT and the user's words follow.

export const ENGINE = "internal-engine";
