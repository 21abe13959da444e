/** The program: from a runtime and its environment to a relay that serves, until it is told to stop. */

import { type Logger, pino, stdTimeFunctions } from "pino";
import { systemClock } from "../lib/clock.ts";
import { messageOf } from "../lib/errors.ts";
import { createEpoch } from "../lib/topic/position.ts";
import { build } from "./build.ts";
import { type Config, ConfigError, loadConfig } from "./config.ts";
import { startDemo } from "./demo/demo.ts";
import type { Host } from "./host.ts";
import { runIsolate } from "./isolate.ts";
import { createMetrics } from "./metrics.ts";
import { answerPlan } from "./plan/print.ts";
import { createService, isDevelopment } from "./service.ts";
import { createSupervisor } from "./supervisor.ts";

/**
 * Runs the relay. With the argument `--dev` it shows the demo board at `/`, and when no hub is
 * configured it starts an embedded origin of its own. With `--origin` it is that origin alone. With
 * `--plan` and numbers it reckons what they need, and is done.
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
  const [mode, ...options] = host.args;
  if (mode === "--plan") return console.log(answerPlan(options));
  if (host.args.includes("--origin")) {
    const origin = await startDemo(host, log);
    host.onSignal(() => void origin.stop().then(() => host.exit(0)));
    return;
  }
  if (host.parent) return runIsolate(host, host.parent, log);
  const isConfigured = Boolean(host.env.KERYX_CONFIG || host.env.KERYX_ORIGIN);
  const demo = isDevelopment(host) && !isConfigured ? await startDemo(host, log) : undefined;
  const config = await loadConfig(host, demo?.config);
  const isolates = config.workers === "auto" ? host.cores : config.workers;
  const relay =
    isolates > 1
      ? await startIsolates(host, { config, isolates, log })
      : await startAlone(host, config, log);
  const url = `http://localhost:${relay.port}`;
  const { runtime } = host;
  log.info({ url, runtime, isolates, hubs: Object.keys(config.hubs) }, "keryx is listening");

  let stopping = false;
  async function stop(code: number): Promise<void> {
    if (stopping) return host.exit(1); // whoever asks twice does not want to wait
    stopping = true;
    await relay.stop();
    log.info({}, "stopped");
    await demo?.stop();
    host.exit(code);
  }
  host.onSignal(() => void stop(0));
  void relay.broken?.then(() => {
    log.fatal("an isolate hangs, and this runtime cannot end it");
    if (!stopping) return stop(1);
  });
}

/** A relay that listens. */
interface Running {
  readonly port: number;
  /** It cannot go on. Never, when it is absent. */
  readonly broken?: Promise<void>;
  stop(): Promise<void>;
}

async function startAlone(host: Host, config: Config, log: Logger): Promise<Running> {
  const built = build(config, host, log);
  const { relay } = built.context;
  const metrics = createMetrics(built.context, built);
  const service = createService({ host, config, log, built, metrics });
  relay.start();
  return {
    port: await service.open(),
    async stop() {
      await service.drain();
      await service.close();
    },
  };
}

/** Several isolates that share a port; this one serves nobody, and watches over them. */
async function startIsolates(
  host: Host,
  options: {
    readonly config: Config;
    readonly isolates: number;
    readonly log: Logger;
  },
): Promise<Running> {
  const { config, isolates, log } = options;
  const port = await findPort(host, config);
  const supervisor = createSupervisor({
    count: isolates,
    brief: {
      bus: `keryx ${createEpoch(Math.random)}`,
      port,
      secret: config.secret ?? createSecret(),
      config: isPlain(config) ? config : undefined,
    },
    startIsolate: host.startIsolate,
    endsBusyIsolates: host.endsBusyIsolates,
    clock: systemClock,
    random: Math.random,
    log,
  });
  await supervisor.ready;
  return { port, broken: supervisor.broken, stop: supervisor.stop };
}

/**
 * Listens for a moment without sharing: this finds a free port when any will do, and whether another
 * process has taken it, with which the isolates would share it without a word.
 */
async function findPort(host: Host, { port, host: hostname }: Config): Promise<number> {
  const fetch = () => new Response(null, { status: 503 });
  const listening = await host.serve({ port, hostname, fetch });
  await listening.stop();
  return listening.port;
}

/** Whether it can be handed to another isolate. */
function isPlain({ hubs }: Config): boolean {
  return Object.values(hubs).every(({ accessToken }) => typeof accessToken !== "function");
}

function createSecret(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(32));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
