/** A client of `/sse` that shows everything a stream holds, comments and raw text too. */

import { type IncomingHttpHeaders, type IncomingMessage, request } from "node:http";
import { createGunzip, constants as zlib } from "node:zlib";
import { createParser, type EventSourceMessage } from "eventsource-parser";
import { onTestFinished } from "vitest";
import { createInbox, type Inbox } from "./inbox.ts";

export interface SseClient {
  readonly headers: IncomingHttpHeaders;
  readonly events: Inbox<EventSourceMessage>;
  readonly comments: Inbox<string>;
  /** Values of `retry:`, ms. */
  readonly retries: Inbox<number>;
  /** All that came. */
  text(): string;
  /** All that came of a compressed stream, as it was on the wire. */
  wire(): Buffer;
  /** The `id` of the last event that had one. */
  lastId(): string;
  /** Takes the events of an opening, up to the `keryx.subscribed` of so many topics. */
  opening(topics?: number): Promise<EventSourceMessage[]>;
  /** The relay has ended the stream, or it was lost. */
  readonly ended: Promise<void>;
  /** Stops reading, and goes on. */
  pause(): void;
  resume(): void;
  /** Goes away. */
  close(): void;
}

/**
 * Opens a stream that ends with the test at the latest.
 * @param options.encodings what it accepts; decoded when it is gzip that comes
 * @throws Error with status and body when it is refused
 */
export async function openSse(
  url: string,
  { lastEventId, encodings }: { readonly lastEventId?: string; readonly encodings?: string } = {},
): Promise<SseClient> {
  const events = createInbox<EventSourceMessage>();
  const comments = createInbox<string>();
  const retries = createInbox<number>();
  let text = "";
  let lastId = "";

  const wire: Buffer[] = [];
  const response = await get(url, {
    ...(lastEventId === undefined ? {} : { "last-event-id": lastEventId }),
    ...(encodings === undefined ? {} : { "accept-encoding": encodings }),
  });
  onTestFinished(() => void response.destroy());
  const parser = createParser({
    onEvent(event) {
      lastId = event.id ?? lastId;
      events.push(event);
    },
    onComment: (comment) => comments.push(comment),
    onRetry: (retryMs) => retries.push(retryMs),
  });
  const isGzip = response.headers["content-encoding"] === "gzip";
  const body = isGzip ? response.pipe(createGunzip({ flush: zlib.Z_SYNC_FLUSH })) : response;
  if (isGzip) response.on("data", (chunk: Buffer) => wire.push(chunk));
  body.setEncoding("utf8");
  body.on("data", (chunk: string) => {
    text += chunk;
    parser.feed(chunk);
  });
  body.on("error", () => {}); // a close follows
  const ended = new Promise<void>((resolve) => body.once("close", resolve));
  void ended.then(() => {
    for (const inbox of [events, comments, retries]) inbox.end("The stream has ended");
  });

  return {
    headers: response.headers,
    events,
    comments,
    retries,
    text: () => text,
    wire: () => Buffer.concat(wire),
    lastId: () => lastId,
    async opening(topics = 1) {
      let open = 0;
      return events.until(({ event }) => event === "keryx.subscribed" && ++open === topics);
    },
    ended,
    pause: () => void response.pause(),
    resume: () => void response.resume(),
    close: () => void response.destroy(),
  };
}

async function get(url: string, headers: Record<string, string>): Promise<IncomingMessage> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const sent = request(url, {
      agent: false,
      headers: { accept: "text/event-stream", ...headers },
    });
    sent.once("response", resolve);
    sent.on("error", reject);
    sent.end();
  });
  if (response.statusCode === 200) return response;
  let body = "";
  for await (const chunk of response) body += String(chunk);
  throw new Error(`${url} answered ${response.statusCode}: ${body}`);
}
