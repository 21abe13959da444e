/** `GET /healthz`, `/readyz`, `/metrics`: for those who run it. */

import { Hono } from "hono";
import type { Registry } from "prom-client";
import type { Context } from "../../lib/downstream/context.ts";
import { isShared } from "../../lib/feed/spec.ts";

export function healthRoutes({ relay, sessions }: Context, metrics: Registry): Hono {
  return new Hono()
    .get("/healthz", (c) => c.json({ status: "ok" }))
    .get("/readyz", (c) => {
      const hubs = Object.fromEntries(
        [...relay.hubs.values()].map(({ spec, json }) => [
          spec.path,
          isShared(spec) ? (json.line.connected ? "connected" : "away") : "private",
        ]),
      );
      const ready = !sessions.full && Object.values(hubs).every((state) => state !== "away");
      return c.json({ status: ready ? "ready" : "not ready", hubs }, ready ? 200 : 503);
    })
    .get("/metrics", async (c) =>
      c.body(await metrics.metrics(), 200, { "content-type": metrics.contentType }),
    );
}
