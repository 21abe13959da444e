/**
 * Who may watch is the hub's decision: a relay in front of one that wants a token gives each client
 * the answer that the hub would have given, and asks it no oftener than it has to.
 */

import { once } from "node:events";
import { Agent, type IncomingMessage, request } from "node:http";
import { HttpTransportType } from "@microsoft/signalr";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import type { ConfigInput } from "../../app/config.ts";
import { demoConfig } from "../../app/demo/config.ts";
import { buildOrigin, findDotnet } from "../support/dotnet.ts";
import { eventually } from "../support/eventually.ts";
import { ask } from "../support/http.ts";
import { declareWith } from "../support/needs.ts";
import { dotnetOrigin, type Origin } from "../support/origins.ts";
import { findRuntime, type RuntimeName } from "../support/runtimes.ts";
import { connectHub, pushesOf, refusalOf } from "../support/signalr-client.ts";
import { killAll } from "../support/spawn.ts";
import { type SpawnedRelay, startRelay } from "../support/spawned-relay.ts";

const RELAYS: readonly RuntimeName[] = ["bun", "deno", "node"];
const { WebSockets, ServerSentEvents, LongPolling } = HttpTransportType;
const TRANSPORTS = [WebSockets, ServerSentEvents, LongPolling];

/** How long the origin's word on a token holds, ms. */
const ACCESS_TTL_MS = 1_000;
/** Beside that: the time it takes to ask. */
const SLACK_MS = 500;
const PAGE = "https://page.example";

declareWith(".NET", findDotnet(), (dotnet) => {
  let command: readonly string[];
  let origin: Origin;
  beforeAll(async () => {
    command = [...(await buildOrigin(dotnet)), "--token", "relay:relay", "--token", "good:alice"];
    origin = await dotnetOrigin(command)();
  });
  afterAll(killAll);
  for (const name of RELAYS) {
    describe(`through a relay on ${name}`, () => {
      declareRelay(
        name,
        () => origin,
        () => dotnetOrigin(command)(),
      );
    });
  }
});

