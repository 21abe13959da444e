/** What the client of a SignalR connection sends on requests of its own: POST, and DELETE. */

import type { Clock } from "../clock.ts";
import { empty, TEXT, text } from "./answer.ts";
import type { Connection, Connections } from "./connections.ts";

/** What may be posted before there is a transport, bytes. */
const EARLY_BYTES = 65_536;

/** Answers a POST: its body goes to the connection, behind those of the POSTs before. */
export function post(
  connections: Connections,
  connection: Connection,
  body: AsyncIterable<Uint8Array> | undefined,
): Promise<Response> | Response {
  if (connection.kind === "websocket") {
    return text(405, "POST requests are not allowed for WebSocket connections.", TEXT);
  }
  const before = connection.posts ?? Promise.resolve();
  const answer = before.then(async () => {
    try {
      for await (const chunk of body ?? []) {
        if (connection.receiver) connections.receive(connection, chunk);
        else if (!keep(connection, chunk)) return empty(413, TEXT);
      }
    } catch {
      return empty(400, TEXT); // the body broke off; what came before counts
    }
    return empty(200, TEXT);
  });
  connection.posts = answer;
  void answer.then(() => {
    if (connection.posts === answer) connection.posts = undefined; // nor is the answer kept
  });
  return answer;
}

function keep(connection: Connection, chunk: Uint8Array): boolean {
  connection.earlyBytes += chunk.length;
  if (connection.earlyBytes > EARLY_BYTES) return false;
  connection.early ??= [];
  connection.early.push(chunk.slice()); // the runtime may use its buffer again
  return true;
}

/** Answers a DELETE. @param connection `undefined` when nothing has come of its negotiation yet */
export function remove(
  connections: Connections,
  connection: Connection | undefined,
  clock: Clock,
): Response {
  if (connection?.kind !== "polling" || !connection.receiver) {
    return text(400, "Cannot terminate this connection using the DELETE endpoint.", TEXT);
  }
  connection.receiver.close({ allowReconnect: true });
  // A poll that waits is told so; without one there is nobody left to tell.
  clock.soon(() => connections.retire(connection));
  return empty(202, TEXT);
}
