/** The relays of several machines as one, with one connection to NATS for each process. */

import type { Clock } from "../lib/clock.ts";
import { createClusterEngine } from "../lib/cluster/engine.ts";
import { nameFeed } from "../lib/cluster/names.ts";
import type { CreateEngine } from "../lib/feed/member.ts";
import type { HubSpec } from "../lib/feed/spec.ts";
import type { Log } from "../lib/log.ts";
import type { Stats } from "../lib/stats.ts";
import type { HistoryBudget } from "../lib/topic/budget.ts";
import { createEpoch } from "../lib/topic/position.ts";
import type { ProtocolName, Raw } from "../lib/wire/hub.ts";
import type { Config } from "./config.ts";
import { createNats, type Nats } from "./nats.ts";

export interface Cluster {
  /**
   * What keeps a feed up to date together with the other machines.
   * @param feed.onDemand whether it is there only while a topic is wanted, or something is asked
   * @param createOwn what keeps it at the origin
   */
  share<R extends Raw>(
    feed: { readonly spec: HubSpec; readonly protocol: ProtocolName; readonly onDemand: boolean },
    createOwn: CreateEngine<R>,
  ): CreateEngine<R>;
  /** `undefined` where another isolate of the process has the connection. */
  readonly state: "connected" | "away" | undefined;
  close(): Promise<void>;
}

/** Least of what a log keeps: machines that were away for less miss nothing. */
const MIN_AGE_MS = 60_000;
const MIN_PER_TOPIC = 1_000;

export function createCluster(
  config: NonNullable<Config["cluster"]>,
  options: {
    readonly maxCalls: number;
    readonly budget: HistoryBudget;
    readonly clock: Clock;
    readonly random: () => number;
    readonly stats: Stats;
    readonly log: Log;
  },
): Cluster {
  const { random } = options;
  let nats: Nats | undefined;

  return {
    share:
      ({ spec, protocol, onDemand }, createOwn) =>
      (table) => {
        // Made here and not before: of several isolates only the one that owns the feeds needs it.
        nats ??= createNats(config, options);
        return createClusterEngine(spec, table, {
          ...options,
          port: nats,
          id: createEpoch(random) + createEpoch(random),
          names: nameFeed(config.name, spec.path, protocol),
          limits: limitsOf(spec, config.logBytes),
          leaseMs: config.leaseMs,
          createOwn,
          onDemand,
        });
      },
    get state() {
      return nats && (nats.connected ? "connected" : "away");
    },
    close: async () => nats?.close(),
  };
}

function limitsOf({ topics }: HubSpec, maxBytes: number) {
  return {
    maxAgeMs: Math.max(MIN_AGE_MS, ...topics.map(({ history }) => history.ttlMs)),
    maxPerSubject: Math.max(MIN_PER_TOPIC, ...topics.map(({ history }) => history.size)),
    maxBytes,
  };
}
