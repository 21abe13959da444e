/** The relays of several machines as one, with one connection to NATS for each process. */

import type { Bus } from "../lib/bus/bus.ts";
import type { Clock } from "../lib/clock.ts";
import { createClusterEngine } from "../lib/cluster/engine.ts";
import { nameFeed, nameMachines } from "../lib/cluster/names.ts";
import { showSeal } from "../lib/cluster/seal.ts";
import { createWideBus } from "../lib/cluster/wide.ts";
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
  /** Joins this isolate and all others, of all machines. */
  readonly bus: Bus;
  /** Says whether this is the isolate of its process that is connected to the other machines. */
  appoint(isConnected: boolean): void;
  /** Whether NATS is there, as far as this isolate knows. */
  readonly state: "connected" | "away";
  /** What goes through NATS; `undefined` where another isolate of the process has the connection. */
  readonly traffic: Pick<Nats, "connected" | "connects" | "traffic"> | undefined;
  close(): Promise<void>;
}

/** Least of what a log keeps: machines that were away for less miss nothing. */
const MIN_AGE_MS = 60_000;
const MIN_PER_TOPIC = 1_000;

/** @param options.bus where the isolates of the process meet; none where there is one */
export function createCluster(
  config: NonNullable<Config["cluster"]>,
  options: {
    readonly bus: Bus | undefined;
    /** Signs connection tokens, the same on all machines. */
    readonly secret: string | undefined;
    readonly maxCalls: number;
    readonly budget: HistoryBudget;
    readonly clock: Clock;
    readonly random: () => number;
    readonly stats: Stats;
    readonly log: Log;
  },
): Cluster {
  const { random, secret, log } = options;
  const names = nameMachines(config.name);
  const wide = createWideBus({
    ...options,
    id: options.bus?.id ?? `${createEpoch(random)}.${createEpoch(random)}`,
    local: options.bus,
    names,
  });
  let nats: Nats | undefined;
  let hideSeal = () => {};

  function appoint(isConnected: boolean): void {
    hideSeal();
    hideSeal = () => {};
    wide.connect(isConnected ? connect() : undefined);
    if (!isConnected || secret === undefined) return;
    hideSeal = showSeal({
      ...options,
      machine: wide.machines.own,
      secret,
      port: connect(),
      subject: names.seals,
      onOther: (machine) =>
        log.error({ machine }, "another machine has another secret: its clients are lost here"),
    });
  }

  /** Made when it is needed: of several isolates only the one that owns the feeds needs it. */
  function connect(): Nats {
    nats ??= createNats(config, options);
    return nats;
  }

  return {
    bus: wide,
    appoint,
    share:
      ({ spec, protocol, onDemand }, createOwn) =>
      (table) =>
        createClusterEngine(spec, table, {
          ...options,
          port: connect(),
          id: createEpoch(random) + createEpoch(random),
          names: nameFeed(config.name, spec.path, protocol),
          limits: limitsOf(spec, config.logBytes),
          leaseMs: config.leaseMs,
          createOwn,
          onDemand,
        }),
    get state() {
      return wide.machines.connected ? "connected" : "away";
    },
    get traffic() {
      return nats;
    },
    async close() {
      appoint(false);
      await nats?.close();
    },
  };
}

function limitsOf({ topics }: HubSpec, maxBytes: number) {
  return {
    maxAgeMs: Math.max(MIN_AGE_MS, ...topics.map(({ history }) => history.ttlMs)),
    maxPerSubject: Math.max(MIN_PER_TOPIC, ...topics.map(({ history }) => history.size)),
    maxBytes,
  };
}
