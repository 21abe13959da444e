/**
 * Stock clients behind a real nginx that gives each request to the next relay: three machines on a
 * real nats-server, and isolates of one process. Nothing keeps a client where it began.
 */

import { readFileSync } from "node:fs";
import { HubConnectionState } from "@microsoft/signalr";
import { afterAll, describe, expect, onTestFinished, test } from "vitest";
import { WebSocket } from "ws";
import type { ConfigInput } from "../../app/config.ts";
import { demoConfig } from "../../app/demo/config.ts";
import { RECORD_SEPARATOR } from "../../lib/wire/json.ts";
import { loseNothing } from "../support/comeback.ts";
import { eventually } from "../support/eventually.ts";
import { ask } from "../support/http.ts";
import { readMetric, readSeries } from "../support/metrics.ts";
import { findNats, type Nats, type NatsServer } from "../support/nats.ts";
import { declareWith } from "../support/needs.ts";
import { findNginx, type Nginx } from "../support/nginx.ts";
import { embeddedOrigin, type Origin } from "../support/origins.ts";
import { startReaper } from "../support/reaper.ts";
import { findRuntime, type Runtime } from "../support/runtimes.ts";
import { killAll } from "../support/spawn.ts";
import { type SpawnedRelay, startRelay, startWith, withConfig } from "../support/spawned-relay.ts";
import {
  createStockClient,
  HTTP_WAYS,
  hearAll,
  inTurns,
  range,
  type StockClient,
  WAYS,
  type Way,
} from "../support/stock-client.ts";

const MATCH = 7;
const CLIENTS = process.env.KERYX_LOAD === "full" ? 500 : 100;
const PUBLICATIONS = 50;
/** For what takes a busy machine a while. */
const PATIENCE_MS = 60_000;
const SECRET = "the same on all machines";

/** What docs/deploy.md tells to put in front. */
const ADVICE = readFileSync(new URL("../../docs/deploy.md", import.meta.url), "utf8");

/** What nginx has behind it. */
interface Stage {
  readonly origin: Origin;
  readonly relays: readonly SpawnedRelay[];
  /** Of nginx. */
  readonly url: string;
}

declareWith("nginx", findNginx(), (nginx) => {
  declareWith("bun", findRuntime("bun"), (bun) => {
    afterAll(killAll);
    describe("three isolates of a process", () => {
      declareCrowd(async () => {
        const origin = await startOrigin(bun);
        const relays = [await start(bun, { ...configFor(origin), workers: 3 })];
        return { origin, relays, url: await openDoor(nginx, relays) };
      });
    });
    declareWith("nats-server", findNats(), (nats) => {
      describe("three machines on Bun", () => {
        const stage = () => startMachines(nats, nginx, [bun, bun, bun]);
        declareCrowd(stage);
        declareDeath(stage);
        declareStatuses(stage);
      });
      describe("two machines of two isolates each", () => declareTakeOver(nginx, nats, bun));
      declareWith("deno", findRuntime("deno"), (deno) => {
        declareWith("node", findRuntime("node"), (node) => {
          describe("machines of two isolates each, on Bun, Deno and Node", () => {
            // Much of what goes through NATS is larger than what it takes.
            const limit = (path: string) => ({ workers: 2, args: ["-c", path] });
            declareCrowd(() =>
              withConfig(
                "max_payload: 4096",
                (path) => startMachines(nats, nginx, [bun, deno, node], limit(path)),
                "nats.conf",
              ),
            );
          });
        });
      });
    });
  });
});