function declareRelay(
  name: RuntimeName,
  origin: () => Origin,
  startOrigin: () => Promise<Origin>,
): void {
  declareWith(name, findRuntime(name), (runtime) => {
    let relay: SpawnedRelay;
    beforeAll(async () => {
      relay = await startRelay(runtime, configOf(origin().url));
    });
    afterAll(() => relay.program.stop());

    for (const lane of ["lazy", "eager"] as const) {
      describe(`to a hub with ${lane} private connections`, () => {
        const relayed = () => `${relay.url}/hubs/${lane}`;
        const direct = () => `${origin().url}/hubs/secure-live`;

        for (const transport of TRANSPORTS) {
          test(`a stock client over ${HttpTransportType[transport]}`, async () => {
            const connect = (url: string, token?: string) =>
              connectHub(url, {
                transport,
                ...(token === undefined ? {} : { accessTokenFactory: () => token }),
              });
            const client = await connect(relayed(), "good");
            const odds = pushesOf(client, "OddsChanged");
            await client.invoke("JoinMatch", 1);
            await origin().publish(1, 1);
            expect(await odds.next()).toMatchObject([{ matchId: 1 }]);
            for (const token of [undefined, "wrong"]) {
              const refusal = await refusalOf(connect(relayed(), token));
              expect(refusal).toContain("401");
              expect(refusal).toBe(await refusalOf(connect(direct(), token)));
            }
          });
        }

        const ways: readonly [name: string, headers: Record<string, string>, query: string][] = [
          ["no token", {}, ""],
          ["a good token as a header", { authorization: "Bearer good" }, ""],
          ["a good token in the query", {}, "?access_token=good"],
          ["a wrong token as a header", { authorization: "Bearer wrong" }, ""],
          ["a wrong token in the query", {}, "?access_token=wrong"],
        ];
        test.for(ways)("%s", async ([, headers, query]) => {
          for (const knocking of [negotiate, knock]) {
            const there = await knocking(direct() + query, headers);
            const here = await knocking(relayed() + query, headers);
            expect(here.status).toBe(there.status);
            if (there.status === 401) expect(here).toEqual(there);
          }
        });
      });
    }

    test("the plain protocols answer as negotiate does", async () => {
      const statuses = async (headers: Record<string, string>, query: string) => {
        const topic = "lazy/2";
        const [topics, sse, ws] = await Promise.all([
          ask(relay.url, `/topics/${topic}?${query}`, { headers }),
          statusOf(`${relay.url}/sse?topic=${topic}&${query}`, headers),
          knock(`${relay.url}/ws?${query}`, headers),
        ]);
        return [topics.status, sse, ws.status];
      };
      expect(await statuses({}, "")).toEqual([401, 401, 401]);
      expect(await statuses({ authorization: "Bearer wrong" }, "")).toEqual([401, 401, 401]);
      expect(await statuses({}, "access_token=wrong")).toEqual([401, 401, 401]);
      expect(await statuses({ authorization: "Bearer good" }, "")).toEqual([200, 200, 101]);
      expect(await statuses({}, "access_token=good")).toEqual([200, 200, 101]);
    });

    test("a revoked token is refused everywhere within accessTtlMs; who is connected stays", async () => {
      await control(origin(), "POST", "token?name=fleeting&user=bob");
      const headers = { authorization: "Bearer fleeting" };
      const accessTokenFactory = () => "fleeting";
      const knocks: (() => Promise<number>)[] = [
        async () => (await negotiate(`${relay.url}/hubs/lazy`, headers)).status,
        async () => (await negotiate(`${relay.url}/hubs/eager`, headers)).status,
        async () => (await knock(`${relay.url}/hubs/lazy`, headers)).status,
        async () => (await knock(`${relay.url}/ws?access_token=fleeting`, {})).status,
        async () => (await ask(relay.url, "/topics/lazy/3", { headers })).status,
        () => statusOf(`${relay.url}/sse?topic=lazy/3`, headers),
      ];
      const client = await connectHub(`${relay.url}/hubs/lazy`, { accessTokenFactory });
      const odds = pushesOf(client, "OddsChanged");
      await client.invoke("JoinMatch", 3);
      for (const status of knocks) expect(await status()).toBeLessThan(300);

      await control(origin(), "DELETE", "token?name=fleeting");
      const revokedAt = Date.now();
      for (const status of knocks) await eventually(status, (code) => code === 401);
      expect(Date.now() - revokedAt).toBeLessThan(ACCESS_TTL_MS + SLACK_MS);
      for (const transport of TRANSPORTS) {
        const late = connectHub(`${relay.url}/hubs/lazy`, { transport, accessTokenFactory });
        expect(await refusalOf(late)).toContain("401");
      }
      await origin().publish(3, 1);
      expect(await odds.next()).toMatchObject([{ matchId: 3 }]);
    });

    test("5,000 requests with one token cost the origin one negotiate in accessTtlMs", async () => {
      await control(origin(), "POST", "token?name=busy&user=carol");
      const asked = async () => {
        const counts = (await ask(origin().url, "/control/negotiates")).json();
        return (counts as Record<string, number>)["/hubs/secure-live"] ?? 0;
      };
      const requests: [path: string, method: string, headers: Record<string, string>][] = [
        ["/hubs/lazy/negotiate", "POST", { authorization: "Bearer busy" }],
        ["/hubs/lazy/negotiate?access_token=busy", "POST", {}],
        ["/topics/lazy/4", "GET", { authorization: "Bearer busy" }],
        ["/topics/lazy/4?access_token=busy", "GET", {}],
      ];
      const before = await asked();
      const agent = new Agent({ keepAlive: true, maxSockets: 50 });
      const startedAt = Date.now();
      let left = 5_000;
      const statuses = new Set<number>();
      const work = Array.from({ length: 50 }, async () => {
        while (left-- > 0) {
          const [path, method, headers] = requests[left % requests.length] as (typeof requests)[0];
          const sent = request(relay.url + path, { agent, method, headers }).end();
          const [response] = (await once(sent, "response")) as [IncomingMessage];
          statuses.add(response.statusCode ?? 0);
          await once(response.resume(), "end");
        }
      });
      await Promise.all(work);
      const periods = 1 + Math.floor((Date.now() - startedAt) / ACCESS_TTL_MS);
      agent.destroy();
      expect([...statuses]).toEqual([200]);
      const cost = (await asked()) - before;
      expect(cost).toBeGreaterThanOrEqual(1);
      expect(cost).toBeLessThanOrEqual(periods);
    });

    test("without the origin a known token is good, and an unknown one is told to come back", async () => {
      const origin = await startOrigin();
      // Its word holds for no time: what is good without it was known before.
      const relay = await startRelay(runtime, configOf(origin.url, 0));
      const headers = { authorization: "Bearer good" };
      const unknown = { authorization: "Bearer other" };
      expect((await ask(relay.url, "/topics/lazy/5", { headers })).status).toBe(200);
      await origin.program.kill();
      await eventually(
        () => ask(relay.url, "/readyz"),
        ({ status }) => status === 503,
      );
      expect((await ask(relay.url, "/topics/lazy/5", { headers })).json()).toMatchObject({
        state: "stale",
      });
      expect((await negotiate(`${relay.url}/hubs/lazy`, headers)).status).toBe(200);
      expect((await knock(`${relay.url}/hubs/lazy`, headers)).status).toBe(101);
      expect((await knock(`${relay.url}/ws`, headers)).status).toBe(101);

      const away = { status: 503, retryAfter: expect.stringMatching(/^[1-9]\d*$/) };
      expect(await negotiate(`${relay.url}/hubs/lazy`, unknown)).toMatchObject(away);
      expect(await negotiate(`${relay.url}/hubs/eager`, headers)).toMatchObject(away);
      expect(await knock(`${relay.url}/hubs/lazy`, unknown)).toMatchObject(away);
      expect(await knock(`${relay.url}/ws`, unknown)).toMatchObject(away);
      const topic = await ask(relay.url, "/topics/lazy/5", { headers: unknown });
      expect([topic.status, topic.headers["retry-after"]]).toEqual([503, away.retryAfter]);
      expect(await statusOf(`${relay.url}/sse?topic=lazy/5`, unknown)).toBe(503);
      await relay.program.stop();
    });

    test("a page of another web origin cannot open a socket, nor read an answer", async () => {
      const authorization = "Bearer good";
      for (const path of ["/ws", "/hubs/lazy", "/hubs/eager"]) {
        const from = async (page: string) =>
          (await knock(relay.url + path, { authorization, origin: page })).status;
        expect(await from("https://evil.example")).toBe(403);
        expect(await from("null")).toBe(403);
        expect(await from(PAGE)).toBe(101);
        expect(await from(relay.url)).toBe(101);
      }
      const allowed = async (page: string) => {
        const headers = { authorization, origin: page };
        const offer = await ask(relay.url, "/hubs/lazy/negotiate", { method: "POST", headers });
        return offer.headers["access-control-allow-origin"];
      };
      expect(await allowed("https://evil.example")).toBeUndefined();
      expect(await allowed(PAGE)).toBe(PAGE);
    });
  });
}

