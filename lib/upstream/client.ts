/** What of a client's request goes to the origin on its behalf. */

/** A client's credentials and circumstances, as the origin would have seen them. */
export interface ClientRequest {
  /** By name in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** The query without the parameters of the connection itself; begins with `?`, or is empty. */
  readonly query: string;
}

/**
 * Says that a connection is a relay's own, and serves many: an origin that is a relay, too, tells it
 * of gaps that other clients cannot be told of.
 */
export const RELAY_HEADER = "keryx-relay";

/** Belong to one hop (RFC 9110 section 7.6.1), or are made anew by whoever sends the request. */
const OWN_TO_A_HOP = new Set([
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "host",
  "content-length",
  "content-type",
  "expect",
  "accept-encoding",
  RELAY_HEADER,
  "accept", // "text/event-stream" would make an event stream of the connection there
]);

/** Parameters of SignalR's that name the client's connection here, not its connection there. */
const OWN_PARAMETERS = new Set(["id", "negotiateversion", "usestatefulreconnect", "_"]);

/** @param address of the client, for `X-Forwarded-For` */
export function readClientRequest(request: Request, address: string | undefined): ClientRequest {
  const headers: Record<string, string> = {};
  const named = (request.headers.get("connection") ?? "").toLowerCase().split(/\s*,\s*/);
  for (const [name, value] of request.headers) {
    if (OWN_TO_A_HOP.has(name) || name.startsWith("sec-websocket-") || named.includes(name))
      continue;
    headers[name] = value;
  }
  if (address !== undefined) {
    const before = headers["x-forwarded-for"];
    headers["x-forwarded-for"] = before ? `${before}, ${address}` : address;
  }
  const query = new URLSearchParams(
    [...new URL(request.url).searchParams].filter(
      ([name]) => !OWN_PARAMETERS.has(name.toLowerCase()),
    ),
  ).toString();
  return { headers, query: query && `?${query}` };
}

/** The hub's URL with a client's query behind its own. */
export function withQuery(url: string, query: string): string {
  if (query === "") return url;
  return url.includes("?") ? `${url}&${query.slice(1)}` : url + query;
}
