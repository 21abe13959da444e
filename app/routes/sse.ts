/** `GET /sse`: plain Server-Sent Events, PROTOCOL.md section 4. */

import { Hono } from "hono";
import type { Admission } from "../../lib/downstream/admission.ts";
import type { Context } from "../../lib/downstream/context.ts";
import { openEventStream, printFarewell } from "../../lib/downstream/sse.ts";
import { Refusal } from "../../lib/errors.ts";
import type { Request as TopicRequest } from "../../lib/subscriptions.ts";
import { acceptsGzip } from "../../lib/wire/encoding.ts";
import { MAX_RATE, MAX_TOPICS_PER_MESSAGE, MIN_RATE } from "../../lib/wire/message.ts";
import type { Bindings } from "../host.ts";
import { answerOf, retryMsOf } from "../refusal.ts";
import { readDelta } from "./delta.ts";

export function sseRoute(
  context: Context,
  admissions: ReadonlyMap<string, Admission>,
): Hono<{ Bindings: Bindings }> {
  const app = new Hono<{ Bindings: Bindings }>();
  app.get("/sse", async (c) => {
    context.sessions.admit();
    const query = new URL(c.req.url).searchParams;
    const delta = readDelta(query);
    const envelope = readFlag(query, "envelope") || delta;
    const requests = readRequests(query, c.req.header("last-event-id"), { envelope });
    const verdict = await admissions.get(hubOf(context, requests))?.judge(c.req.raw);
    const refusal = verdict && answerOf(verdict);
    if (refusal) return refusal;
    const gzip = context.compression === "auto" && acceptsGzip(c.req.header("accept-encoding"));
    const { cut } = c.env;
    const body = openEventStream(context, requests, { envelope, delta, gzip, cut });
    return c.body(body, 200, gzip ? { ...EVENT_STREAM, "content-encoding": "gzip" } : EVENT_STREAM);
  });
  app.onError((error, c) => {
    const retryMs = error instanceof Refusal ? retryMsOf(error) : undefined;
    if (retryMs === undefined || !wantsEvents(c.req.header("accept"))) throw error;
    context.stats.refusals++;
    const envelope = c.req.query("envelope") === "true" || c.req.query("delta") !== undefined;
    return c.body(printFarewell(retryMs, { envelope }), 200, EVENT_STREAM);
  });
  return app;
}

const EVENT_STREAM = {
  "content-type": "text/event-stream",
  "cache-control": "no-cache, no-store, no-transform",
  // nginx buffers responses unless it is told not to.
  "x-accel-buffering": "no",
  vary: "Accept-Encoding",
} as const;

/** Whether it is an `EventSource`: it comes back by itself, but not after another status than 200. */
function wantsEvents(accept: string | undefined): boolean {
  return accept?.toLowerCase().includes("text/event-stream") === true;
}

function readRequests(
  query: URLSearchParams,
  lastEventId: string | undefined,
  { envelope }: { readonly envelope: boolean },
): TopicRequest[] {
  const topics = query.getAll("topic");
  if (topics.length === 0) {
    throw new Refusal("invalid_request", 'Missing query parameter "topic"');
  }
  if (topics.length > MAX_TOPICS_PER_MESSAGE) {
    const text = `A stream may have ${MAX_TOPICS_PER_MESSAGE} topics at most, not ${topics.length}`;
    throw new Refusal("too_many_topics", text);
  }
  const since = readEach(query, "since", topics.length);
  const rates = readEach(query, "rate", topics.length).map(readRate);
  // Topics at several rates are told of at different times, so that no `id` is true for all.
  const isOnePace = new Set(rates).size === 1;
  if (!isOnePace && !envelope) {
    const text = 'Query parameter "rate" must be the same for all topics, unless envelope=true';
    throw new Refusal("invalid_request", text);
  }
  return topics.map((topic, i) => ({
    topic,
    // A client that reconnects sends the URL it first had: the header is newer.
    since: isOnePace ? (lastEventId ?? since[i]) : since[i],
    rate: rates[i],
  }));
}

/** A parameter that stands once for all topics, or once for each; empty is none. */
function readEach(
  query: URLSearchParams,
  name: string,
  topicCount: number,
): (string | undefined)[] {
  const values = query.getAll(name).map((value) => (value === "" ? undefined : value));
  if (values.length === topicCount) return values;
  if (values.length <= 1) return new Array(topicCount).fill(values[0]);
  const text = `Query parameter "${name}" stands ${values.length} times for ${topicCount} topics`;
  throw new Refusal("invalid_request", text);
}

function readRate(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const rate = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  if (rate >= MIN_RATE && rate <= MAX_RATE) return rate;
  const message = `Query parameter "rate" must be a number from ${MIN_RATE} to ${MAX_RATE}, not "${text}"`;
  throw new Refusal("invalid_request", message);
}

function readFlag(query: URLSearchParams, name: string): boolean {
  const value = query.get(name) ?? "false";
  if (value === "true" || value === "false") return value === "true";
  throw new Refusal("invalid_request", `Query parameter "${name}" must be true or false`);
}

/**
 * The path of the hub that all topics belong to.
 * @throws {Refusal} when there are several: one `id` serves all topics, so they must share one sequence
 */
function hubOf({ relay }: Context, requests: readonly TopicRequest[]): string {
  const [first, ...others] = requests.map(({ topic }) => ({ topic, ...relay.find(topic) }));
  for (const { topic, feed } of others) {
    if (feed === first?.feed) continue;
    const text = `The topics of one stream must belong to one hub, and "${topic}" belongs to another`;
    throw new Refusal("invalid_request", text, topic);
  }
  return first?.feed.spec.path ?? "";
}
