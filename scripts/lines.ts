// Lines of a byte stream.

import { TextLineStream } from "@std/streams/text-line-stream";

/** Splits a stream of UTF-8 into its lines, without their ends. */
export function lines(stream: ReadableStream<Uint8Array>): ReadableStream<string> {
  const decoder = new TextDecoderStream() as TransformStream<Uint8Array, string>;
  return stream.pipeThrough(decoder).pipeThrough(new TextLineStream());
}
