/** `GET /ws`: the plain WebSocket protocol, PROTOCOL.md section 3. */

import { Hono } from "hono";
import type { Context } from "../../lib/downstream/context.ts";
import { acceptWebSocket } from "../../lib/downstream/ws.ts";
import { Refusal } from "../../lib/errors.ts";
import type { Bindings } from "../host.ts";
import { assertRoom } from "../refusal.ts";

export function wsRoute(context: Context): Hono<{ Bindings: Bindings }> {
  return new Hono<{ Bindings: Bindings }>().get("/ws", (c) => {
    const { upgrade } = c.env;
    if (!upgrade) throw new Refusal("invalid_request", "Expected a WebSocket upgrade");
    assertRoom(context);
    return upgrade((socket) => acceptWebSocket(context, socket));
  });
}
