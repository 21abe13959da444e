/**
 * Several isolates of one process, and clients whose every request goes over a connection of its own:
 * it may reach any of them. Nothing keeps a client with the isolate that it began with.
 */

import { type IncomingMessage, request } from "node:http";
import {
  AbortError,
  HttpClient,
  HttpError,
  type HttpRequest,
  HttpResponse,
} from "@microsoft/signalr";
import { afterAll, describe, expect, onTestFinished, test } from "vitest";
import { demoConfig } from "../../app/demo/config.ts";
import { loseNothing } from "../support/comeback.ts";
import { eventually } from "../support/eventually.ts";
import { readMetric, readSeries } from "../support/metrics.ts";
import { declareWith } from "../support/needs.ts";
import { embeddedOrigin, type Origin } from "../support/origins.ts";
import { findRuntime, type Runtime } from "../support/runtimes.ts";
import { killAll } from "../support/spawn.ts";
import { type SpawnedRelay, startRelay } from "../support/spawned-relay.ts";
import {
  createStockClient,
  hearAll,
  inTurns,
  range,
  type StockClient,
  WAYS,
  type Way,
} from "../support/stock-client.ts";

const MATCH = 7;
const CLIENTS = process.env.KERYX_LOAD === "full" ? 500 : 150;
const PUBLICATIONS = 50;
const ISOLATES = 3;
/** How long a busy machine may take for what all clients are to hear, ms. */
const PATIENCE_MS = 60_000;

for (const name of ["bun", "deno", "node"] as const) {
  declareWith(name, findRuntime(name), (runtime) => {
    describe(`${ISOLATES} isolates on ${name}`, () => {
      afterAll(killAll);

      test(`${CLIENTS} stock clients, no failure`, async () => {
        const { origin, relay } = await setUp(runtime);
        const failures: string[] = [];
        const clients: StockClient[] = [];
        await inTurns(CLIENTS, async (i) => {
          const way = WAYS[i % WAYS.length] as Way;
          const httpClient = new OneTimeClient();
          const client = createStockClient(`${relay.url}/hubs/live`, way, { failures, httpClient });
          clients.push(client);
          await client.connection.start().catch(client.fail);
          await client.connection.invoke("JoinMatch", MATCH).catch(client.fail);
        });
        expect(failures).toEqual([]);
        const series = await readSeries(relay.url, "keryx_clients");
        const isolates = new Set(
          series.filter(({ value }) => value > 0).map(({ labels }) => labels.isolate),
        );
        expect(isolates.size).toBe(ISOLATES);

        const { first } = await origin.publish(MATCH, PUBLICATIONS, 20);
        const { last } = await origin.publish(MATCH, 1);
        await hearAll(clients, last);
        for (const { heard } of clients) expect(heard).toEqual(range(first, last));

        // Some have a connection of their own to the origin, which is where theirs is.
        await inTurns(CLIENTS, async (i) => {
          const { connection, fail } = clients[i] as StockClient;
          const isPrivate = i % 5 === 0;
          const asked = isPrivate
            ? connection.invoke("Stats")
            : connection.invoke("GetMatch", MATCH);
          await asked.catch(fail);
          if (i % 2 === 0) await connection.invoke("LeaveMatch", MATCH).catch(fail);
        });
        await inTurns(CLIENTS, async (i) => {
          const { connection, fail } = clients[i] as StockClient;
          await connection.stop().catch(fail);
        });
        expect(failures).toEqual([]);
        await eventually(
          () => readMetric(relay.url, "keryx_clients"),
          (count) => count === 0,
          PATIENCE_MS,
        );
        await relay.program.stop();
      });

      test("stateful clients lose nothing when they come back elsewhere", async () => {
        const { origin, relay } = await setUp(runtime);
        await loseNothing(origin, relay.url, MATCH);
        await relay.program.stop();
      });
    });
  });
}

async function setUp(runtime: Runtime): Promise<{ origin: Origin; relay: SpawnedRelay }> {
  const origin = await embeddedOrigin(runtime)();
  onTestFinished(() => void origin.program.kill());
  const config = demoConfig(origin.hub);
  const [[path, hub] = []] = Object.entries(config.hubs);
  if (path === undefined || !hub) throw new Error("It declares one");
  const relay = await startRelay(runtime, {
    ...config,
    hubs: { [path]: { ...hub, statefulReconnect: true } },
    workers: ISOLATES,
    drainMs: 500,
  });
  onTestFinished(() => void relay.program.kill());
  return { origin, relay };
}

/** The client's HTTP, with a TCP connection for each request. */
class OneTimeClient extends HttpClient {
  send({ url = "", method, content, headers, responseType, abortSignal }: HttpRequest) {
    return new Promise<HttpResponse>((resolve, reject) => {
      const sent = request(url, { method, headers: { ...headers }, agent: false });
      sent.on("error", reject);
      sent.on("response", (response) => {
        read(response).then((body) => {
          const { statusCode: status = 0, statusMessage: text = "" } = response;
          if (status < 200 || status > 299) return reject(new HttpError(`${text} ${body}`, status));
          const isText = responseType !== "arraybuffer";
          const bytes = new Uint8Array(body).buffer;
          resolve(new HttpResponse(status, text, isText ? body.toString() : bytes));
        }, reject);
      });
      if (abortSignal) {
        abortSignal.onabort = () => {
          sent.destroy();
          reject(new AbortError());
        };
      }
      if (content instanceof ArrayBuffer) sent.end(new Uint8Array(content));
      else sent.end(content);
    });
  }
}

async function read(response: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  return Buffer.concat(chunks);
}
