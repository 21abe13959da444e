/** The relay: the real entry of a runtime, in front of a hub that publishes. */

import type { ConfigInput } from "../../app/config.ts";
import type { Runtime } from "../../tests/support/runtimes.ts";
import { startRelay } from "../../tests/support/spawned-relay.ts";
import { type Feed, startFeed } from "../feed.ts";
import type { Target, Transport } from "../load.ts";
import { pin, spread } from "../machine.ts";
import type { Running, StartOptions, Subject } from "../subject.ts";

export interface RelayOptions {
  /** Publications that each topic keeps. Default 500. */
  readonly historySize?: number;
  /** Isolates; with more than one, the relay runs on both cores. Default 1. */
  readonly workers?: number;
}

const HUB = "/hubs/live";

/** @returns the relay as `keryx-bun`, `keryx-deno` or `keryx-node`, and of two isolates `keryx-bun-x2` */
export function keryx(runtime: Runtime, options: RelayOptions = {}): Subject {
  const { workers = 1 } = options;
  return {
    name: `keryx-${runtime.name}${workers > 1 ? `-x${workers}` : ""}`,
    transports: ["ws", "sse", "json", "messagepack"],
    async start(given) {
      const feed = given.owned.use(await startFeed(given.cores, { mode: "signalr" }));
      return startBehind(runtime, { ...given, ...options, feed, origin: feed.port });
    },
  };
}

/** Starts a relay in front of the hub at `origin`, a port. */
export async function startBehind(
  runtime: Runtime,
  options: RelayOptions & StartOptions & { readonly feed: Feed; readonly origin: number },
): Promise<Running> {
  const { transport, cores, owned, feed, origin, historySize = 500, workers = 1 } = options;
  const pinned = {
    name: runtime.name,
    command(...args: readonly string[]) {
      const command = runtime.command(...args);
      return workers > 1 ? spread(cores, command) : pin(cores, "server", command);
    },
  };
  const { url, program } = await startRelay(pinned, {
    ...configuration(origin, historySize),
    workers,
  });
  owned.defer(() => program.kill().then(() => {}));
  return { pids: [program.pid], target: targetOf(transport, Number(new URL(url).port)), feed };
}

/** What an operator of such a hub would declare, with everything on that costs something. */
function configuration(origin: number, historySize: number): ConfigInput {
  return {
    hubs: {
      [HUB]: {
        origin: `http://127.0.0.1:${origin}${HUB}`,
        topics: {
          "match/{id}": {
            params: { id: "integer" },
            join: { method: "JoinMatch", args: ["{id}"] },
            leave: { method: "LeaveMatch", args: ["{id}"] },
            events: { OddsChanged: "match/{0.matchId}" },
            key: { OddsChanged: "{0.marketId}" },
            history: { size: historySize, ttlMs: 120_000 },
          },
        },
        privateLane: "lazy",
      },
    },
    // Every client here comes at once, and their number is what is measured.
    limits: { topics: 20_000, connectsPerSecond: 0 },
  };
}

function targetOf(transport: Transport, port: number): Target {
  const common = { protocol: transport, port };
  switch (transport) {
    case "ws":
      return {
        ...common,
        path: "/ws",
        subscribe: '{"type":"subscribe","topics":["match/{topic}"]}',
        resume: '{"type":"subscribe","topics":[{"topic":"match/{topic}","since":"{since}"}]}',
        ready: '"type":"subscribed"',
      };
    case "sse":
      return {
        ...common,
        path: "/sse?topic=match/{topic}",
        resume: "/sse?topic=match/{topic}&since={since}",
        ready: "keryx.subscribed",
      };
    case "json":
    case "messagepack":
      return { ...common, path: HUB };
  }
}

/** What stands before a position on the wire, for clients that come back with theirs. */
export const POSITION_MARKS: Readonly<Partial<Record<Transport, string>>> = {
  ws: '"position":"',
  sse: "id: ",
};
