// Makes .github/demo.svg, the picture of a terminal at the top of README.md, from a run of the demonstration:
// `deno task picture`. It is light or dark as the reader's screen is.

import { run } from "./process.ts";
import { ROOT } from "./tools.ts";

/** Where the picture is. */
export const PICTURE = `${ROOT}.github/demo.svg`;

/** In pixels. A character of the usual monospaced fonts is 0.6 of their size wide. */
const FONT_SIZE = 14;
const CHARACTER = 0.6 * FONT_SIZE;
const LINE = 20;
const MARGIN = 20;

/** What begins green text on a terminal. */
const GREEN = "\x1b[32m";

const STYLE = `
  text { font: ${FONT_SIZE}px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #1f2328 }
  rect { fill: #f6f8fa; stroke: #d1d9e0 }
  .command { font-weight: bold }
  .good { fill: #1a7f37 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc }
    rect { fill: #151b23; stroke: #3d444d }
    .good { fill: #3fb950 }
  }
`;

function escapeXml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function withoutColor(line: string): string {
  // deno-lint-ignore no-control-regex
  return line.replace(/\x1b\[\d*m/g, "");
}

/** The elements of one line of a terminal, in which green is the only color: one for each cell of a table. */
function* textElements(line: string, y: number): Generator<string> {
  let [column, good] = [0, false];
  // deno-lint-ignore no-control-regex
  for (const part of line.split(/(\x1b\[\d*m| {2,})/)) {
    if (part.startsWith("\x1b")) {
      good = part === GREEN;
      continue;
    }
    if (part.trim() !== "") {
      const style = good ? ' class="good"' : line.startsWith("$ ") ? ' class="command"' : "";
      const x = Math.round(MARGIN + column * CHARACTER);
      yield `<text x="${x}" y="${y}"${style}>${escapeXml(part.trim())}</text>`;
    }
    column += part.length;
  }
}

/** What a terminal shows, as a picture in SVG. */
export function pictureOf(output: string): string {
  const lines = output.trimEnd().split("\n");
  const columns = Math.max(...lines.map((line) => withoutColor(line).length));
  const [width, height] = [Math.ceil(columns * CHARACTER) + 2 * MARGIN, lines.length * LINE + 2 * MARGIN];
  const texts = lines.flatMap((line, i) => [...textElements(line, MARGIN + LINE * i + FONT_SIZE)]);
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">
<style>${STYLE}</style>
<rect x="0.5" y="0.5" width="${width - 1}" height="${height - 1}" rx="8" />
${texts.join("\n")}
</svg>
`;
}

/** Runs the demonstration, and returns what a terminal shows. */
export async function demonstrate(): Promise<string> {
  const command = [Deno.execPath(), "run", "-A", "--no-config", `${ROOT}scripts/demo.ts`, "--color=always"];
  return `$ deno task demo\n${(await run(command, { cwd: ROOT })).stdout}`;
}

if (import.meta.main) await Deno.writeTextFile(PICTURE, pictureOf(await demonstrate()));
