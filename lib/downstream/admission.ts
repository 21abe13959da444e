/** Lets a client in, or gives it the answer that the origin gave. */

import type { Access, Verdict } from "../upstream/access.ts";
import { readClientRequest } from "../upstream/client.ts";

export interface Admission {
  /** What the origin says of whoever sent this request. */
  judge(request: Request): Promise<Verdict>;
}

/** Everybody is let in. */
export const openAdmission: Admission = { judge: async () => ({ type: "accepted" }) };

/** @param headerNames further headers that are credentials, in lower case */
export function createAdmission(access: Access, headerNames: readonly string[]): Admission {
  return {
    judge(request) {
      const { headers, query } = readClientRequest(request, undefined);
      const named = headerNames.flatMap((name) => {
        const value = headers[name];
        return value === undefined ? [] : [[name, value]];
      });
      return access.judge({
        authorization: headers.authorization,
        cookie: headers.cookie,
        accessToken: new URLSearchParams(query).get("access_token") ?? undefined,
        headers: Object.fromEntries(named),
      });
    },
  };
}

/** The origin's refusal as it gave it. */
export function refusedResponse({ status, headers, body }: Refused): Response {
  return new Response(body === "" ? null : body, { status, headers });
}

export type Refused = Extract<Verdict, { type: "refused" }>;

/** The origin is away, so that this client cannot be judged: come back in a moment. */
export function unavailableResponse(): Response {
  return new Response("The origin cannot be reached", {
    status: 503,
    headers: { "content-type": "text/plain", "retry-after": "5" },
  });
}
