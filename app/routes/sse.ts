/** `GET /sse`: plain Server-Sent Events, PROTOCOL.md section 4. */

import { Hono } from "hono";
import type { Admission } from "../../lib/downstream/admission.ts";
import type { Context } from "../../lib/downstream/context.ts";
import { openEventStream } from "../../lib/downstream/sse.ts";
import { Refusal } from "../../lib/errors.ts";
import type { Request as TopicRequest } from "../../lib/subscriptions.ts";
import { MAX_TOPICS_PER_MESSAGE } from "../../lib/wire/message.ts";
import { answerOf, assertRoom } from "../refusal.ts";

export function sseRoute(context: Context, admissions: ReadonlyMap<string, Admission>): Hono {
  return new Hono().get("/sse", async (c) => {
    assertRoom(context);
    const query = new URL(c.req.url).searchParams;
    const requests = readRequests(query, c.req.header("last-event-id"));
    const verdict = await admissions.get(hubOf(context, requests))?.judge(c.req.raw);
    const refusal = verdict && answerOf(verdict);
    if (refusal) return refusal;
    const body = openEventStream(context, requests, { envelope: readFlag(query, "envelope") });
    return c.body(body, 200, {
      "content-type": "text/event-stream",
      "cache-control": "no-cache, no-store, no-transform",
      // nginx buffers responses unless it is told not to.
      "x-accel-buffering": "no",
    });
  });
}

function readRequests(query: URLSearchParams, lastEventId: string | undefined): TopicRequest[] {
  const topics = query.getAll("topic");
  if (topics.length === 0) {
    throw new Refusal("invalid_request", 'Missing query parameter "topic"');
  }
  if (topics.length > MAX_TOPICS_PER_MESSAGE) {
    const text = `A stream may have ${MAX_TOPICS_PER_MESSAGE} topics at most, not ${topics.length}`;
    throw new Refusal("too_many_topics", text);
  }
  const since = query.getAll("since");
  if (since.length > 1 && since.length !== topics.length) {
    const text = `Query parameter "since" stands ${since.length} times for ${topics.length} topics`;
    throw new Refusal("invalid_request", text);
  }
  return topics.map((topic, i) => {
    // A client that reconnects sends the URL it first had: the header is newer.
    const position = lastEventId ?? (since.length > 1 ? since[i] : since[0]);
    return { topic, since: position === "" ? undefined : position };
  });
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
