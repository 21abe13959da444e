/** What stands behind the relay under test: two origins, a puppet, and the wiring of their topics. */

import { test as base } from "vitest";
import type { ConfigInput } from "../../app/config.ts";
import { demoConfig } from "../../app/demo/config.ts";
import type { Origin, StartOrigin } from "../support/origins.ts";
import { type Call, startPuppetHub } from "../support/puppet-hub.ts";
import type { Runtime } from "../support/runtimes.ts";
import { killAll } from "../support/spawn.ts";
import { startRelay } from "../support/spawned-relay.ts";

/** An origin that is killed and started again. */
export interface Fragile {
  origin: Origin;
}

/** Every plain client hears something this often, ms. */
export const HEARTBEAT_MS = 300;
/** Publications of a note that are kept. */
export const NOTE_HISTORY = 3;
/** How long `fragile/{id}` outlives its last client, ms. */
export const LINGER_MS = 400;

export type StagedTest = ReturnType<typeof stagedTest>;

/** Tests in front of one relay, which is started for the first of them and has three hubs. */
export function stagedTest(runtime: Runtime, startOrigin: StartOrigin) {
  return (
    base
      .extend("runtime", { scope: "file" }, () => runtime)
      .extend("startOrigin", { scope: "file" }, () => startOrigin)
      // Behind `/hubs/live`, topics `match/{id}` and `ticker/{sport}`.
      .extend("origin", { scope: "file" }, () => startOrigin())
      // Behind `/hubs/fragile`, topics `fragile/{id}`.
      .extend("fragile", { scope: "file" }, async (): Promise<Fragile> => {
        return { origin: await startOrigin() };
      })
      // Behind `/hubs/puppet`, topics `note/{id}`, `lines/{name}` and `bell`.
      .extend("puppet", { scope: "file" }, async ({ runtime: _ }, { onCleanup }) => {
        const puppet = await startPuppetHub(answer);
        onCleanup(puppet.stop);
        return puppet;
      })
      .extend("relay", { scope: "file" }, ({ origin, fragile, puppet }, { onCleanup }) => {
        onCleanup(killAll);
        return startRelay(runtime, configOf(origin.hub, fragile.origin.hub, puppet.url));
      })
  );
}

function answer({
  target,
  arguments: [argument],
}: Call): { result?: unknown; error?: string } | undefined {
  if (argument === "silent") return undefined;
  if (argument === "refused") return { error: `No ${argument} for you` };
  return { result: target === "Read" ? { read: argument } : null };
}

function configOf(live: string, fragile: string, puppet: string): ConfigInput {
  const { "/hubs/live": demo } = demoConfig(live).hubs;
  const match = demo?.topics?.["match/{id}"];
  const ticker = demo?.topics?.["ticker/{sport}"];
  const id = { type: "integer", min: 1, max: 999 } as const; // more than the origin has
  return {
    heartbeatMs: HEARTBEAT_MS,
    openTimeoutMs: 2_000,
    drainMs: 2_000,
    signalr: { keepAliveMs: 300, handshakeTimeoutMs: 2_000 },
    upstream: { backoffMinMs: 50, backoffMaxMs: 200 },
    limits: { queueBytes: 1_048_576 },
    hubs: {
      "/hubs/live": {
        origin: live,
        topics: {
          // What is kept outlasts the pauses between tests.
          "match/{id}": { ...match, params: { id }, snapshotTtlMs: 60_000, lingerMs: 60_000 },
          "ticker/{sport}": { ...ticker, params: { sport: "string" }, lingerMs: 0 },
        },
        calls: { GetMatch: { share: true, ttlMs: 250 } },
        privateLane: "lazy",
      },
      "/hubs/fragile": {
        origin: fragile,
        topics: {
          "fragile/{id}": {
            ...match,
            events: { OddsChanged: "fragile/{0.matchId}" },
            lingerMs: LINGER_MS,
          },
        },
        calls: { GetMatch: { share: true, ttlMs: 5_000 } },
        privateLane: "lazy",
        accessTtlMs: 600_000, // who comes while the origin is away was accepted before
      },
      "/hubs/puppet": {
        origin: puppet,
        topics: {
          "note/{id}": {
            join: { method: "JoinNote", args: ["{id}"] },
            events: { Note: "note/{0.id}", Pair: "note/{0}" },
            history: { size: NOTE_HISTORY },
            lingerMs: 60_000,
          },
          "lines/{name}": { stream: { method: "Lines", args: ["{name}"] }, lingerMs: 0 },
          bell: { events: { Bell: "bell" } },
        },
        calls: { Read: { share: true } },
        privateLane: "lazy",
      },
    },
  };
}
