/** Lets a client in, or gives it the answer that the origin gave. */

import type { Access, Verdict } from "../upstream/access.ts";
import { readClientRequest } from "../upstream/client.ts";

export interface Admission {
  /** @returns the answer for a client that is not let in */
  refuse(request: Request): Promise<Response | undefined>;
}

/** Everybody is let in. */
export const openAdmission: Admission = { refuse: async () => undefined };

/** @param headerNames further headers that are credentials, in lower case */
export function createAdmission(access: Access, headerNames: readonly string[]): Admission {
  return {
    async refuse(request) {
      const { headers, query } = readClientRequest(request, undefined);
      const named = headerNames.flatMap((name) => {
        const value = headers[name];
        return value === undefined ? [] : [[name, value]];
      });
      const verdict = await access.judge({
        authorization: headers.authorization,
        cookie: headers.cookie,
        accessToken: new URLSearchParams(query).get("access_token") ?? undefined,
        headers: Object.fromEntries(named),
      });
      return responseOf(verdict);
    },
  };
}

function responseOf(verdict: Verdict): Response | undefined {
  switch (verdict.type) {
    case "accepted":
      return undefined;
    case "refused": {
      const { status, headers, body } = verdict;
      return new Response(body === "" ? null : body, { status, headers });
    }
    case "unavailable":
      return unavailableResponse();
  }
}

/** The origin is away, so that this client cannot be judged: come back in a moment. */
export function unavailableResponse(): Response {
  return new Response("The origin cannot be reached", {
    status: 503,
    headers: { "content-type": "text/plain", "retry-after": "5" },
  });
}
