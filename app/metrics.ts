/** The relay's counters in Prometheus' text format. They are plain numbers, read when asked for. */

import { AggregatorRegistry, Counter, Gauge, Histogram, Registry } from "prom-client";
import type { Context } from "../lib/downstream/context.ts";
import type { Obstacle, Transport } from "../lib/downstream/sessions.ts";
import type { Histogram as Buckets } from "../lib/histogram.ts";
import type { Stats } from "../lib/stats.ts";
import type { Built } from "./build.ts";
import type { Cluster } from "./cluster.ts";

const COUNTERS: readonly [Exclude<keyof Stats, "dwell">, name: string, help: string][] = [
  ["publications", "publications_total", "Publications that reached a topic"],
  ["deliveries", "deliveries_total", "Publications and notices handed to clients' connections"],
  ["sentBytes", "sent_bytes_total", "Bytes of topics handed to clients' connections"],
  ["receivedBytes", "received_bytes_total", "Bytes received from clients' sockets"],
  ["recoveries", "recoveries_total", "Subscriptions that got exactly what they had missed"],
  ["resets", "resets_total", "Subscriptions with a position, and topics, that had to begin anew"],
  [
    "lostBatches",
    "lost_batches_total",
    "Messages of a feed's owner that were lost, and made good for",
  ],
  ["lags", "lags_total", "Times that a connection did not keep up and was left behind"],
  ["slowDisconnects", "slow_disconnects_total", "Connections cut because they did not keep up"],
  ["refusals", "refusals_total", "Requests and messages of clients that were refused"],
  ["sharedCalls", "shared_calls_total", "Shared calls that clients made"],
  ["upstreamConnects", "upstream_connects_total", "Connections to origins that were opened"],
  ["upstreamMessages", "upstream_messages_total", "Hub messages received from origins"],
  ["upstreamReceivedBytes", "upstream_received_bytes_total", "Bytes received from origins"],
  ["upstreamSentBytes", "upstream_sent_bytes_total", "Bytes sent to origins"],
  ["upstreamJoins", "upstream_joins_total", "Joins and streams that origins accepted"],
  ["upstreamLeaves", "upstream_leaves_total", "Leaves and cancelled streams"],
  ["upstreamInvocations", "upstream_invocations_total", "Invocations sent to origins"],
  ["privateConnects", "private_connects_total", "Private connections that were opened"],
  [
    "privateUnneeded",
    "private_unneeded_total",
    "Private connections that ended without having carried anything",
  ],
  ["unmatchedPushes", "unmatched_pushes_total", "Pushes that belong to no declared topic"],
  ["unwatchedPushes", "unwatched_pushes_total", "Pushes for a topic that nobody watches here"],
  ["malformedMessages", "malformed_messages_total", "Messages of origins that could not be read"],
  [
    "refusedClientResults",
    "refused_client_results_total",
    "Client results that origins asked of all",
  ],
];

const TRANSPORTS: readonly Transport[] = [
  "websocket",
  "sse",
  "signalr-websocket",
  "signalr-sse",
  "signalr-polling",
];

const OBSTACLES: readonly Obstacle[] = ["draining", "full", "rate"];

/** What there is to read. */
export interface Exposition {
  readonly contentType: string;
  metrics(): Promise<string>;
}

/** The metrics of one isolate, as plain data. */
export type Sample = Awaited<ReturnType<Registry["getMetricsAsJSON"]>>;

/**
 * The metrics of all isolates of a process, in one text. Each series keeps the label `isolate`, for
 * Prometheus to add up: a sum that is made here would fall when an isolate has died or is silent, and
 * `rate` would take what the others have counted for new.
 * @param process what no isolate knows alone
 */
export function mergeMetrics(
  samples: readonly Sample[],
  process: { readonly isolates: number; readonly silent: number; readonly restarts: number },
): Promise<string> {
  const registry = AggregatorRegistry.aggregate([...samples]);
  const registers = [registry];
  new Gauge({ name: "keryx_isolates", help: "Isolates of the process", registers }).set(
    process.isolates,
  );
  const help = "Isolates that did not tell their metrics in time: they are not among these";
  new Gauge({ name: "keryx_isolates_silent", help, registers }).set(process.silent);
  new Counter({
    name: "keryx_isolate_restarts_total",
    help: "Isolates that were started in the place of one that had died",
    registers,
  }).inc(process.restarts);
  return registry.metrics();
}

/**
 * @param more.histories what all topics keep, where that is told
 * @param more.cluster where there are other machines
 */