function configOf(origin: string, accessTtlMs = ACCESS_TTL_MS): ConfigInput {
  const { "/hubs/live": demo } = demoConfig(origin).hubs;
  const match = demo?.topics?.["match/{id}"];
  const hub = (lane: "lazy" | "eager") =>
    ({
      origin: `${origin}/hubs/secure-live`,
      accessToken: "relay",
      topics: {
        [`${lane}/{id}`]: {
          ...match,
          events: { OddsChanged: `${lane}/{0.matchId}` },
          lingerMs: 60_000,
        },
      },
      privateLane: lane,
      accessTtlMs,
    }) as const;
  return { origins: [PAGE], hubs: { "/hubs/lazy": hub("lazy"), "/hubs/eager": hub("eager") } };
}

/** An answer, as far as a client is refused by it. */
interface Answer {
  readonly status: number;
  readonly text: string;
  readonly authenticate: string | undefined;
  readonly retryAfter: string | undefined;
}

/** Negotiates at a hub. @param url may have a query */
async function negotiate(url: string, headers: Record<string, string>): Promise<Answer> {
  const { origin, pathname, search } = new URL(url);
  const path = `${pathname}/negotiate${search}`;
  const reply = await ask(origin, path, { method: "POST", headers });
  return answerOf(reply.status, reply.headers, reply.text);
}

/** Asks for a WebSocket, which is closed at once when it is given. */
async function knock(url: string, headers: Record<string, string>): Promise<Answer> {
  const socket = new WebSocket(url.replace(/^http/, "ws"), { headers });
  return new Promise((resolve, reject) => {
    socket.on("error", reject);
    socket.once("open", () => {
      socket.terminate();
      resolve(answerOf(101, {}, ""));
    });
    socket.once("unexpected-response", (_, response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("end", () => resolve(answerOf(response.statusCode ?? 0, response.headers, text)));
    });
  });
}

/** The status of an event stream, of which nothing is read. */
async function statusOf(url: string, headers: Record<string, string>): Promise<number> {
  const sent = request(url, { agent: false, headers }).end();
  const [response] = (await once(sent, "response")) as [IncomingMessage];
  response.destroy();
  return response.statusCode ?? 0;
}

function answerOf(status: number, headers: IncomingMessage["headers"], text: string): Answer {
  return {
    status,
    text,
    authenticate: headers["www-authenticate"],
    retryAfter: headers["retry-after"],
  };
}

async function control({ url }: Origin, method: string, path: string): Promise<void> {
  const { status, text } = await ask(url, `/control/${path}`, { method });
  if (status !== 200) throw new Error(`${path} answered ${status}: ${text}`);
}
