/** `GET /ws`: the plain WebSocket protocol, PROTOCOL.md section 3. */

import { Hono } from "hono";
import type { Admission } from "../../lib/downstream/admission.ts";
import type { Context } from "../../lib/downstream/context.ts";
import { acceptWebSocket } from "../../lib/downstream/ws.ts";
import { Refusal } from "../../lib/errors.ts";
import type { Bindings } from "../host.ts";
import { assertRoom, refuse } from "../refusal.ts";

export function wsRoute(
  context: Context,
  admissions: ReadonlyMap<string, Admission>,
): Hono<{ Bindings: Bindings }> {
  return new Hono<{ Bindings: Bindings }>().get("/ws", async (c) => {
    const { upgrade } = c.env;
    if (!upgrade) throw new Refusal("invalid_request", "Expected a WebSocket upgrade");
    assertRoom(context);
    // Which topics it will want is not known yet: each hub is asked, and who is refused by all goes.
    const refusals = new Map<string, Response>();
    for (const [path, admission] of admissions) {
      const refusal = await refuse(admission, c.req.raw);
      if (refusal) refusals.set(path, refusal);
    }
    const [refusal] = refusals.values();
    if (refusal && refusals.size === admissions.size) return refusal;
    return upgrade((socket) =>
      acceptWebSocket(context, socket, { mayWatch: (path) => !refusals.has(path) }),
    );
  });
}