function declareCrowd(stage: () => Promise<Stage>): void {
  test(`are one relay for ${CLIENTS} stock clients, without a failure`, async () => {
    const { origin, relays, url } = await stage();
    const failures: string[] = [];
    const clients = await enter(CLIENTS, `${url}/hubs/live`, { failures });
    expect(failures).toEqual([]);
    for (const relay of relays) {
      const series = await readSeries(relay.url, "keryx_clients");
      expect(series.reduce((sum, { value }) => sum + value, 0)).toBeGreaterThan(0);
    }
    const { first } = await origin.publish(MATCH, PUBLICATIONS, 20);
    const { last } = await origin.publish(MATCH, 1);
    await hearAll(clients, last);
    for (const { heard } of clients) expect(heard).toEqual(range(first, last));
    // One for each hub protocol.
    expect(await origin.stats()).toMatchObject({ connections: 2, joins: { [MATCH]: 2 } });

    await inTurns(CLIENTS, async (i) => {
      const { connection, fail } = clients[i] as StockClient;
      // Some have a connection of their own to the origin, which is where theirs is.
      const asked = i % 5 === 0 ? connection.invoke("Stats") : connection.invoke("GetMatch", MATCH);
      await asked.catch(fail);
      if (i % 2 === 0) await connection.invoke("LeaveMatch", MATCH).catch(fail);
    });
    await inTurns(CLIENTS, async (i) => {
      const { connection, fail } = clients[i] as StockClient;
      await connection.stop().catch(fail);
    });
    expect(failures).toEqual([]);
    for (const relay of relays) {
      await eventually(
        () => readMetric(relay.url, "keryx_clients"),
        (count) => count === 0,
        PATIENCE_MS,
      );
    }
  });

  test("lose nothing of stateful clients that come back elsewhere", async () => {
    const { origin, url } = await stage();
    await loseNothing(origin, url, MATCH);
  });
}

function declareDeath(stage: () => Promise<Stage>): void {
  test("go on when one is killed: its clients come back, and no others need to", async () => {
    const { origin, relays, url } = await stage();
    const failures: string[] = [];
    const retryDelaysMs = [0, 200, 500, 1_000, 2_000, 5_000];
    const clients = await enter(CLIENTS, `${url}/hubs/live`, {
      failures,
      retryDelaysMs,
      ways: HTTP_WAYS,
    });
    const cut = new Set<StockClient>();
    const rejoined = new Set<StockClient>();
    for (const client of clients) {
      const { connection, fail } = client;
      connection.onreconnecting(() => cut.add(client));
      connection.onreconnected(() => {
        connection.invoke("JoinMatch", MATCH).then(() => rejoined.add(client), fail);
      });
    }
    const [dead, ...others] = relays as [SpawnedRelay, ...SpawnedRelay[]];
    const lost = await readMetric(dead.url, "keryx_clients");
    expect(lost).toBeGreaterThan(0);
    await dead.program.kill();
    // Those that poll hear of it at their next request.
    await eventually(
      () => rejoined.size,
      (count) => count >= lost,
      PATIENCE_MS,
    );
    const before = new Set([...cut]);
    await eventually(
      () => clients.filter(({ connection }) => connection.state !== HubConnectionState.Connected),
      ({ length }) => length === 0,
      PATIENCE_MS,
    );
    await settle(origin, clients);
    const { last } = await origin.publish(MATCH, 10, 20);
    await hearAll(clients, last);
    for (const { heard } of clients) expect(heard.slice(-10)).toEqual(range(last - 9, last));
    for (const { connection, fail } of clients) {
      await connection.invoke("GetMatch", MATCH).catch(fail);
    }
    expect(failures).toEqual([]);
    expect([before.size, cut.size]).toEqual([lost, lost]);
    const counts = await Promise.all(others.map(({ url }) => readMetric(url, "keryx_clients")));
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(CLIENTS);
  });
}

