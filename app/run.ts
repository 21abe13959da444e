/** The program: from a runtime and its environment to a relay that serves, until it is told to stop. */

import { type Logger, pino, stdTimeFunctions } from "pino";
import { systemClock } from "../lib/clock.ts";
import type { Context } from "../lib/downstream/context.ts";
import { createSessions } from "../lib/downstream/sessions.ts";
import { messageOf } from "../lib/errors.ts";
import { createFanout } from "../lib/fanout/fanout.ts";
import { createFeed } from "../lib/feed.ts";
import { createRelay } from "../lib/relay.ts";
import { createStats } from "../lib/stats.ts";
import { createSignalRSource } from "../lib/upstream/signalr.ts";
import { createWheel } from "../lib/wheel.ts";
import { jsonProtocol } from "../lib/wire/json.ts";
import { createApp } from "./app.ts";
import { type Config, ConfigError, loadConfig } from "./config.ts";
import { startDemo } from "./demo/demo.ts";
import type { Host, Listening } from "./host.ts";
import { createMetrics } from "./metrics.ts";
import { pageRoutes } from "./routes/page.ts";
import { compileHub } from "./spec.ts";

/** Sockets that were told to close get this long, ms, before the process ends. */
const CLOSE_GRACE_MS = 500;

/**
 * Runs the relay. With the argument `--dev` it shows the demo board at `/`, and when no hub is
 * configured it starts an embedded origin of its own. With `--origin` it is that origin alone.
 */
export async function run(host: Host): Promise<void> {
  const log = pino({
    level: host.env.LOG_LEVEL ?? "info",
    base: null,
    timestamp: stdTimeFunctions.isoTime,
  });
  try {
    await start(host, log);
  } catch (error) {
    if (error instanceof ConfigError) log.fatal(error.message);
    else log.fatal({ error: messageOf(error) }, "cannot start");
    host.exit(1);
  }
}

async function start(host: Host, log: Logger): Promise<void> {
  if (host.args.includes("--origin")) {
    const origin = await startDemo(host, log);
    host.onSignal(() => void origin.stop().then(() => host.exit(0)));
    return;
  }
  const isDev = host.args.includes("--dev");
  const isConfigured = Boolean(host.env.KERYX_CONFIG || host.env.KERYX_ORIGIN);
  const demo = isDev && !isConfigured ? await startDemo(host, log) : undefined;
  const config = await loadConfig(host, demo?.config);
  const context = createContext(host, config, log);
  const app = createApp({
    context,
    metrics: createMetrics(context.stats, context.sessions, context.relay),
    hubLimits: { ...config.signalr, messageBytes: config.limits.messageBytes },
    origins: isDev
      ? [...config.origins, "http://localhost:*", "http://127.0.0.1:*"]
      : config.origins,
    page: isDev ? pageRoutes(host) : undefined,
  });
  context.relay.start();
  const listening = await host.serve({
    port: config.port,
    hostname: config.host,
    fetch: (request, bindings) => app.fetch(request, bindings),
  });
  const url = `http://localhost:${listening.port}`;
  log.info({ url, runtime: host.runtime, hubs: Object.keys(config.hubs) }, "keryx is listening");

  let stopping = false;
  host.onSignal(() => {
    if (stopping) return;
    stopping = true;
    void stop(context, config, listening, log)
      .then(() => demo?.stop())
      .then(() => host.exit(0));
  });
}

function createContext(host: Host, config: Config, log: Logger): Context {
  const stats = createStats();
  const clock = systemClock;
  const random = Math.random;
  const { limits, upstream, heartbeatMs } = config;
  const fanout = createFanout({ clock, stats, maxQueueBytes: limits.queueBytes });
  const relay = createRelay({
    fanout,
    stats,
    createFeeds: (onEnded) =>
      Object.entries(config.hubs).map(([path, hub]) => {
        const { accessToken } = hub;
        const createSource = (listener: Parameters<typeof createSignalRSource<string>>[1]) =>
          createSignalRSource(
            {
              url: hub.origin,
              protocol: jsonProtocol,
              connection: {
                fetch,
                dial: host.dial,
                headers: hub.headers,
                accessToken: async () =>
                  typeof accessToken === "function" ? accessToken() : accessToken,
                handshakeTimeoutMs: upstream.handshakeTimeoutMs,
                keepAliveMs: upstream.keepAliveMs,
                serverTimeoutMs: upstream.serverTimeoutMs,
                maxMessageBytes: upstream.messageBytes,
              },
              backoff: { minMs: upstream.backoffMinMs, maxMs: upstream.backoffMaxMs },
              stableMs: 5_000,
              maxJoinsInFlight: upstream.joinsInFlight,
              maxInvocations: upstream.callsInFlight,
              clock,
              random,
              stats,
              log,
            },
            listener,
          );
        const spec = compileHub(path, hub, config);
        return createFeed(spec, { createSource, onEnded, fanout, clock, random, stats, log });
      }),
  });
  const sessions = createSessions({ maxConnections: limits.connections, random });
  const wheel = createWheel(clock);
  return { relay, sessions, stats, log, clock, wheel, random, limits, heartbeatMs };
}

/** Everybody is told to come back elsewhere, each at a time of its own, before the door closes. */
async function stop(
  { relay, sessions, wheel, clock }: Context,
  config: Config,
  listening: Listening,
  log: Logger,
): Promise<void> {
  log.info({ clients: sessions.size }, "draining");
  sessions.drain(config.drainMs);
  wheel.stop();
  await relay.stop();
  await new Promise<void>((resolve) => clock.after(CLOSE_GRACE_MS, resolve));
  await listening.stop();
  log.info({}, "stopped");
}
