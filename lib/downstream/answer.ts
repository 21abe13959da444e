/** Short HTTP answers of a SignalR endpoint. */

import { createStreamSink } from "./stream-sink.ts";

export const TEXT = { "content-type": "text/plain" } as const;

/** An answer without a body. */
export function empty(status: number, headers: Record<string, string>): Response {
  return new Response(null, { status, headers });
}

/** An answer with a text; its type is what the headers say, if they do. */
export function text(status: number, body: string, headers: Record<string, string>): Response {
  // A stream, as a string brings a type of its own, and on Bun bytes do, too.
  const sink = createStreamSink(() => {});
  sink.send(body);
  sink.close();
  return new Response(sink.body, { status, headers });
}
