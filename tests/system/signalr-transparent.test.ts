/**
 * A hub of which nothing is declared works through the relay as it does directly; and what the
 * relay counts of the private connections of one that is declared is true.
 */

import { HttpTransportType, type HubConnection, HubConnectionState } from "@microsoft/signalr";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ConfigInput } from "../../app/config.ts";
import { demoConfig } from "../../app/demo/config.ts";
import { buildOrigin, findDotnet } from "../support/dotnet.ts";
import { eventually } from "../support/eventually.ts";
import { ask } from "../support/http.ts";
import { readMetric } from "../support/metrics.ts";
import { declareWith } from "../support/needs.ts";
import { dotnetOrigin, type Origin } from "../support/origins.ts";
import { findRuntime, type RuntimeName } from "../support/runtimes.ts";
import { connectHub, openRawHub, pushesOf } from "../support/signalr-client.ts";
import { killAll } from "../support/spawn.ts";
import { type SpawnedRelay, startRelay } from "../support/spawned-relay.ts";

const RELAYS: readonly RuntimeName[] = ["bun", "deno", "node"];
const { WebSockets, ServerSentEvents, LongPolling } = HttpTransportType;

/** What the origin's WhoAmI tells of the request that made a connection. */
interface Circumstances {
  readonly connectionId: string;
  readonly userAgent: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, string>>;
  readonly cookies: Readonly<Record<string, string>>;
}

declareWith(".NET", findDotnet(), (dotnet) => {
  let origin: Origin;
  beforeAll(async () => {
    origin = await dotnetOrigin(await buildOrigin(dotnet))();
  });
  afterAll(killAll);
  for (const name of RELAYS) {
    describe(`through a relay on ${name}`, () => declareRelay(name, () => origin));
  }
});