function declareTakeOver(nginx: Nginx, server: NatsServer, runtime: Runtime): void {
  test("go on when an isolate dies that was connected to the other machine", async () => {
    const nats = await server.start();
    onTestFinished(() => nats.end());
    const origin = await startOrigin(runtime);
    const cluster = { nats: nats.url };
    // Asked for the access token is an isolate that owns a feed, which is the one that is connected.
    const reaper = await startReaper({
      ...configFor(origin),
      secret: SECRET,
      cluster,
      workers: 2,
    });
    onTestFinished(reaper.stop);
    const relays: SpawnedRelay[] = [];
    for (let i = 0; i < 2; i++) {
      const relay = await startWith(runtime, { KERYX_CONFIG: reaper.path });
      onTestFinished(() => void relay.program.kill());
      relays.push(relay);
    }
    const url = `${await openDoor(nginx, relays)}/hubs/live`;
    const failures: string[] = [];
    await enter(20, url, { failures });
    expect(failures).toEqual([]);
    reaper.reap("throw");
    const restarts = () =>
      Promise.all(relays.map(({ url }) => readMetric(url, "keryx_isolate_restarts_total")));
    await eventually(restarts, (counts) => counts.includes(1), PATIENCE_MS);
    const readiness = () => Promise.all(relays.map(({ url }) => ask(url, "/readyz")));
    await eventually(
      readiness,
      (answers) => answers.every(({ status }) => status === 200),
      PATIENCE_MS,
    );
    const newFailures: string[] = [];
    const clients = await enter(40, url, { failures: newFailures });
    await settle(origin, clients);
    const { last } = await origin.publish(MATCH, 10, 20);
    await hearAll(clients, last);
    for (const { connection, fail } of clients) {
      await connection.invoke("GetMatch", MATCH).catch(fail);
    }
    expect(newFailures).toEqual([]);
  });
}

function declareStatuses(stage: () => Promise<Machines>): void {
  test("a connection of a machine that was killed is nowhere: 404", async () => {
    const { relays } = await stage();
    const [home, place, other] = relays.map(({ url }) => `${url}/hubs/live`) as Three;
    const connection = await openEvents(home, place);
    expect(await connection.post(other, call(1))).toBe(200);
    await connection.read(answer(1));
    await relays[1]?.program.kill();
    for (const at of [other, home]) expect(await connection.post(at, call(2))).toBe(404);
    // What a machine has given away outlives it.
    const survivor = await openEvents(home, other);
    await relays[0]?.program.kill();
    expect(await survivor.post(other, call(1))).toBe(200);
  });

  test("while NATS is away nobody is told that it is nowhere: 503, until it is back", async () => {
    const { relays, nats } = await stage();
    const [home, place, other] = relays.map(({ url }) => `${url}/hubs/live`) as Three;
    const connection = await openEvents(home, place);
    const token = await negotiate(home);
    await nats.kill();
    await eventually(
      () => connection.post(other, call(1)),
      (status) => status === 503,
      PATIENCE_MS,
    );
    expect(await connection.post(place, call(2))).toBe(200);
    await connection.read(answer(2));
    // A socket asks nothing more of where it was negotiated.
    const socket = new WebSocket(`${other.replace("http", "ws")}?id=${token}`);
    onTestFinished(() => socket.terminate());
    const handshaken = new Promise((resolve, reject) => {
      socket.once("message", (data) => resolve(String(data)));
      socket.once("error", reject);
      socket.once("open", () => socket.send(HANDSHAKE));
    });
    expect(await handshaken).toBe(`{}${RECORD_SEPARATOR}`);
    await nats.restart();
    await eventually(
      () => connection.post(other, call(3)),
      (status) => status === 200,
      PATIENCE_MS,
    );
    await connection.read(answer(3));
  });
}

type Three = [home: string, place: string, other: string];

const HANDSHAKE = `{"protocol":"json","version":1}${RECORD_SEPARATOR}`;

function call(id: number): string {
  const message = { type: 1, invocationId: `${id}`, target: "GetMatch", arguments: [MATCH] };
  return JSON.stringify(message) + RECORD_SEPARATOR;
}

/** How the completion of a call begins, whether it has a result or, without NATS, an error. */
function answer(id: number): string {
  return `{"type":3,"invocationId":"${id}",`;
}

/** @returns the token */
async function negotiate(hub: string): Promise<string> {
  const response = await fetch(`${hub}/negotiate?negotiateVersion=1`, { method: "POST" });
  const { connectionToken } = (await response.json()) as { connectionToken: string }; // as it must be
  return connectionToken;
}

