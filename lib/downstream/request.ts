/** What a request to a SignalR endpoint asks for, read as ASP.NET Core reads it. */

import type { TransportName } from "../wire/negotiate.ts";

/**
 * Whether a request is the opening of a WebSocket. One that is malformed asks for none, and is
 * answered as if it had not tried.
 * @see https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1
 */
export function asksForWebSocket({
  method,
  headers,
}: Pick<Request, "method" | "headers">): boolean {
  const has = (name: string, wanted: string) =>
    (headers.get(name) ?? "").split(",").some((item) => item.trim().toLowerCase() === wanted);
  return (
    method === "GET" &&
    has("connection", "upgrade") &&
    has("upgrade", "websocket") &&
    headers.get("sec-websocket-version") === "13" &&
    /^[A-Za-z0-9+/]{22}==$/.test(headers.get("sec-websocket-key") ?? "")
  );
}

/** Which transport a GET asks for. */
export function transportOf(request: Request, isUpgrade: boolean): TransportName {
  const accepted = (request.headers.get("accept") ?? "").split(",");
  if (accepted.some((type) => type.trim().toLowerCase() === "text/event-stream")) {
    return "ServerSentEvents";
  }
  return isUpgrade ? "WebSockets" : "LongPolling";
}

/** All values of a query parameter, whose name may be written in any case. */
export function queryOf(request: Request, name: string): string[] {
  return [...new URL(request.url).searchParams].flatMap(([key, value]) =>
    key.toLowerCase() === name.toLowerCase() ? [value] : [],
  );
}
