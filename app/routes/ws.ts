/** `GET /ws`: the plain WebSocket protocol, PROTOCOL.md section 3. */

import { Hono } from "hono";
import type { Admission } from "../../lib/downstream/admission.ts";
import type { Context } from "../../lib/downstream/context.ts";
import { acceptWebSocket, type WebSocketOptions } from "../../lib/downstream/ws.ts";
import { Refusal } from "../../lib/errors.ts";
import type { Upgrade } from "../../lib/socket.ts";
import type { Bindings } from "../host.ts";
import { answerOf } from "../refusal.ts";
import { readDelta } from "./delta.ts";

export function wsRoute(
  context: Context,
  admissions: ReadonlyMap<string, Admission>,
): Hono<{ Bindings: Bindings }> {
  return new Hono<{ Bindings: Bindings }>().get("/ws", async (c) => {
    const { upgrade } = c.env;
    if (!upgrade) throw new Refusal("invalid_request", "Expected a WebSocket upgrade");
    const delta = readDelta(new URL(c.req.url).searchParams);
    context.sessions.admit();
    // Which topics it will want is not known yet: each hub is asked, and who is refused by all goes.
    const asked = [...admissions].map(async ([path, admission]) => {
      return { path, verdict: await admission.judge(c.req.raw) };
    });
    const judged = await Promise.all(asked);
    const admitted = judged.filter(({ verdict }) => verdict.type === "accepted");
    const [first] = judged;
    const refusal = first && admitted.length === 0 ? answerOf(first.verdict) : undefined;
    if (refusal) return refusal;
    const isEverywhere = admitted.length === judged.length;
    const hubs = isEverywhere ? undefined : new Set(admitted.map(({ path }) => path));
    return upgrade(accepting(context, { ...(hubs && { hubs }), delta }));
  });
}

/** Made apart from the request, which would else live as long as the socket. */
function accepting(context: Context, options: WebSocketOptions): Parameters<Upgrade>[0] {
  return (socket) => acceptWebSocket(context, socket, options);
}
