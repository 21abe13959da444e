/** Plain Server-Sent Events, PROTOCOL.md section 4: one session for each stream of `/sse`. */

import { type Format, render } from "../fanout/format.ts";
import type { Cut } from "../socket.ts";
import type { Request } from "../subscriptions.ts";
import type { Message, Publication } from "../topic/publication.ts";
import {
  noticeFields,
  printData,
  printDrain,
  printNotice,
  printPublication,
} from "../wire/message.ts";
import { printComment, printEvent } from "../wire/sse.ts";
import type { Context } from "./context.ts";
import { createGzipSink } from "./gzip.ts";
import type { Session } from "./sessions.ts";
import { createStreamSink } from "./stream-sink.ts";
import { wsDeltaFormat } from "./ws.ts";

const encoder = new TextEncoder();

function frame(events: readonly unknown[]): Uint8Array {
  return encoder.encode(events.length === 1 ? (events[0] as string) : events.join(""));
}

/** Publications as events named after their target, everything else as `keryx.…`. */
export const sseFormat: Format = {
  name: "sse",
  stateful: true,
  kept: true,
  publication: (publication) => event(publication, publication.position),
  notice(notice) {
    if (notice.type === "value") return event(notice.publication);
    const { type, position, json } = noticeFields(notice);
    return printEvent({ event: `keryx.${type}`, data: json, ...idOf(position) });
  },
  frame,
};

function event(publication: Publication, position?: string): string {
  return printEvent({
    event: publication.event,
    data: printData(publication),
    ...idOf(position),
  });
}

/** Every event unnamed, its data a message as on `/ws`. */
export const envelopeFormat: Format = {
  name: "sse-envelope",
  stateful: true,
  kept: true,
  publication: (publication) =>
    printEvent({
      data: printPublication(publication, publication.position),
      id: publication.position,
    }),
  notice: (notice) =>
    printEvent({
      data: printNotice(notice),
      ...idOf("position" in notice ? notice.position : undefined),
    }),
  frame,
};

/** As `envelopeFormat`, of the messages of `wsDeltaFormat`: a delta is made once for both. */
export const envelopeDeltaFormat: Format = {
  ...envelopeFormat,
  name: "sse-delta",
  publication: (publication) =>
    printEvent({ data: deltaMessage(publication), id: publication.position }),
  whole: (publication) =>
    printEvent({
      data: deltaMessage({ type: "newest", publication }),
      id: publication.position,
    }),
  notice: (notice) =>
    notice.type === "value"
      ? printEvent({ data: deltaMessage(notice) })
      : envelopeFormat.notice(notice),
};

function deltaMessage(message: Message): string {
  return render(wsDeltaFormat, message) as string; // as all that is made for a socket
}

function idOf(position: string | undefined): { id?: string } {
  return position === undefined ? {} : { id: position };
}

/** The last event of a stream: sends its client away for so long. */
export function printFarewell(
  retryMs: number,
  { envelope }: { readonly envelope: boolean },
): string {
  if (envelope) return printEvent({ data: printDrain(retryMs), retryMs });
  return printEvent({ event: "keryx.drain", data: JSON.stringify({ retryMs }), retryMs });
}

/** First bytes of a stream, and heartbeats: small ones have been seen to stick in proxies. */
const PADDING_BYTES = 256;
const HEARTBEAT: Uint8Array = encoder.encode(printComment(PADDING_BYTES));

/** A client reconnects after this and up to as much again, ms: those who were cut together spread. */
const RETRY_MS = 1000;

/**
 * Serves one client.
 * @param requests topics of one hub
 * @param options.delta whether it asked for deltas, which come in envelopes only
 * @param options.gzip whether the body is compressed
 * @param options.cut breaks the connection of a client that was sent away and does not read
 * @returns the response's body
 * @throws {Refusal} when a topic is refused, before anything is streamed
 */
export function openEventStream(
  context: Context,
  requests: readonly Request[],
  {
    envelope,
    delta = false,
    gzip = false,
    cut,
  }: {
    readonly envelope: boolean;
    readonly delta?: boolean;
    readonly gzip?: boolean;
    readonly cut?: Cut | undefined;
  },
): ReadableStream<Uint8Array> {
  const { relay, sessions, stats, limits, wheel, heartbeatMs, random } = context;
  const stream = createStreamSink(leave, { wheel, cut });
  const sink = gzip ? createGzipSink(stream) : stream;
  const subscriptions = relay.subscriptions({
    sink,
    format: delta ? envelopeDeltaFormat : envelope ? envelopeFormat : sseFormat,
    maxTopics: limits.topicsPerConnection,
    onSlow() {
      stats.slowDisconnects++;
      end();
    },
  });
  const retryMs = RETRY_MS + Math.floor(random() * RETRY_MS);
  sink.send(encoder.encode(`${printComment(PADDING_BYTES)}retry: ${retryMs}\n\n`));
  subscriptions.open(requests);

  const session: Session = {
    transport: "sse",
    drain(retryMs) {
      sink.send(encoder.encode(printFarewell(retryMs, { envelope })));
      end();
    },
  };
  const heartbeat = wheel.every(heartbeatMs, () => sink.send(HEARTBEAT));
  sessions.add(session);
  return sink.body;

  function leave(): void {
    heartbeat.cancel();
    subscriptions.closeAll();
    sessions.remove(session);
  }

  function end(): void {
    leave();
    sink.close();
  }
}
