/** `{hub}/negotiate` and `{hub}`: SignalR. */

import { Hono } from "hono";
import type { Context } from "../../lib/downstream/context.ts";
import type { Gateway } from "../../lib/downstream/gateway.ts";
import type { Bindings } from "../host.ts";

/** @param gateways by the hub's path in lower case */
export function signalrRoutes(
  { sessions }: Context,
  gateways: ReadonlyMap<string, Gateway>,
): Hono<{ Bindings: Bindings }> {
  const app = new Hono<{ Bindings: Bindings }>();
  // ASP.NET Core finds paths without regard to case, and clients rely on it.
  app.use(async (c, next) => {
    const path = c.req.path.toLowerCase().replace(/\/$/, "");
    const gateway = gateways.get(path);
    if (gateway) {
      // What belongs to a connection that is here already is served also when there is no more room.
      if (c.req.method === "GET" && !hasId(c.req.url)) sessions.admit();
      return gateway.handle(c.req.raw, c.env);
    }
    const negotiated = path.endsWith(NEGOTIATE)
      ? gateways.get(path.slice(0, -NEGOTIATE.length))
      : undefined;
    if (!negotiated) return next();
    sessions.admit();
    return negotiated.negotiate(c.req.raw, c.env);
  });
  return app;
}

const NEGOTIATE = "/negotiate";

function hasId(url: string): boolean {
  return /[?&]id=/i.test(url);
}
