/** Refusals as HTTP answers: PROTOCOL.md section 6. */

import { refusedResponse } from "../lib/downstream/admission.ts";
import { Overload } from "../lib/downstream/sessions.ts";
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

/** When a client shall come back, ms, where the refusal does not say it. */
const RETRY_MS = 5_000;

export function refusalResponse(refusal: Refusal): Response {
  const { code, message, topic } = refusal;
  const headers = new Headers({ "content-type": "application/json", "cache-control": "no-store" });
  const retryMs = retryMsOf(refusal);
  if (retryMs !== undefined) headers.set("retry-after", String(Math.ceil(retryMs / 1000)));
  const body = JSON.stringify({ error: { code, message, topic } });
  return new Response(body, { status: STATUS[code], headers });
}

/** When the same request may succeed, ms; `undefined` when it will not. */
export function retryMsOf(refusal: Refusal): number | undefined {
  if (refusal instanceof Overload) return refusal.retryMs;
  return STATUS[refusal.code] === 503 ? RETRY_MS : undefined;
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
