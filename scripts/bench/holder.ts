// A process that holds TCP connections and does nothing with them. It obeys lines on standard input:
//   listen ADDRESS PORT       accepts and keeps everything
//   connect ADDRESS PORT N    opens N connections and keeps them
//   count                     says how many it keeps
// and answers each, when it is done, with the number of connections that it keeps.

import { lines } from "../lines.ts";

const kept: Deno.Conn[] = [];

async function accept(listener: Deno.Listener): Promise<void> {
  for await (const connection of listener) kept.push(connection);
}

for await (const line of lines(Deno.stdin.readable)) {
  const [verb, ...rest] = line.split(" ");
  if (verb === "listen") {
    accept(Deno.listen({ hostname: rest[0], port: Number(rest[1]), tcpBacklog: 4096 }));
  } else if (verb === "connect") {
    const [hostname, port, count] = [rest[0], Number(rest[1]), Number(rest[2])];
    for (let opened = 0; opened < count;) {
      const batch = Math.min(200, count - opened);
      kept.push(...await Promise.all(Array.from({ length: batch }, () => Deno.connect({ hostname, port }))));
      opened += batch;
    }
  }
  console.log(kept.length);
}
