/** `GET /topics/{topic}`: the newest state as JSON, PROTOCOL.md section 5. */

import { Hono } from "hono";
import type { Admission } from "../../lib/downstream/admission.ts";
import type { Context } from "../../lib/downstream/context.ts";
import { printState } from "../../lib/wire/message.ts";
import { answerOf } from "../refusal.ts";

export function topicsRoute(context: Context, admissions: ReadonlyMap<string, Admission>): Hono {
  return new Hono().get("/topics/:topic{.+}", async (c) => {
    context.sessions.assertRoom();
    const topic = c.req.param("topic");
    const { feed } = context.relay.find(topic);
    const verdict = await admissions.get(feed.spec.path)?.judge(c.req.raw);
    const refusal = verdict && answerOf(verdict);
    if (refusal) return refusal;
    const state = await context.relay.read(topic);
    // Weak: the same state may be a snapshot, or an older one with what has come since.
    const etag = `W/"${state.version}"`;
    const headers = { etag, "cache-control": "no-cache" };
    const known = c.req.header("if-none-match")?.split(",");
    if (known?.some((tag) => tag.trim().replace(/^(W\/)?/, "W/") === etag)) {
      return c.body(null, 304, headers);
    }
    return c.body(printState(state), 200, { ...headers, "content-type": "application/json" });
  });
}
