/**
 * Stock SignalR clients on every runtime, over every transport and in both hub protocols, in front
 * of a relay on every runtime: each lives the same life, and sees what it would see of the hub.
 */

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ConfigInput } from "../../app/config.ts";
import { demoConfig } from "../../app/demo/config.ts";
import { buildOrigin, findDotnet } from "../support/dotnet.ts";
import { eventually } from "../support/eventually.ts";
import { ask } from "../support/http.ts";
import {
  type Cell,
  type ClientName,
  findClient,
  type Pages,
  type Seen,
  servePages,
} from "../support/matrix.ts";
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

const PUSHES = 20;
/** A stream with this pause is declared; with another one it is private. */
const SHARED_DELAY_MS = 25;
const VALUE = { text: "Grüße 😀", number: 1.5, list: [true, null, ["x"]], nested: { a: {} } };

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
      describe(`clients on ${client}`, () => {
        declareWith(
          client,
          findClient(client, () => stage().pages),
          ({ run }) => {
            const cells = WAYS.map((way, i) => ({
              way,
              i: CLIENTS.indexOf(client) * WAYS.length + i,
            }));
            let seen: readonly Seen[];
            beforeAll(async () => {
              seen = await run(
                cells.map(({ way, i }) => cellOf(relay.url, stage(), { ...way, i })),
              );
            });
            for (const [at, { way, i }] of cells.entries()) {
              test(`${way.transport}, ${way.protocol}`, () => {
                expect(seen[at]).toEqual(lifeOf(i));
                const sequences = sequencesOf(seen[at]);
                expect(sequences).toEqual([...new Set(sequences)].sort((a, b) => a - b));
              });
            }
          },
        );
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
  const count: NonNullable<ConfigInput["hubs"][string]["topics"]>[string] = {
    params: { n: "integer" },
    stream: { method: "Count", args: ["{n}", SHARED_DELAY_MS] },
  };
  return {
    origins: [pages.origin],
    hubs: {
      "/json/live": {
        origin: origins.json.hub,
        topics: { "match/{id}": { ...match } },
        privateLane: "lazy",
      },
      "/json/probe": { origin: `${origins.json.url}/hubs/probe`, topics: { "count/{n}": count } },
      "/messagepack/live": {
        origin: origins.messagepack.hub,
        topics: {
          "packed/match/{id}": { ...match, events: { OddsChanged: "packed/match/{0.matchId}" } },
        },
        privateLane: "lazy",
      },
      "/messagepack/probe": { origin: probeHub.url, topics: { "packed/count/{n}": count } },
    },
  };
}

/** @param i number of the cell, 0 to 19, of which the rest is made */
function cellOf(
  relay: string,
  { origins }: Stage,
  { i, transport, protocol }: Pick<Cell, "transport" | "protocol"> & { readonly i: number },
): Cell {
  const match = i + 1;
  const query = `match=${match}&count=${PUSHES}`;
  return {
    live: `${relay}/${protocol}/live`,
    probe: `${relay}/${protocol}/probe`,
    match,
    publish: `${origins[protocol].url}/control/publish?${query}`,
    pushes: PUSHES,
    shared: [sharedCount(i), SHARED_DELAY_MS],
    value: VALUE,
    transport,
    protocol,
  };
}

function sharedCount(i: number): number {
  return i + 2;
}

/** Of the pushes, as the origin has numbered them. */
function sequencesOf(seen: Seen | undefined): number[] {
  const pushes = seen?.pushes as readonly (readonly [{ readonly sequence: number }])[]; // see lifeOf
  return pushes.map(([{ sequence }]) => sequence);
}

/** What the client of a cell sees. */
function lifeOf(i: number): Record<string, unknown> {
  return {
    join: null,
    pushes: Array.from({ length: PUSHES }, () => [
      expect.objectContaining({ matchId: i + 1, marketId: "1x2" }),
    ]),
    leave: null,
    sharedStream: Array.from({ length: sharedCount(i) }, (_, item) => item),
    connectionId: expect.stringMatching(/^[\w-]{22,}$/),
    unknown:
      "Failed to invoke 'NoSuchMethod' due to an error on the server. HubException: Method does not exist.",
    failed: "An unexpected error occurred invoking 'Fail' on the server. HubException: hub boom",
    result: VALUE,
    stream: [0, 1, 2, 3],
    upload: 10,
    asked: "q",
    clientResult: "q?",
    pushed: [1, "two"],
    cancelled: [0, 1, 2],
    stopped: ["", "Disconnected"],
    reconnected: { isAnother: true, echo: "back" },
    closed: "",
    events: ["reconnecting", "reconnected", "closed"],
  };
}