function declareRelay(name: RuntimeName, origin: () => Origin): void {
  declareWith(name, findRuntime(name), (runtime) => {
    let relay: SpawnedRelay;
    let direct: string;
    let relayed: string;
    beforeAll(async () => {
      relay = await startRelay(runtime, configOf(origin()));
      direct = `${origin().url}/hubs/probe`;
      relayed = `${relay.url}/hubs/probe`;
    });
    afterAll(() => relay.program.stop());

    test("who only listens gets every push", async () => {
      const [listener, speaker] = await Promise.all([connectHub(relayed), connectHub(direct)]);
      const notes = pushesOf(listener, "Note");
      for (let i = 0; i < 50; i++) await speaker.invoke("PushOthers", [], "Note", [i, { i }]);
      expect(await notes.take(50)).toEqual(Array.from({ length: 50 }, (_, i) => [i, { i }]));
    });

    test("a connection has the id by which the hub knows it", async () => {
      const [one, other, speaker] = await Promise.all([
        connectHub(relayed),
        connectHub(relayed, { transport: LongPolling }),
        connectHub(direct),
      ]);
      for (const connection of [one, other]) {
        const { connectionId } = await connection.invoke<Circumstances>("WhoAmI");
        expect(connectionId).toBe(connection.connectionId);
      }
      const heard = [one, other].map((connection) => pushesOf(connection, "Note"));
      await speaker.invoke("PushOthers", [one.connectionId], "Note", ["for the other"]);
      await speaker.invoke("PushOthers", [other.connectionId], "Note", ["for the one"]);
      await speaker.invoke("PushOthers", [], "Note", ["for all"]);
      expect(await heard[0]?.take(2)).toEqual([["for the one"], ["for all"]]);
      expect(await heard[1]?.take(2)).toEqual([["for the other"], ["for all"]]);
    });

    describe("the hub sees the client as it would directly", () => {
      const query = "?tenant=a&text=b%20c+d&empty=&sign=%F0%9F%98%80";
      const headers = { "X-Own": "1", "x-list": "a, b" };
      const whoAmI = async (url: string, transport: HttpTransportType) => {
        const connection = await connectHub(url + query, { transport, headers });
        return connection.invoke<Circumstances>("WhoAmI");
      };

      test("over WebSockets, in every header", async () => {
        const [there, here] = await Promise.all([
          whoAmI(direct, WebSockets),
          whoAmI(relayed, WebSockets),
        ]);
        const ofTheHop = ["sec-websocket-key", "sec-websocket-extensions"];
        expect(without(here.headers, "cookie", "x-forwarded-for", ...ofTheHop)).toEqual({
          ...without(there.headers, "cookie", ...ofTheHop),
          // Deno's WebSocket has no way to leave its own name out.
          ...(name === "deno" ? { "user-agent": expect.stringContaining(there.userAgent) } : {}),
        });
        expect(here.headers["x-forwarded-for"]).toBe("127.0.0.1");
        expect(without(here.query, "id")).toEqual(without(there.query, "id"));
      });

      for (const transport of [ServerSentEvents, LongPolling]) {
        test(`over ${HttpTransportType[transport]}`, async () => {
          const [there, here] = await Promise.all([
            whoAmI(direct, transport),
            whoAmI(relayed, transport),
          ]);
          expect(here.userAgent).toContain(there.userAgent);
          expect(here.headers).toMatchObject({ "x-own": "1", "x-list": "a, b" });
          expect(without(here.query, "id")).toEqual(without(there.query, "id", "_"));
        });
      }

      for (const transport of [WebSockets, ServerSentEvents, LongPolling]) {
        test(`a cookie that it sets comes back over ${HttpTransportType[transport]}`, async () => {
          const offer = await ask(relay.url, "/hubs/probe/negotiate", { method: "POST" });
          expect(offer.headers["set-cookie"]).toEqual([expect.stringMatching(/^probe=\w{32};/)]);
          const { cookies } = await whoAmI(relayed, transport);
          expect(cookies.probe).toMatch(/^\w{32}$/);
        });
      }
    });

    describe("the hub's end of a connection is the client's", () => {
      test("a Close as it stands on the wire", async () => {
        const closes: string[] = [];
        for (const url of [direct, relayed]) {
          const client = await openRawHub(url);
          client.send(
            { protocol: "json", version: 1 },
            { type: 1, target: "Abort", arguments: [] },
          );
          expect(await client.records.next()).toBe("{}");
          closes.push(await client.records.next());
          expect(await client.closed).toBe(1000);
        }
        expect(closes).toEqual(['{"type":7}', '{"type":7}']);
      });

      test("a client that it sends away stays away", async () => {
        const connection = await connectHub(relayed, { reconnect: true });
        const closed = closing(connection);
        await control(origin(), `abort?connectionId=${connection.connectionId}`);
        expect(await closed).toEqual(["closed", undefined]);
      });

      test("a client whose connection breaks there comes back", async () => {
        const connection = await connectHub(relayed, { reconnect: true });
        const { connectionId } = connection;
        const back = new Promise((resolve) => connection.onreconnected(resolve));
        await control(origin(), `abort?connectionId=${connectionId}&hard=true`);
        expect(await back).not.toBe(connectionId);
        expect(connection.state).toBe(HubConnectionState.Connected);
        expect(await connection.invoke("Echo", "here")).toBe("here");
      });

      test("a client that goes is gone there", async () => {
        const connection = await connectHub(relayed);
        const { connectionId } = connection;
        const isThere = async () => (await connectionsOf(origin())).includes(connectionId ?? "");
        expect(await isThere()).toBe(true);
        await connection.stop();
        await eventually(isThere, (there) => !there);
      });
    });

    test("a refusal of the hub's negotiate is the relay's, too", async () => {
      const path = "/hubs/secure";
      const [there, here] = await Promise.all(
        [origin().url, relay.url].map((url) => ask(url, `${path}/negotiate`, { method: "POST" })),
      );
      expect(there?.status).toBe(401);
      expect(here?.status).toBe(401);
      expect(here?.text).toBe(there?.text);
    });

    test("what is declared and comes over the private connection, too, is heard once", async () => {
      const client = await connectHub(`${relay.url}/hubs/eager`);
      const heard = pushesOf(client, "Announcement");
      const texts = ["one", "two", "three", "four"];
      for (const text of texts) await control(origin(), `announce?text=${text}`);
      const announcements = await heard.take(texts.length);
      expect(announcements).toMatchObject(texts.map((text) => [{ text }]));
    });

    test("private connections are counted, and those that nobody needed", async () => {
      const counts = async () => ({
        open: await readMetric(relay.url, "keryx_private_connections"),
        opened: await readMetric(relay.url, "keryx_private_connects_total"),
        unneeded: await readMetric(relay.url, "keryx_private_unneeded_total"),
      });
      const before = await eventually(counts, ({ open }) => open === 0);
      const watch = async (path: string, match: number) => {
        const clients = await Promise.all([1, 2, 3].map(() => connectHub(relay.url + path)));
        const odds = clients.map((client) => pushesOf(client, "OddsChanged"));
        for (const client of clients) await client.invoke("JoinMatch", match);
        await origin().publish(match, 2);
        for (const pushes of odds) await pushes.take(2);
        return clients;
      };
      const ask = (client: HubConnection | undefined) => client?.invoke("Stats");

      const eager = await watch("/hubs/eager", 1);
      expect(await counts()).toMatchObject({ open: 3, opened: before.opened + 3 });
      await ask(eager[0]);
      const lazy = await watch("/hubs/lazy", 2);
      expect(await counts()).toMatchObject({ open: 3 });
      await ask(lazy[0]);
      expect(await counts()).toMatchObject({ open: 4, opened: before.opened + 4 });

      for (const client of [...eager, ...lazy]) await client.stop();
      expect(await eventually(counts, ({ open }) => open === 0)).toEqual({
        open: 0,
        opened: before.opened + 4,
        unneeded: before.unneeded + 2,
      });
    });
  });
}

