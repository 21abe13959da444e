/** The program: from a runtime and its environment to a relay that serves, until it is told to stop. */

import { type Logger, pino, stdTimeFunctions } from "pino";
import type { Context } from "../lib/downstream/context.ts";
import { messageOf } from "../lib/errors.ts";
import { createApp } from "./app.ts";
import { build } from "./build.ts";
import { type Config, ConfigError, loadConfig } from "./config.ts";
import { startDemo } from "./demo/demo.ts";
import type { Host, Listening } from "./host.ts";
import { createMetrics } from "./metrics.ts";
import { pageRoutes } from "./routes/page.ts";

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
  const { context, gateways, admissions } = build(config, host, log);
  const app = createApp({
    context,
    metrics: createMetrics(context.stats, context.sessions, context.relay),
    gateways,
    admissions,
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
    if (stopping) return host.exit(1); // whoever asks twice does not want to wait
    stopping = true;
    void stop(context, config, listening, log)
      .then(() => demo?.stop())
      .then(() => host.exit(0));
  });
}

/** Everybody is sent away, each at a time of its own, before the door closes. */
async function stop(
  { relay, sessions, wheel, clock }: Context,
  config: Config,
  listening: Listening,
  log: Logger,
): Promise<void> {
  log.info({ clients: sessions.size }, "draining");
  await sessions.drain(config.drainMs);
  wheel.stop();
  await relay.stop();
  await new Promise<void>((resolve) => clock.after(CLOSE_GRACE_MS, resolve));
  await listening.stop();
  log.info({}, "stopped");
}
