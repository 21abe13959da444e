/** `GET /healthz`, `/readyz`, `/metrics`: for those who run it. */

import { Hono } from "hono";
import type { Context } from "../../lib/downstream/context.ts";
import { isShared } from "../../lib/feed/spec.ts";
import type { Cluster } from "../cluster.ts";
import type { Exposition } from "../metrics.ts";

/** Where an isolate stands among those of its process. */
export interface Standing {
  /** How many there are, itself included; 0 before it has been told. */
  readonly isolates: number;
  /** Whether it owns the feeds, hears who does, or has not heard it for a while. */
  readonly bus: "owner" | "heard" | "silent";
}

/**
 * @param standing absent when it is alone in its process
 * @param cluster absent when there are no other machines
 */
export function healthRoutes(
  { relay, sessions }: Context,
  metrics: Exposition,
  standing?: () => Standing,
  cluster?: Pick<Cluster, "state">,
): Hono {
  return new Hono()
    .get("/healthz", (c) => c.json({ status: "ok" }))
    .get("/readyz", (c) => {
      const hubs = Object.fromEntries(
        [...relay.hubs.values()].map(({ spec, json }) => [
          spec.path,
          isShared(spec) ? (json.line.connected ? "connected" : "away") : "private",
        ]),
      );
      const among = standing?.();
      const nats = cluster?.state;
      const isAway =
        Object.values(hubs).includes("away") || among?.bus === "silent" || nats === "away";
      const ready = !sessions.full && !isAway;
      return c.json(
        { status: ready ? "ready" : "not ready", hubs, nats, ...among },
        ready ? 200 : 503,
      );
    })
    .get("/metrics", async (c) =>
      c.body(await metrics.metrics(), 200, { "content-type": metrics.contentType }),
    );
}