export function createMetrics(
  { stats, sessions, relay }: Pick<Context, "stats" | "sessions" | "relay">,
  { histories, cluster }: Partial<Pick<Built, "histories" | "cluster">> = {},
): Registry {
  const registry = new Registry();
  const registers = [registry];
  for (const [field, name, help] of COUNTERS) {
    new Counter({
      name: `keryx_${name}`,
      help,
      registers,
      collect() {
        this.reset();
        this.inc(stats[field]);
      },
    });
  }
  new Counter({
    name: "keryx_turned_away_total",
    help: "Newcomers that were turned away: the relay drains, is full, or they were too many at once",
    labelNames: ["reason"],
    registers,
    collect() {
      this.reset();
      for (const reason of OBSTACLES) this.inc({ reason }, sessions.refused[reason]);
    },
  });
  new Gauge({
    name: "keryx_clients",
    help: "Clients connected now",
    labelNames: ["transport"],
    registers,
    collect() {
      for (const transport of TRANSPORTS) this.set({ transport }, sessions.count(transport));
    },
  });
  new Gauge({
    name: "keryx_upstream_connections",
    help: "Connections to origins now",
    registers,
    collect() {
      this.set(stats.upstreamConnections);
    },
  });
  new Gauge({
    name: "keryx_private_connections",
    help: "Private connections to origins now; they count as upstream connections, too",
    registers,
    collect() {
      this.set(stats.privateConnections);
    },
  });
  new Gauge({
    name: "keryx_topics",
    help: "Topics that are subscribed upstream now",
    labelNames: ["hub", "protocol"],
    registers,
    collect() {
      for (const { spec, json, messagepack } of relay.hubs.values()) {
        this.set({ hub: spec.path, protocol: "json" }, json.topicCount);
        this.set({ hub: spec.path, protocol: "messagepack" }, messagepack.topicCount);
      }
    },
  });
  const levels: readonly [name: string, help: string, read: () => number][] = [
    [
      "queued_bytes",
      "Bytes that wait for clients which do not keep up",
      () => relay.backlog.queuedBytes,
    ],
    ["lagging_clients", "Clients that were left behind", () => relay.backlog.laggardCount],
    ["history_bytes", "Bytes of publications that are kept", () => histories?.bytes ?? 0],
  ];
  for (const [name, help, read] of levels) {
    new Gauge({
      name: `keryx_${name}`,
      help,
      registers,
      collect() {
        this.set(read());
      },
    });
  }
  if (cluster) exportTraffic(cluster, registers);
  exportBuckets(stats.dwell, {
    name: "keryx_edge_dwell_seconds",
    help: "From a message of an origin received to its publications written to a client's socket",
    registers,
  });
  return registry;
}

/** What the isolate that is connected to NATS has to tell. */
function exportTraffic(cluster: Pick<Cluster, "traffic">, registers: Registry[]): void {
  new Gauge({
    name: "keryx_nats_connections",
    help: "Connections to NATS now: one of a process",
    registers,
    collect() {
      this.set(cluster.traffic?.connected ? 1 : 0);
    },
  });
  new Counter({
    name: "keryx_nats_connects_total",
    help: "Connections to NATS that were opened",
    registers,
    collect() {
      this.reset();
      this.inc(cluster.traffic?.connects ?? 0);
    },
  });
  for (const [name, help] of [
    ["read", "Entries of a feed's log that were read"],
    ["written", "Entries of a feed's log that this machine has written as the feed's owner"],
  ] as const) {
    new Counter({
      name: `keryx_log_entries_${name}_total`,
      help,
      labelNames: ["log"],
      registers,
      collect() {
        this.reset();
        for (const [log, own] of cluster.traffic?.traffic ?? []) this.inc({ log }, own[name]);
      },
    });
  }
  new Gauge({
    name: "keryx_log_entries_behind",
    help: "Entries of a feed's log that wait behind the one that was read last",
    labelNames: ["log"],
    registers,
    collect() {
      this.reset();
      for (const [log, { behind }] of cluster.traffic?.traffic ?? []) this.set({ log }, behind);
    },
  });
}

/**
 * Makes a metric of what has been counted already: the package's own histogram takes single
 * observations only, so that it gives no more than its place in the registry.
 * @param buckets of milliseconds; they are exported in seconds
 */
function exportBuckets(
  buckets: Buckets,
  options: { readonly name: string; readonly help: string; readonly registers: Registry[] },
): void {
  const { name, help } = options;
  const { bounds, counts } = buckets;
  const get = async () => {
    let count = 0;
    const values = Array.from(counts, (own, i) => {
      const boundMs = bounds[i];
      count += own;
      const le = boundMs === undefined ? "+Inf" : boundMs / 1000;
      return { metricName: `${name}_bucket`, labels: { le }, value: count };
    });
    const sum = { metricName: `${name}_sum`, labels: {}, value: buckets.sum / 1000 };
    const total = { metricName: `${name}_count`, labels: {}, value: count };
    return { name, help, type: "histogram", aggregator: "sum", values: [...values, sum, total] };
  };
  // The second one is what the registry prefers for its text.
  Object.assign(new Histogram(options), { get, getForPromString: get });
}
