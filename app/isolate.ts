/**
 * One of several isolates of a process: it does what the supervisor says, meets the others on a bus,
 * and serves as if it were alone.
 */

import type { Logger } from "pino";
import { createBroadcastBus } from "../lib/bus/broadcast.ts";
import { type Bus, channelOf } from "../lib/bus/bus.ts";
import { createGather } from "../lib/bus/gather.ts";
import { type Clock, systemClock } from "../lib/clock.ts";
import { messageOf } from "../lib/errors.ts";
import { BEAT_MS } from "../lib/feed/server.ts";
import { build } from "./build.ts";
import { loadConfig } from "./config.ts";
import type { Host, Port } from "./host.ts";
import { createMetrics, mergeMetrics } from "./metrics.ts";
import type { Appointment, Order, Report } from "./order.ts";
import { createService, type Service } from "./service.ts";

/** How long a new isolate waits for the owner's word before it serves without, ms. */
const OWNER_TIMEOUT_MS = 2_000;

/** An owner that was not heard for so many beats of its feeds is silent; replicas think so, too. */
const PATIENCE_BEATS = 6;

/** How long the others may take to tell their metrics, ms. */
const METRICS_TIMEOUT_MS = 500;

/** Runs an isolate for its supervisor. */
export function runIsolate(host: Host, supervisor: Port, log: Logger): void {
  const clock = systemClock;
  const say = (report: Report) => supervisor.post(report);
  let isolate: Isolated | undefined;
  let isDraining = false;

  async function obey(order: Order): Promise<void> {
    switch (order.type) {
      case "start":
        isolate = await join(order);
        return say({ type: "joined" });
      case "roster":
        say({ type: "alive" });
        return isolate?.appoint(order);
      case "drain":
        isDraining = true;
        await isolate?.service.drain();
        return say({ type: "drained" });
      case "end":
        await isolate?.service.close();
        return say({ type: "ended" });
    }
  }

  /** Everything but to listen: who serves must have something to serve from. */
  async function join(start: Extract<Order, { type: "start" }>): Promise<Isolated> {
    const { id, place, port, secret } = start;
    const config = { ...(start.config ?? (await loadConfig(host))), port, secret };
    const ownLog = log.child({ isolate: place });
    const bus = createBroadcastBus(start.bus, id);
    const built = build(config, host, ownLog, bus);
    const { context, group } = built;
    const hearing = listenToOwner(bus, clock);
    const registry = createMetrics(context, built);
    registry.setDefaultLabels({ isolate: place });
    const sample = () => registry.getMetricsAsJSON();
    const gather = createGather(channelOf(bus, "metrics"), {
      answer: sample,
      timeoutMs: METRICS_TIMEOUT_MS,
      clock,
    });
    let appointment: Appointment | undefined;

    const service = createService({
      host,
      config,
      log: ownLog,
      built,
      metrics: {
        contentType: registry.contentType,
        async metrics() {
          const { isolates = [] } = appointment?.roster ?? {};
          const others = isolates.filter((other) => other !== id);
          const [own, answers] = await Promise.all([sample(), gather(others)]);
          const samples = isolates
            .map((one) => (one === id ? own : answers.get(one)))
            .filter((sample) => sample !== undefined);
          return mergeMetrics(samples, {
            isolates: isolates.length,
            silent: others.length - answers.size,
            restarts: appointment?.restarts ?? 0,
          });
        },
      },
      standing() {
        const { owner, isolates = [] } = appointment?.roster ?? {};
        const isHeard = clock.now() - hearing.heardAt < PATIENCE_BEATS * BEAT_MS;
        const bus = owner === id ? "owner" : isHeard ? "heard" : "silent";
        return { isolates: isolates.length, bus };
      },
    });

    async function serve(): Promise<void> {
      if (appointment?.roster.owner !== id) await hearing.once(OWNER_TIMEOUT_MS);
      if (isDraining) return;
      await service.open();
      if (!isDraining) say({ type: "listening" });
    }

    return {
      service,
      async appoint(next) {
        const isFirst = !appointment;
        const isKnown = next.roster.term === appointment?.roster.term;
        appointment = next;
        if (isKnown) return;
        hearing.follow(next.roster.owner);
        built.cluster?.appoint(next.roster.owner === id);
        group?.appoint(next.roster);
        if (!isFirst) return;
        context.relay.start();
        await serve();
      },
    };
  }

  supervisor.listen((order) => {
    // Nobody else writes there.
    obey(order as Order).catch((error) => say({ type: "failed", error: messageOf(error) }));
  });
  say({ type: "hello" });
}

interface Isolated {
  readonly service: Service;
  appoint(appointment: Appointment): Promise<void>;
}

/** Whatever an owner says on the bus shows that it is there: it beats when there is nothing to say. */
function listenToOwner(bus: Bus, clock: Clock) {
  let owner: string | undefined;
  let heardAt = 0;
  let wake = () => {};
  bus.listen((from) => {
    if (from !== owner) return;
    heardAt = clock.now();
    wake();
  });
  return {
    /** Unix ms; 0 as long as it has not been heard. */
    get heardAt() {
      return heardAt;
    },
    follow(next: string) {
      if (next !== owner) heardAt = 0;
      owner = next;
    },
    /** Waits until it is heard, but no longer than this. */
    once: (timeoutMs: number) =>
      new Promise<void>((resolve) => {
        wake = resolve;
        clock.after(timeoutMs, resolve);
      }),
  };
}
