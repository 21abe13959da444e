/** Short HTTP answers of a SignalR endpoint. */

import { createStreamSink } from "./stream-sink.ts";

export const TEXT = { "content-type": "text/plain" } as const;

export const DATA = { "content-type": "application/octet-stream" } as const;

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

/** An answer of another isolate, as it was there. */
export function revive({
  status,
  headers,
  body,
}: {
  readonly status: number;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Uint8Array<ArrayBuffer>;
}): Response {
  const fields = Object.fromEntries(headers);
  if (body.length === 0) return empty(status, fields);
  // Data is of a known length; texts are not, as above.
  if (fields["content-type"] === DATA["content-type"]) {
    return new Response(body, { status, headers: fields });
  }
  return text(status, new TextDecoder().decode(body), fields);
}
