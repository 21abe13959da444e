/**
 * Access to the shared lane: a client is served what all share once the origin's own negotiate has
 * accepted its credentials. Judged before anything is served, once per credential and a short time.
 */

import type { Clock } from "../clock.ts";
import { messageOf } from "../errors.ts";
import { parseNegotiateResponse } from "../wire/negotiate.ts";

/** What a client showed. All who show nothing are one client; empty texts are nothing. */
export interface Credentials {
  readonly authorization?: string | undefined;
  readonly cookie?: string | undefined;
  /**
   * `access_token` of the query. The same credential as `Authorization: Bearer`: a browser sends
   * that with negotiate and this with the WebSocket.
   */
  readonly accessToken?: string | undefined;
  /** Further headers that the operator named as credentials; names in any case. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

/** What the origin says of a credential. Shared by those who asked together: not to be changed. */
export type Verdict =
  | { readonly type: "accepted" }
  | {
      /** The origin's answer, to be given to the client as it is. */
      readonly type: "refused";
      /** 3xx, 4xx, or 200 when the body is `{"error"}`. */
      readonly status: number;
      /** `www-authenticate`, `location` and `content-type`, as far as the origin sent them. */
      readonly headers: Readonly<Record<string, string>>;
      /** At most 16 KiB; a longer one is cut. */
      readonly body: string;
    }
  | {
      /** Nothing is known: the origin is away, too slow, or broken. */
      readonly type: "unavailable";
      /** For the log; may hold internals. */
      readonly reason: string;
    };

export interface Access {
  /** What the origin says of a client, at most `ttlMs` ago. Never rejects. */
  judge(credentials: Credentials): Promise<Verdict>;
  /**
   * When the origin has accepted a credential last, Unix ms; `undefined` when that is not known here.
   * @param key as `recall` was given it
   */
  acceptedAt(key: string): number | undefined;
  /** Another isolate was told that the origin refuses this credential now. @param key as above */
  forget(key: string): void;
}

/** The limits have no defaults here: the configuration has them. */
export interface AccessOptions {
  /** The hub's URL, http or https; its query is kept. */
  readonly url: string;
  readonly fetch: typeof fetch;
  readonly clock: Clock;
  /**
   * How long a verdict holds, counted from the question, ms: a token that the origin has revoked is
   * good for so long at most. 0 asks each time. A refusal holds for 5 s at most, so that who has
   * just been let in need not wait.
   */
  readonly ttlMs: number;
  /** Verdicts kept, and questions in flight of which others can have the answer; the oldest goes first. */
  readonly maxEntries: number;
  /** The origin must have answered within this, ms. */
  readonly timeoutMs: number;
  /**
   * Asked while the origin is away: what other isolates' `acceptedAt` says. A client that comes back
   * may come to another one than before. MUST NOT reject.
   * @param key the hash of a credential
   */
  recall?(key: string): Promise<number | undefined>;
  /** The origin has refused a credential, which others are to `forget`. @param key as above */
  onRefused?(key: string): void;
}

const MAX_REFUSAL_MS = 5000;

/** How long who was accepted is served while the origin is away, ms. */
const GRACE_MS = 3_600_000;

/** Questions that wait for the origin at one time; more are not asked. */
const MAX_IN_FLIGHT = 1000;

/** Far above any answer to negotiate; a page of HTML shall not fill the memory. */
const MAX_BODY_BYTES = 16_384;

interface Entry {
  readonly verdict: Promise<Verdict>;
  /** Unix ms; without end while the origin is being asked, so that others wait for the same answer. */
  until: number;
}

/**
 * Judges for one hub. What it keeps is the hash of a credential and the verdict, never the credential.
 * Whom the origin has accepted stays accepted while it is away, for an hour at most and never beyond
 * the end of its JWT; who is new then is `unavailable`.
 */
export function createAccess(options: AccessOptions): Access {
  const { clock, ttlMs, maxEntries } = options;
  const entries = new Map<string, Entry>();
  /** When each credential was last accepted, Unix ms: an origin that is away has not revoked it. */
  const acceptances = new Map<string, number>();
  let inFlight = 0;

  function start(key: string, question: Question): Entry {
    const askedAt = clock.now();
    const entry: Entry = {
      verdict: settle(key, question, askedAt).then(({ verdict, heldMs }) => {
        entry.until = askedAt + heldMs;
        if (entry.until <= clock.now() && entries.get(key) === entry) entries.delete(key);
        return verdict;
      }),
      until: Number.POSITIVE_INFINITY,
    };
    keep(entries, key, entry);
    return entry;
  }

  /** @returns the verdict, and for how long it holds from the question on */
  async function settle(
    key: string,
    question: Question,
    askedAt: number,
  ): Promise<{ readonly verdict: Verdict; readonly heldMs: number }> {
    const leftMs = question.expiresAt - askedAt;
    const verdict = await askInTurn(question);
    switch (verdict.type) {
      case "accepted":
        keep(acceptances, key, askedAt);
        return { verdict, heldMs: Math.min(ttlMs, leftMs) };
      case "refused":
        acceptances.delete(key);
        options.onRefused?.(key);
        return { verdict, heldMs: Math.min(ttlMs, MAX_REFUSAL_MS) };
      case "unavailable": {
        const acceptedAt = acceptances.get(key) ?? (await options.recall?.(key));
        if (acceptedAt === undefined) return { verdict, heldMs: 0 };
        keep(acceptances, key, acceptedAt);
        const graceMs = acceptedAt + GRACE_MS - askedAt;
        if (Math.min(graceMs, leftMs) <= 0) return { verdict, heldMs: 0 };
        const heldMs = Math.min(ttlMs, leftMs, MAX_REFUSAL_MS);
        return { verdict: { type: "accepted" }, heldMs };
      }
    }
  }

  async function askInTurn(question: Question): Promise<Verdict> {
    if (inFlight >= MAX_IN_FLIGHT) {
      return { type: "unavailable", reason: `${MAX_IN_FLIGHT} questions wait for the origin` };
    }
    inFlight++;
    try {
      return await ask(options, question);
    } finally {
      inFlight--;
    }
  }

  /** The one kept longest ago goes when there would be too many. */
  function keep<T>(map: Map<string, T>, key: string, value: T): void {
    map.delete(key); // so that it stands last again
    map.set(key, value);
    if (map.size <= maxEntries) return;
    const oldest = map.keys().next();
    if (!oldest.done) map.delete(oldest.value);
  }

  return {
    async judge(credentials) {
      const question = read(credentials);
      const key = await digest(question);
      // No await from here on: between looking and asking nobody else may come.
      const known = entries.get(key);
      return (known && clock.now() < known.until ? known : start(key, question)).verdict;
    },
    acceptedAt: (key) => acceptances.get(key),
    forget: (key) => void acceptances.delete(key),
  };
}

/** Credentials as they go to the origin: equal ones are equal texts. */
interface Question {
  /** Names in lower case, sorted. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** `access_token` in the query, for what cannot be a header. */
  readonly accessToken: string | undefined;
  /** Unix ms; without end when no token says. */
  readonly expiresAt: number;
}

function read({ authorization, cookie, accessToken, headers }: Credentials): Question {
  const named = new Map<string, string>();
  for (const [name, value] of Object.entries(headers ?? {})) named.set(name.toLowerCase(), value);
  if (authorization) named.set("authorization", authorization);
  const expiresAt = Math.min(...[...named.values(), accessToken ?? ""].map(expiry));
  if (cookie) named.set("cookie", cookie);
  if (accessToken && /^[\x21-\x7e]+$/.test(accessToken)) {
    const bearer = `Bearer ${accessToken}`;
    if (!named.get("authorization")) named.set("authorization", bearer);
    // When both are there and differ, the header may be meant for a proxy in front of the origin.
    if (named.get("authorization") === bearer) accessToken = undefined;
  }
  return {
    headers: [...named].filter(([, value]) => value !== "").sort(([a], [b]) => (a < b ? -1 : 1)),
    accessToken: accessToken || undefined,
    expiresAt,
  };
}

/** So that no credential is kept in memory for longer than its request. */
async function digest({ headers, accessToken }: Question): Promise<string> {
  const text = JSON.stringify([headers, accessToken]);
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return String.fromCharCode(...new Uint8Array(hash));
}

/**
 * When a JWT ends, by its own word: whether it is genuine is the origin's to say.
 * @param text the token, or a header's value that ends with it
 * @returns Unix ms; without end for anything else
 * @see https://www.rfc-editor.org/rfc/rfc7519#section-4.1.4
 */
function expiry(text: string): number {
  const payload = /(?:^|\s)[\w-]+\.([\w-]+)\.[\w-]*$/.exec(text)?.[1];
  if (payload === undefined) return Number.POSITIVE_INFINITY;
  try {
    // Text that is not ASCII comes out as nonsense, which harms no number.
    const claims: unknown = JSON.parse(atob(payload.replaceAll("-", "+").replaceAll("_", "/")));
    if (typeof claims === "object" && claims !== null && "exp" in claims) {
      if (typeof claims.exp === "number") return claims.exp * 1000;
    }
  } catch {
    // Not a JWT, though it looks like one.
  }
  return Number.POSITIVE_INFINITY;
}

async function ask(
  { url, fetch, clock, timeoutMs }: AccessOptions,
  { headers, accessToken }: Question,
): Promise<Verdict> {
  const attempt = new AbortController();
  const timer = clock.after(timeoutMs, () =>
    attempt.abort(new Error(`Timed out after ${timeoutMs} ms`)),
  );
  try {
    const request = new URL(url);
    request.pathname = `${request.pathname.replace(/\/$/, "")}/negotiate`;
    request.searchParams.set("negotiateVersion", "1");
    if (accessToken !== undefined) request.searchParams.set("access_token", accessToken);
    const response = await fetch(request, {
      method: "POST",
      headers: headers.map(([name, value]): [string, string] => [name, value]),
      redirect: "manual", // where to log in is for the client to read
      signal: attempt.signal,
    });
    return verdictOf(response, await readBody(response));
  } catch (error) {
    const cause = attempt.signal.aborted ? attempt.signal.reason : error;
    return { type: "unavailable", reason: messageOf(cause) };
  } finally {
    timer.cancel();
  }
}

/** @throws {ProtocolError} when a 200 is no answer to negotiate */
function verdictOf({ status, headers }: Response, body: string): Verdict {
  const refused: Verdict = { type: "refused", status, headers: shown(headers), body };
  if (status >= 300 && status < 500) return refused;
  if (status !== 200) return { type: "unavailable", reason: `The origin answered ${status}` };
  // An answer with a `url`, to another server, is given to those whom the origin lets in.
  return "error" in parseNegotiateResponse(body) ? refused : { type: "accepted" };
}

const SHOWN_HEADERS = ["www-authenticate", "location", "content-type"];

function shown(headers: Headers): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of SHOWN_HEADERS) {
    const value = headers.get(name);
    if (value !== null) found[name] = value;
  }
  return found;
}

/** The body as text, cut at its bound. */
async function readBody({ body }: Response): Promise<string> {
  if (!body) return "";
  const decoder = new TextDecoder();
  let text = "";
  let left = MAX_BODY_BYTES;
  for await (const chunk of body) {
    text += decoder.decode(chunk.subarray(0, left), { stream: true });
    left -= chunk.length;
    if (left <= 0) break; // which cancels the rest
  }
  return text + decoder.decode();
}