/** A connection over Server-Sent Events, each request at a relay of the test's choice. */
async function openEvents(home: string, place: string) {
  const query = `?id=${await negotiate(home)}`;
  const controller = new AbortController();
  onTestFinished(() => controller.abort());
  const events = await fetch(place + query, {
    headers: { accept: "text/event-stream" },
    signal: controller.signal,
  });
  expect(events.status).toBe(200);
  const reader = events.body?.pipeThrough(new TextDecoderStream()).getReader();
  let seen = "";
  const connection = {
    /** @returns the status */
    async post(at: string, body: string): Promise<number> {
      return (await fetch(at + query, { method: "POST", body })).status;
    },
    /** Waits until this has come. */
    async read(text: string): Promise<void> {
      while (!seen.includes(text)) {
        const next = await reader?.read();
        if (!next || next.done) throw new Error(`The stream has ended before ${text}: ${seen}`);
        seen += next.value;
      }
    },
  };
  expect(await connection.post(home, HANDSHAKE)).toBe(200);
  return connection;
}

/**
 * Waits until all hear what is published. After the loss of an owner they may have joined before the
 * next one has, and SignalR has no words for what they miss meanwhile.
 */
async function settle(origin: Origin, clients: readonly StockClient[]): Promise<void> {
  await eventually(
    async () => {
      const { last } = await origin.publish(MATCH, 1);
      await new Promise((resolve) => setTimeout(resolve, 200));
      return clients.filter(({ heard }) => heard.at(-1) !== last).length;
    },
    (missing) => missing === 0,
    PATIENCE_MS,
  );
}

async function startOrigin(runtime: Runtime): Promise<Origin> {
  const origin = await embeddedOrigin(runtime)();
  onTestFinished(() => void origin.program.kill());
  return origin;
}

async function start(runtime: Runtime, config: ConfigInput): Promise<SpawnedRelay> {
  const relay = await startRelay(runtime, config);
  onTestFinished(() => void relay.program.kill());
  return relay;
}

interface Machines extends Stage {
  readonly nats: Nats;
}

async function startMachines(
  server: NatsServer,
  nginx: Nginx,
  runtimes: readonly Runtime[],
  { workers = 1, args = [] }: { readonly workers?: number; readonly args?: readonly string[] } = {},
): Promise<Machines> {
  const nats = await server.start(...args);
  onTestFinished(() => nats.end());
  const origin = await startOrigin(runtimes[0] as Runtime);
  const cluster = { nats: nats.url };
  const config = { ...configFor(origin), secret: SECRET, cluster, workers };
  const relays = await Promise.all(runtimes.map((runtime) => start(runtime, config)));
  return { nats, origin, relays, url: await openDoor(nginx, relays) };
}

function configFor(origin: Origin): ConfigInput {
  const config = demoConfig(origin.hub);
  const [[path, hub] = []] = Object.entries(config.hubs);
  if (path === undefined || !hub) throw new Error("It declares one");
  return {
    ...config,
    hubs: { [path]: { ...hub, statefulReconnect: true } },
    upstream: { backoffMinMs: 50, backoffMaxMs: 500 },
    drainMs: 500,
  };
}

/** An nginx as it is advised, but for the addresses. */
function openDoor(nginx: Nginx, relays: readonly SpawnedRelay[]): Promise<string> {
  const [location] = /location \/ \{[^}]*\}/.exec(ADVICE) ?? [];
  const [map] = /map [^}]*\}/.exec(ADVICE) ?? [];
  if (!location || !map) throw new Error("There is an example");
  const servers = relays.map(({ url }) => `server ${new URL(url).host};`);
  return nginx.start(location, `${map}\nupstream keryx { ${servers.join(" ")} }`);
}

/** Clients that have joined; what fails stands in `failures`. */
async function enter(
  count: number,
  url: string,
  {
    ways = WAYS,
    ...options
  }: Parameters<typeof createStockClient>[2] & { readonly ways?: readonly Way[] },
): Promise<StockClient[]> {
  const clients: StockClient[] = [];
  await inTurns(count, async (i) => {
    const client = createStockClient(url, ways[i % ways.length] as Way, options);
    clients.push(client);
    await client.connection.start().catch(client.fail);
    await client.connection.invoke("JoinMatch", MATCH).catch(client.fail);
  });
  return clients;
}
