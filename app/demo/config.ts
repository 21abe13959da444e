/** What the relay declares of the demo hub, whichever of the two origins serves it. */

import type { ConfigInput } from "../config.ts";
import { MATCH_COUNT, SPORTS } from "./contract.ts";

/** @param origin URL of the demo hub */
export function demoConfig(origin: string): ConfigInput {
  return {
    hubs: {
      "/hubs/live": {
        origin,
        topics: {
          "match/{id}": {
            params: { id: { type: "integer", min: 1, max: MATCH_COUNT } },
            join: { method: "JoinMatch", args: ["{id}"] },
            leave: { method: "LeaveMatch", args: ["{id}"] },
            events: { OddsChanged: "match/{0.matchId}", ScoreChanged: "match/{0.matchId}" },
            snapshot: { method: "GetMatch", args: ["{id}"] },
            key: { OddsChanged: "{0.marketId}" },
            history: { size: 500, ttlMs: 120_000 },
            slow: "conflate",
          },
          "ticker/{sport}": {
            params: { sport: { type: "string", pattern: SPORTS.join("|") } },
            stream: { method: "Ticker", args: ["{sport}"] },
            key: { Ticker: "{0.id}" },
            maxKeys: 20,
            history: { size: 100, ttlMs: 600_000 },
          },
          announcements: { events: { Announcement: "announcements" } },
        },
        calls: { GetMatch: { share: true, ttlMs: 250 } },
        // Who only watches needs no connection of its own; who places a bet gets one then.
        privateLane: "lazy",
      },
    },
  };
}
