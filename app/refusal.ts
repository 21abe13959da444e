/** Refusals as HTTP answers: PROTOCOL.md section 6. */

import { refusedResponse } from "../lib/downstream/admission.ts";
import type { Context } from "../lib/downstream/context.ts";
import { Refusal, type RefusalCode } from "../lib/errors.ts";
import type { Verdict } from "../lib/upstream/access.ts";

const STATUS: Readonly<Record<RefusalCode, number>> = {
  invalid_message: 400,
  invalid_request: 400,
  invalid_topic: 400,
  unknown_topic: 404,
  too_many_topics: 400,
  not_subscribed: 400,
  rejected: 403,
  overloaded: 503,
  unavailable: 503,
};

/** When a client that was refused for want of room shall come back, s. */
const RETRY_AFTER_S = 5;

export function refusalResponse({ code, message, topic }: Refusal): Response {
  const status = STATUS[code];
  const headers = new Headers({ "content-type": "application/json", "cache-control": "no-store" });
  if (status === 503) headers.set("retry-after", String(RETRY_AFTER_S));
  return new Response(JSON.stringify({ error: { code, message, topic } }), { status, headers });
}

/** @throws {Refusal} `overloaded` when no more connections are taken */
export function assertRoom({ sessions }: Context): void {
  if (sessions.full) throw new Refusal("overloaded", "No more connections are taken here");
}

/**
 * What a client that is not let in is answered.
 * @returns the origin's own answer; `undefined` when it is let in
 * @throws {Refusal} `unavailable` when the origin is away and has not judged this client before
 */
export function answerOf(verdict: Verdict): Response | undefined {
  if (verdict.type === "refused") return refusedResponse(verdict);
  if (verdict.type === "accepted") return undefined;
  throw new Refusal("unavailable", "The origin is away, and has not said whether you may watch");
}
