/** Serves the demo hub on a port of its own, as an origin that one could also connect to directly. */

import { Hono } from "hono";
import { systemClock } from "../../lib/clock.ts";
import type { Log } from "../../lib/log.ts";
import { ConfigError, type ConfigInput } from "../config.ts";
import type { Bindings, Host } from "../host.ts";
import { demoConfig } from "./config.ts";
import { createDemoHub, type DemoHub } from "./hub.ts";

export interface Demo {
  /** For a relay in front of it. */
  readonly config: ConfigInput;
  stop(): Promise<void>;
}

/** What was said last gets this long to go out, ms. */
const CLOSE_GRACE_MS = 100;

/**
 * Starts the embedded origin on the loopback. `ORIGIN_PORT` (default: any that is free),
 * `ORIGIN_SPEED` (simulated seconds per second, default 60) and `ORIGIN_SEED` (default 1) adjust it.
 * @throws {ConfigError} when one of them is not a number
 */
export async function startDemo(host: Host, log: Log): Promise<Demo> {
  const hub = createDemoHub({
    clock: systemClock,
    seed: readNumber(host, "ORIGIN_SEED", 1),
    speed: readNumber(host, "ORIGIN_SPEED", 60),
  });
  const app = createOriginApp(hub);
  const listening = await host.serve({
    port: readNumber(host, "ORIGIN_PORT", 0),
    hostname: host.env.ORIGIN_HOST ?? "127.0.0.1",
    fetch: (request, bindings) => app.fetch(request, bindings),
  });
  const url = `http://127.0.0.1:${listening.port}/hubs/live`;
  log.info({ url }, "embedded origin is listening");
  return {
    config: demoConfig(url),
    async stop() {
      hub.stop();
      await new Promise<void>((resolve) => systemClock.after(CLOSE_GRACE_MS, resolve));
      await listening.stop();
    },
  };
}

/** The hub, and the same controls for tests that the ASP.NET Core origin has. */
function createOriginApp(hub: DemoHub): Hono<{ Bindings: Bindings }> {
  return new Hono<{ Bindings: Bindings }>()
    .all("/hubs/live/negotiate", (c) => hub.negotiate(c.req.raw))
    .all("/hubs/live", (c) => hub.handle(c.req.raw, c.env))
    .get("/control/stats", (c) => c.json(hub.stats()))
    .post("/control/publish", (c) =>
      c.json(hub.publish(Number(c.req.query("match")), Number(c.req.query("count") ?? 1))),
    )
    .onError((error, c) => c.text(error.message, error instanceof RangeError ? 400 : 500));
}

function readNumber(host: Host, name: string, fallback: number): number {
  const text = host.env[name];
  const value = text ? Number(text) : fallback;
  if (Number.isFinite(value)) return value;
  throw new ConfigError(`Invalid ${name}: "${text}" is not a number`);
}
