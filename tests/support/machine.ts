/** A relay of a cluster, with clients that note what they are sent; and the origin of all of them. */

import type { ManualClock } from "../../lib/clock.ts";
import { createClusterEngine } from "../../lib/cluster/engine.ts";
import { nameFeed } from "../../lib/cluster/names.ts";
import { createFanout } from "../../lib/fanout/fanout.ts";
import type { Format } from "../../lib/fanout/format.ts";
import { createFeed, type Feed } from "../../lib/feed/feed.ts";
import { createMember } from "../../lib/feed/member.ts";
import { createOwner } from "../../lib/feed/owner.ts";
import type { HubSpec } from "../../lib/feed/spec.ts";
import { silentLog } from "../../lib/log.ts";
import { createRelay, type Relay } from "../../lib/relay.ts";
import { createStats, type Stats } from "../../lib/stats.ts";
import type { Request } from "../../lib/subscriptions.ts";
import { createHistoryBudget } from "../../lib/topic/budget.ts";
import type { FakeCluster, Place } from "./fake-cluster.ts";
import { createFakeSource, type FakeSource } from "./fake-source.ts";
import { createLimits } from "./limits.ts";
import { lineFormat } from "./line.ts";
import { createSink } from "./sink.ts";

export const LEASE_MS = 1_500;

export interface Machine extends Place {
  readonly id: string;
  readonly relay: Relay;
  readonly feed: Feed<string>;
  readonly stats: Stats;
  /** The connection to the origin, while it is the owner. */
  readonly source: FakeSource | undefined;
  connect(format?: Format): Client;
  /** Ends at once, without a goodbye. */
  crash(): void;
}

export interface Client {
  open(...requests: readonly (string | Request)[]): void;
  close(): void;
  /** What was sent since the last time, a message a line. */
  lines(): string[];
}

export interface FakeOrigin {
  /** Connections that it sees. */
  readonly sources: ReadonlySet<FakeSource>;
  /** Joins, ever. */
  readonly joins: string[];
  /** Whether it does not answer now. */
  isAway: boolean;
  /** Pushes to whoever has joined the topic. */
  push(topic: string, target: string, ...args: unknown[]): void;
  /** Does what is due: accepts connections and joins, answers questions. */
  act(): void;
}

/** @param answer what a call such as `Get[1]` is answered with */
export function createFakeOrigin(answer: (call: string) => string = () => "null"): FakeOrigin & {
  /** Takes a relay's source. */
  add(source: FakeSource, isReachable: () => boolean): void;
  /** Connections whose other end is no more. */
  lose(connections: readonly FakeSource[]): void;
} {
  const all = new Map<FakeSource, () => boolean>();
  const sources = new Set<FakeSource>();
  const joined = new Map<FakeSource, Set<string>>();
  const joins: string[] = [];
  const origin = {
    sources,
    joins,
    isAway: false,
    add: (source: FakeSource, isReachable: () => boolean) => void all.set(source, isReachable),
    lose(connections: readonly FakeSource[]) {
      for (const source of connections) sources.delete(source);
    },
    push(topic: string, target: string, ...args: unknown[]) {
      for (const source of sources) {
        if (joined.get(source)?.has(topic)) source.push(target, ...args);
      }
    },
    act() {
      for (const [source, isReachable] of all) {
        if (!isReachable()) continue;
        for (const said of source.take()) {
          if (said === "start") sources.add(source);
          if (said === "stop") sources.delete(source);
          const [, left] = /^leave (.*)$/.exec(said) ?? [];
          if (left !== undefined) joined.get(source)?.delete(left);
        }
        if (!sources.has(source)) continue;
        if (origin.isAway && source.connected) source.drop();
        if (origin.isAway) continue;
        if (!source.connected) {
          joined.set(source, new Set());
          source.connect();
        }
        const has = joined.get(source) ?? new Set();
        for (const name of source.wanted.keys()) {
          if (has.has(name)) continue;
          has.add(name);
          joins.push(name);
          source.accept(name);
        }
        for (const question of [...source.questions]) question.answer(answer(question.call));
      }
    },
  };
  return origin;
}

export function createMachine(
  id: string,
  spec: HubSpec,
  options: {
    readonly cluster: FakeCluster;
    readonly clock: ManualClock;
    readonly origin: ReturnType<typeof createFakeOrigin>;
    /** From 0 to below 1. */
    readonly random?: () => number;
  },
): Machine {
  const { cluster, clock, origin, random = Math.random } = options;
  const place = cluster.join();
  const stats = createStats();
  const fanout = createFanout({ clock, stats, limits: createLimits() });
  const budget = createHistoryBudget(1_000_000);
  let source: FakeSource | undefined;
  const connections: FakeSource[] = [];
  let isFrozen = false;
  let isDead = false;

  const relay = createRelay({
    fanout,
    createHubs(onEnded) {
      const feed = (protocol: "json" | "messagepack") => {
        const { connect } = createMember<string>(
          (table) =>
            createClusterEngine<string>(spec, table, {
              port: place.port,
              id,
              names: nameFeed("test", spec.path, protocol),
              limits: { maxAgeMs: 60_000, maxPerSubject: 1_000, maxBytes: 1_000_000 },
              leaseMs: LEASE_MS,
              createOwn: (table, sequence) =>
                createOwner<string>(spec, table, {
                  createSource(listener) {
                    const made = createFakeSource(listener);
                    const { stop } = made;
                    made.stop = async () => {
                      if (source === made) source = undefined;
                      await stop();
                    };
                    source = made;
                    connections.push(made);
                    origin.add(made, () => !isFrozen && !isDead);
                    return made;
                  },
                  sequence,
                  clock: place.clock,
                  random,
                  stats,
                  log: silentLog,
                }),
              onDemand: protocol === "messagepack",
              maxCalls: 10,
              budget,
              clock: place.clock,
              random,
              stats,
              log: silentLog,
            }),
          budget,
        );
        return createFeed<string>(spec, { createLine: connect, onEnded, fanout, clock, stats });
      };
      // The other feed is there, and nobody speaks to it.
      return [{ spec, json: feed("json"), messagepack: feed("messagepack") as never }];
    },
  });
  const [hub] = relay.hubs.values();
  if (!hub) throw new Error("It was made above");
  relay.start();

  return {
    ...place,
    id,
    relay,
    feed: hub.json,
    stats,
    get source() {
      return source;
    },
    freeze() {
      isFrozen = true;
      place.freeze();
    },
    thaw() {
      isFrozen = false;
      place.thaw();
    },
    crash() {
      isDead = true;
      place.cut();
      place.freeze();
      origin.lose(connections);
    },
    connect(format = lineFormat) {
      const sink = createSink();
      const subscriptions = relay.subscriptions({
        sink,
        format,
        maxTopics: 100,
        onSlow: () => {},
        onEnded: () => {},
      });
      return {
        open: (...requests) =>
          void subscriptions.open(
            requests.map((one) => (typeof one === "string" ? { topic: one } : one)),
          ),
        close: () => subscriptions.closeAll(),
        lines: () => sink.take().flatMap((frame) => frame.split("\n")),
      };
    },
  };
}
