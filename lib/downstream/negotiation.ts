/**
 * The server's side of a negotiation: who is let in gets a token of ours, and the transports that it
 * may use it with.
 *
 * @see https://github.com/dotnet/aspnetcore/blob/main/src/SignalR/docs/specs/TransportProtocols.md#post-endpoint-basenegotiate-request
 */

import {
  parseNegotiateVersion,
  printNegotiateResponse,
  type TransportName,
} from "../wire/negotiate.ts";
import { TRANSPORTS } from "./endpoint.ts";
import { queryOf } from "./request.ts";
import type { Tokens } from "./token.ts";

/** A client that may connect. */
export interface Admitted {
  /** What the client is to be called by; of {@link createConnectionId}, unless the origin has chosen it. */
  readonly connectionId: string;
  /** The origin's own token of the connection behind, when there is one. */
  readonly origin: string | undefined;
  /** `Set-Cookie` headers for the client. */
  readonly cookies: readonly string[];
}

export interface NegotiationOptions {
  readonly tokens: Tokens;
  readonly transports: readonly TransportName[];
  /** Whether clients that ask for it get a connection that may outlive its socket. */
  readonly stateful: boolean;
  /** Asked of every well-formed request. @returns an answer instead, when the client must not connect */
  admit(): Admitted | Response | Promise<Admitted | Response>;
}

/** Answers `{hub}/negotiate`. */
export async function answerNegotiation(
  request: Request,
  options: NegotiationOptions,
): Promise<Response> {
  const { tokens, transports } = options;
  if (request.method !== "POST") {
    return new Response(null, { status: 405, headers: { "content-type": "text/plain" } });
  }
  const negotiateVersion = parseNegotiateVersion(queryOf(request, "negotiateVersion"));
  if (typeof negotiateVersion === "object") return json(JSON.stringify(negotiateVersion), []);
  const wanted = queryOf(request, "useStatefulReconnect");
  const stateful = options.stateful && wanted.length === 1 && wanted[0]?.toLowerCase() === "true";
  const admitted = await options.admit();
  if (admitted instanceof Response) return admitted;
  const { connectionId, origin, cookies } = admitted;
  const connectionToken = await tokens.issue({ stateful, origin });
  const body = printNegotiateResponse({
    negotiateVersion,
    // Version 0 knows no token: its clients put the id into the URL.
    connectionId: negotiateVersion === 0 ? connectionToken : connectionId,
    connectionToken,
    useStatefulReconnect: stateful,
    availableTransports: TRANSPORTS.filter(({ transport }) => transports.includes(transport)),
  });
  return json(body, cookies);
}

function json(body: string, cookies: readonly string[]): Response {
  const headers = new Headers({ "content-type": "application/json" });
  for (const cookie of cookies) headers.append("set-cookie", cookie);
  return new Response(body, { headers });
}

/** 16 random bytes, base64url, as .NET makes them. */
export function createConnectionId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replace(/=+$/, "");
}
