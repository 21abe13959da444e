/** A relay that serves its clients, from the first one to the last. */

import type { Logger } from "pino";
import { createApp } from "./app.ts";
import type { Built } from "./build.ts";
import type { Config } from "./config.ts";
import type { Host, Listening } from "./host.ts";
import type { Exposition } from "./metrics.ts";
import type { Standing } from "./routes/health.ts";
import { pageRoutes } from "./routes/page.ts";

/** Sockets that were told to close get this long, ms, before the process ends. */
const CLOSE_GRACE_MS = 500;

export interface Service {
  /** Listens. @returns the port */
  open(): Promise<number>;
  /** Sends everybody away, each at a time of its own; feeds go on. */
  drain(): Promise<void>;
  /** Leaves the origins, then closes the door. */
  close(): Promise<void>;
}

export function createService(options: {
  readonly host: Host;
  readonly config: Config;
  readonly log: Logger;
  readonly built: Built;
  readonly metrics: Exposition;
  /** Where this isolate stands among others, when there are any. */
  standing?(): Standing;
}): Service {
  const { host, config, log, built, metrics, standing } = options;
  const { context, gateways, admissions } = built;
  const isDev = isDevelopment(host);
  const app = createApp({
    context,
    metrics,
    standing,
    cluster: built.cluster,
    gateways,
    admissions,
    origins: isDev
      ? [...config.origins, "http://localhost:*", "http://127.0.0.1:*"]
      : config.origins,
    page: isDev ? pageRoutes(host) : undefined,
  });
  let listening: Listening | undefined;

  return {
    async open() {
      listening = await host.serve({
        port: config.port,
        hostname: config.host,
        shared: standing !== undefined,
        fetch: (request, bindings) => app.fetch(request, bindings),
      });
      return listening.port;
    },
    async drain() {
      log.info({ clients: context.sessions.size }, "draining");
      await context.sessions.drain(config.drainMs);
    },
    async close() {
      const { relay, wheel, clock } = context;
      wheel.stop();
      await relay.stop();
      await built.cluster?.close();
      await new Promise<void>((resolve) => clock.after(CLOSE_GRACE_MS, resolve));
      await listening?.stop();
    },
  };
}

/** Whether the board is shown, and an origin of its own started where none is configured. */
export function isDevelopment({ args }: Pick<Host, "args">): boolean {
  return args.includes("--dev");
}
