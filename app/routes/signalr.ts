/** `POST {hub}/negotiate`, `GET {hub}`: SignalR. */

import { Hono } from "hono";
import type { Context } from "../../lib/downstream/context.ts";
import type { HubLimits } from "../../lib/downstream/hub.ts";
import { acceptSignalRSocket } from "../../lib/downstream/signalr.ts";
import { parseNegotiateVersion, printNegotiateResponse } from "../../lib/wire/negotiate.ts";
import type { Bindings } from "../host.ts";
import { assertRoom } from "../refusal.ts";

export function signalrRoutes(context: Context, limits: HubLimits): Hono<{ Bindings: Bindings }> {
  const { feeds } = context.relay;
  const app = new Hono<{ Bindings: Bindings }>();
  // ASP.NET Core finds paths and query names without regard to case, and clients rely on it.
  app.use(async (c, next) => {
    const path = c.req.path.toLowerCase().replace(/\/$/, "");
    const hub = feeds.get(path);
    const negotiated = path.endsWith("/negotiate")
      ? feeds.get(path.slice(0, -"/negotiate".length))
      : undefined;
    if (negotiated) {
      if (c.req.method !== "POST") return c.body("", 405, { "content-type": "text/plain" });
      assertRoom(context);
      return c.body(negotiate(new URL(c.req.url).searchParams), 200, {
        "content-type": "application/json",
      });
    }
    if (!hub) return next();
    const { upgrade } = c.env;
    if (c.req.method !== "GET" || !upgrade) {
      const text = "Only the WebSockets transport is supported by this end point";
      return c.body(text, 404, { "content-type": "text/plain" });
    }
    assertRoom(context);
    return upgrade((socket) => acceptSignalRSocket(context, hub, limits, socket));
  });
  return app;
}

function negotiate(query: URLSearchParams): string {
  const versions = [...query].filter(([name]) => name.toLowerCase() === "negotiateversion");
  const negotiateVersion = parseNegotiateVersion(versions.map(([, value]) => value));
  if (typeof negotiateVersion === "object") return JSON.stringify(negotiateVersion);
  return printNegotiateResponse({
    negotiateVersion,
    connectionId: createId(),
    connectionToken: createId(),
    useStatefulReconnect: false,
    availableTransports: [{ transport: "WebSockets", transferFormats: ["Text"] }],
  });
}

/** 16 random bytes, base64url, as .NET makes them. */
function createId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replace(/=+$/, "");
}
