// Text, line by line, as it comes.

/** Splits text into its lines, without their ends. */
export class TextLineStream extends TransformStream<string, string> {
  constructor() {
    let pending = "";
    super({
      transform(chunk, controller) {
        const lines = (pending + chunk).split("\n");
        pending = lines.pop()!;
        for (const line of lines) controller.enqueue(line);
      },
      flush(controller) {
        if (pending !== "") controller.enqueue(pending);
      },
    });
  }
}

/** Lines of a stream, as they come. */
export class Lines {
  readonly #reader: ReadableStreamDefaultReader<string>;

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#reader = stream.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream()).getReader();
  }

  /** Waits for so many. */
  async next(count: number): Promise<string[]> {
    const lines: string[] = [];
    while (lines.length < count) {
      const { value, done } = await this.#reader.read();
      if (done) throw new Error(`it ended, having said: ${lines.join("; ")}`);
      lines.push(value);
    }
    return lines;
  }

  /** All that come until the end. */
  async rest(): Promise<string[]> {
    const lines: string[] = [];
    for (;;) {
      const { value, done } = await this.#reader.read();
      if (done) return lines;
      lines.push(value);
    }
  }

  /** Leaves the rest unread. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#reader.cancel();
  }
}
