/** The relay's counters in Prometheus' text format. They are plain numbers, read when asked for. */

import { Counter, Gauge, Registry } from "prom-client";
import type { Sessions, Transport } from "../lib/downstream/sessions.ts";
import type { Relay } from "../lib/relay.ts";
import type { Stats } from "../lib/stats.ts";

const COUNTERS: readonly [keyof Stats, name: string, help: string][] = [
  ["publications", "publications_total", "Publications that reached a topic"],
  ["deliveries", "deliveries_total", "Publications and notices handed to clients' connections"],
  ["sentBytes", "sent_bytes_total", "Bytes of topics handed to clients' connections"],
  ["receivedBytes", "received_bytes_total", "Bytes received from clients' sockets"],
  ["recoveries", "recoveries_total", "Subscriptions that got exactly what they had missed"],
  ["resets", "resets_total", "Subscriptions with a position, and topics, that had to begin anew"],
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

export function createMetrics(stats: Stats, sessions: Sessions, relay: Relay): Registry {
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
  return registry;
}
