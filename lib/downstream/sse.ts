/** Plain Server-Sent Events, PROTOCOL.md section 4: one session for each stream of `/sse`. */

import type { Timer } from "../clock.ts";
import { type Format, render } from "../fanout/format.ts";
import type { Cut } from "../socket.ts";
import type { Request, Subscriptions, SubscriptionsOptions } from "../subscriptions.ts";
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
import { createStreamSink, type StreamSink } from "./stream-sink.ts";
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

export interface EventStreamOptions {
  readonly envelope: boolean;
  /** Whether it asked for deltas, which come in envelopes only. */
  readonly delta?: boolean;
  /** Whether the body is compressed. */
  readonly gzip?: boolean;
  /** Breaks the connection of a client that was sent away and does not read. */
  readonly cut?: Cut | undefined;
}

/**
 * Serves one client.
 * @param requests topics of one hub
 * @returns the response's body
 * @throws {Refusal} when a topic is refused, before anything is streamed
 */
export function openEventStream(
  context: Context,
  requests: readonly Request[],
  options: EventStreamOptions,
): ReadableStream<Uint8Array> {
  return new EventStreamSession(context, requests, options).sink.body;
}

/** A class: there is one for each connection, and closures would take several times the memory. */
class EventStreamSession implements Session, SubscriptionsOptions {
  readonly transport = "sse";
  readonly sink: StreamSink;
  readonly format: Format;
  readonly maxTopics: number;
  readonly #context: Context;
  readonly #envelope: boolean;
  readonly #subscriptions: Subscriptions;
  readonly #heartbeat: Timer;

  constructor(context: Context, requests: readonly Request[], options: EventStreamOptions) {
    const { relay, sessions, limits, wheel, heartbeatMs, random } = context;
    const { envelope, delta, gzip, cut } = options;
    const stream = createStreamSink(() => this.#leave(), { wheel, cut });
    const sink = gzip ? createGzipSink(stream) : stream;
    this.sink = sink;
    this.format = delta ? envelopeDeltaFormat : envelope ? envelopeFormat : sseFormat;
    this.maxTopics = limits.topicsPerConnection;
    this.#context = context;
    this.#envelope = envelope;
    this.#subscriptions = relay.subscriptions(this);
    const retryMs = RETRY_MS + Math.floor(random() * RETRY_MS);
    sink.send(encoder.encode(`${printComment(PADDING_BYTES)}retry: ${retryMs}\n\n`));
    this.#heartbeat = wheel.every(heartbeatMs, () => sink.send(HEARTBEAT));
    sessions.add(this);
    try {
      this.#subscriptions.open(requests);
    } catch (error) {
      this.#leave();
      throw error;
    }
  }

  drain(retryMs: number): void {
    const { sink } = this;
    sink.send(encoder.encode(printFarewell(retryMs, { envelope: this.#envelope })));
    this.#end();
  }

  onSlow(): void {
    this.#context.stats.slowDisconnects++;
    this.#end();
  }

  #leave(): void {
    this.#heartbeat.cancel();
    this.#subscriptions.closeAll();
    this.#context.sessions.remove(this);
  }

  #end(): void {
    this.#leave();
    this.sink.close();
  }
}
