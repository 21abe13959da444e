/** The Hono app: all routes, no runtime. */

import { Hono } from "hono";
import { cors } from "hono/cors";
import type { Admission } from "../lib/downstream/admission.ts";
import type { Context } from "../lib/downstream/context.ts";
import type { Gateway } from "../lib/downstream/gateway.ts";
import { messageOf, Refusal } from "../lib/errors.ts";
import type { Cluster } from "./cluster.ts";
import type { Bindings } from "./host.ts";
import type { Exposition } from "./metrics.ts";
import { isAllowedOrigin } from "./origin.ts";
import { refusalResponse } from "./refusal.ts";
import { healthRoutes, type Standing } from "./routes/health.ts";
import { signalrRoutes } from "./routes/signalr.ts";
import { sseRoute } from "./routes/sse.ts";
import { topicsRoute } from "./routes/topics.ts";
import { wsRoute } from "./routes/ws.ts";

export function createApp(options: {
  readonly context: Context;
  readonly metrics: Exposition;
  /** Where this isolate stands among others, when there are any. */
  readonly standing?: (() => Standing) | undefined;
  /** What joins this machine to others, where that is configured. */
  readonly cluster?: Pick<Cluster, "state"> | undefined;
  /** By the hub's path in lower case. */
  readonly gateways: ReadonlyMap<string, Gateway>;
  /** By the hub's path. */
  readonly admissions: ReadonlyMap<string, Admission>;
  /** Web origins beside the relay's own. */
  readonly origins: readonly string[];
  /** The demo board, where it is wanted. */
  readonly page: Hono | undefined;
}): Hono<{ Bindings: Bindings }> {
  const { context, metrics, standing, cluster, gateways, admissions, origins, page } = options;
  const app = new Hono<{ Bindings: Bindings }>();

  app.use(
    cors({
      origin: (origin, c) => (isAllowedOrigin(origin, c.req.url, origins) ? origin : null),
      credentials: true,
      exposeHeaders: ["etag", "retry-after"],
    }),
  );
  // Browsers let any page open a WebSocket, with the user's cookies: whose may is for us to say.
  app.use(async (c, next) => {
    const origin = c.req.header("origin");
    if (c.env.upgrade && origin !== undefined && !isAllowedOrigin(origin, c.req.url, origins)) {
      throw new Refusal("rejected", `Origin "${origin}" may not connect`);
    }
    await next();
  });

  app.route("/", healthRoutes(context, metrics, standing, cluster));
  app.route("/", sseRoute(context, admissions));
  app.route("/", wsRoute(context, admissions));
  app.route("/", topicsRoute(context, admissions));
  app.route("/", signalrRoutes(context, gateways));
  if (page) app.route("/", page);

  app.onError((error, c) => {
    if (error instanceof Refusal) {
      context.stats.refusals++;
      return refusalResponse(error);
    }
    context.log.error({ path: c.req.path, error: messageOf(error) }, "request failed");
    return c.json({ error: { code: "internal", message: "Something went wrong here" } }, 500);
  });
  app.notFound((c) => c.json({ error: { code: "not_found", message: "No such path" } }, 404));
  return app;
}
