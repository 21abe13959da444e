/**
 * Stock SignalR clients on every runtime, over every transport and in both hub protocols, in front
 * of a relay on every runtime: each lives the same life, and sees what it would see of the hub.
 */

import { afterAll, beforeAll, describe, test } from "vitest";
import type { ConfigInput } from "../../app/config.ts";
import { demoConfig } from "../../app/demo/config.ts";
import { buildOrigin, findDotnet } from "../support/dotnet.ts";
import { eventually } from "../support/eventually.ts";
import { ask } from "../support/http.ts";
import { type Cell, countTopic, createCell, expectLife, type Seen } from "../support/life.ts";
import { type ClientName, findClient, type Pages, servePages } from "../support/matrix.ts";
import { readMetric } from "../support/metrics.ts";
import { declareWith } from "../support/needs.ts";
import { dotnetOrigin, embeddedOrigin, type Origin } from "../support/origins.ts";
import { type ProbeHub, startProbeHub } from "../support/probe-hub.ts";
import { findRuntime, type RuntimeName } from "../support/runtimes.ts";
import { killAll } from "../support/spawn.ts";
import { type SpawnedRelay, startRelay } from "../support/spawned-relay.ts";

const RELAYS: readonly RuntimeName[] = ["bun", "deno", "node"];
const CLIENTS: readonly ClientName[] = ["node", "bun", "deno", "chromium"];

const WAYS: readonly Pick<Cell, "transport" | "protocol">[] = [
  { transport: "WebSockets", protocol: "json" },
  { transport: "WebSockets", protocol: "messagepack" },
  { transport: "ServerSentEvents", protocol: "json" },
  { transport: "LongPolling", protocol: "json" },
  { transport: "LongPolling", protocol: "messagepack" },
];

interface Stage {
  /** What the relay has in front of it for JSON clients, and for MessagePack ones. */
  readonly origins: Readonly<Record<Cell["protocol"], Origin>>;
  readonly probeHub: ProbeHub;
  readonly pages: Pages;
}

declareWith(".NET", findDotnet(), (dotnet) => {
  declareWith("bun", findRuntime("bun"), (bun) => {
    let stage: Stage;
    beforeAll(async () => {
      const [json, messagepack, probeHub, pages] = await Promise.all([
        buildOrigin(dotnet).then((command) => dotnetOrigin(command)()),
        embeddedOrigin(bun)(), // .NET has MessagePack in a package that is not everywhere
        startProbeHub(),
        servePages(),
      ]);
      stage = { origins: { json, messagepack }, probeHub, pages };
    });
    afterAll(async () => {
      await killAll();
      await Promise.all([stage.probeHub.stop(), stage.pages.stop()]);
    });
    for (const name of RELAYS) {
      describe(`in front of a relay on ${name}`, () => declareRelay(name, () => stage));
    }
  });
});

function declareRelay(name: RuntimeName, stage: () => Stage): void {
  declareWith(name, findRuntime(name), (runtime) => {
    let relay: SpawnedRelay;
    beforeAll(async () => {
      relay = await startRelay(runtime, configOf(stage()));
    });
    afterAll(() => relay.program.stop());
    for (const client of CLIENTS) {
      const found = findClient(client, () => stage().pages);
      describe(`clients on ${client}`, () => {
        declareWith(client, found, ({ run }) => {
          const first = CLIENTS.indexOf(client) * WAYS.length;
          let cells: readonly Cell[];
          let seen: readonly Seen[];
          beforeAll(async () => {
            cells = WAYS.map((way, i) => {
              const hubs = `${relay.url}/${way.protocol}`;
              const origin = stage().origins[way.protocol].url;
              return createCell(first + i, { hubs, origin, ...way });
            });
            seen = await run(cells);
          });
          for (const [i, { transport, protocol }] of WAYS.entries()) {
            test(`${transport}, ${protocol}`, () => expectLife(seen[i], cells[i] as Cell));
          }
        });
      });
    }
    test("nothing of them is left behind", async () => {
      const { origins, probeHub } = stage();
      await eventually(
        () => readMetric(relay.url, "keryx_private_connections"),
        (count) => count === 0,
      );
      await eventually(
        () => readMetric(relay.url, "keryx_clients"),
        (count) => count === 0,
      );
      await eventually(
        () => probeHub.streams,
        (count) => count === 0,
      );
      // The relay's own are all that the origin has left.
      await eventually(
        async () => (await ask(origins.json.url, "/control/connections")).json(),
        (left) => Array.isArray(left) && left.length === 2,
      );
    });
  });
}

function configOf({ origins, probeHub, pages }: Stage): ConfigInput {
  const { "/hubs/live": demo } = demoConfig(origins.json.hub).hubs;
  const match = demo?.topics?.["match/{id}"];
  return {
    origins: [pages.origin],
    hubs: {
      "/json/live": {
        origin: origins.json.hub,
        topics: { "match/{id}": { ...match } },
        privateLane: "lazy",
      },
      "/json/probe": { origin: `${origins.json.url}/hubs/probe`, topics: countTopic() },
      "/messagepack/live": {
        origin: origins.messagepack.hub,
        topics: {
          "packed/match/{id}": { ...match, events: { OddsChanged: "packed/match/{0.matchId}" } },
        },
        privateLane: "lazy",
      },
      "/messagepack/probe": { origin: probeHub.url, topics: countTopic("packed/") },
    },
  };
}