function configOf({ url, hub }: Origin): ConfigInput {
  const { "/hubs/live": demo } = demoConfig(hub).hubs;
  const match = demo?.topics?.["match/{id}"];
  return {
    hubs: {
      "/hubs/probe": { origin: `${url}/hubs/probe` },
      "/hubs/secure": { origin: `${url}/hubs/secure` },
      "/hubs/eager": {
        origin: hub,
        topics: {
          "eager/{id}": { ...match, events: { OddsChanged: "eager/{0.matchId}" } },
          announcements: { events: { Announcement: "announcements" } },
        },
      },
      "/hubs/lazy": {
        origin: hub,
        topics: { "lazy/{id}": { ...match, events: { OddsChanged: "lazy/{0.matchId}" } } },
        privateLane: "lazy",
      },
    },
  };
}

function without(
  fields: Readonly<Record<string, string>>,
  ...names: readonly string[]
): Record<string, string> {
  return Object.fromEntries(Object.entries(fields).filter(([name]) => !names.includes(name)));
}

/** The events of a connection up to its end, and the error of the end. */
function closing(connection: HubConnection): Promise<unknown[]> {
  const events: unknown[] = [];
  connection.onreconnecting(() => events.push("reconnecting"));
  return new Promise((resolve) => {
    connection.onclose((error) => resolve([...events, "closed", error]));
  });
}

async function control({ url }: Origin, path: string): Promise<void> {
  const { status, text } = await ask(url, `/control/${path}`, { method: "POST" });
  if (status !== 200) throw new Error(`${path} answered ${status}: ${text}`);
}

async function connectionsOf({ url }: Origin): Promise<string[]> {
  const connections = (await ask(url, "/control/connections")).json();
  return (connections as { connectionId: string }[]).map(({ connectionId }) => connectionId);
}
