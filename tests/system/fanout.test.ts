import { request } from "node:http";
import { HttpTransportType, HubConnectionBuilder, LogLevel } from "@microsoft/signalr";
import { afterAll, expect, onTestFinished, test } from "vitest";
import { WebSocket } from "ws";
import { demoConfig } from "../../app/demo/config.ts";
import { buildOrigin, type Dotnet, findDotnet } from "../support/dotnet.ts";
import { ask } from "../support/http.ts";
import { declareWith } from "../support/needs.ts";
import { dotnetOrigin } from "../support/origins.ts";
import { findRuntime } from "../support/runtimes.ts";
import { killAll } from "../support/spawn.ts";
import { startRelay } from "../support/spawned-relay.ts";

const MATCH = 7;
const TOPIC = `match/${MATCH}`;
const PUBLICATIONS = 300;
const INTERVAL_MS = 20;
const STREAMS = 1_000;
const SOCKETS = 1_000;
const HUBS = 200;
/** How long the last ones may lag behind, ms. */
const PATIENCE_MS = 30_000;
/** Clients that are on their way in at one time. */
const CONNECTING = 50;

/** A client that keeps nothing but the sequences it saw. */
interface Watcher {
  readonly sequences: number[];
  close(): unknown;
}

declareWith("dotnet", findDotnet(), (dotnet) => {
  afterAll(killAll);

  test(`${STREAMS + SOCKETS + HUBS} clients hear what one client of the hub hears`, async () => {
    const { origin, relay } = await setUp(dotnet);
    const watchers: Watcher[] = [];
    onTestFinished(async () => {
      await Promise.all(watchers.map((watcher) => watcher.close()));
    });
    const hub = `${relay.url}/hubs/live`;
    await many(STREAMS, async () => watchers.push(await watchStream(relay.url)));
    await many(SOCKETS, async () => watchers.push(await watchSocket(relay.url)));
    await many(HUBS, async () => watchers.push(await watchHub(hub)));

    const one = { connections: 1, connectionsTotal: 1, joins: { [MATCH]: 1 }, joinsTotal: 1 };
    expect(await origin.stats()).toMatchObject(one);
    const { text } = await ask(relay.url, "/metrics");
    expect(text).toContain(`keryx_clients{transport="sse"} ${STREAMS}\n`);
    expect(text).toContain(`keryx_clients{transport="websocket"} ${SOCKETS}\n`);
    expect(text).toContain(`keryx_clients{transport="signalr-websocket"} ${HUBS}\n`);

    const direct = await watchHub(origin.hub);
    watchers.push(direct);
    const { first } = await origin.publish(MATCH, PUBLICATIONS, INTERVAL_MS);
    // Once the mark has come, whatever was doubled or late has come before it.
    const mark = (await origin.publish(MATCH, 1)).last;
    const deadline = Date.now() + PATIENCE_MS;
    await Promise.all(watchers.map((watcher) => reached(watcher, mark, deadline)));

    expect(direct.sequences).toEqual(range(first, mark));
    expect(direct.sequences).toHaveLength(PUBLICATIONS + 1);
    const wrong = watchers.flatMap((watcher) => difference(watcher, direct) ?? []);
    expect(wrong).toEqual([]);
    // The relay's, and the direct one.
    expect(await origin.stats()).toMatchObject({ connectionsTotal: 2, joins: { [MATCH]: 2 } });
  });
});

async function setUp(dotnet: Dotnet) {
  const bun = findRuntime("bun");
  if ("missing" in bun) throw new Error(`Bun is not available: ${bun.missing}`);
  const origin = await dotnetOrigin(await buildOrigin(dotnet))();
  const relay = await startRelay(bun, { ...demoConfig(origin.hub), drainMs: 0 });
  return { origin, relay };
}

/** Does something so many times, a bounded number at a time. */
async function many(count: number, work: () => Promise<unknown>): Promise<void> {
  let left = count;
  const worker = async () => {
    while (left-- > 0) await work();
  };
  await Promise.all(Array.from({ length: CONNECTING }, worker));
}

/** Reads no more of an event stream than where an event ends. */
function watchStream(url: string): Promise<Watcher> {
  return new Promise((resolve, reject) => {
    const sequences: number[] = [];
    const sent = request(`${url}/sse?topic=${TOPIC}`, { agent: false }, (response) => {
      let rest = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        const events = (rest + chunk).split("\n\n");
        rest = events.pop() ?? "";
        for (const event of events) {
          note(event, sequences);
          if (event.startsWith("event: keryx.subscribed")) resolve(watcher);
        }
      });
    });
    const watcher: Watcher = { sequences, close: () => sent.destroy() };
    sent.on("error", reject);
    sent.end();
  });
}

function watchSocket(url: string): Promise<Watcher> {
  return new Promise((resolve, reject) => {
    const sequences: number[] = [];
    const socket = new WebSocket(`${url.replace("http", "ws")}/ws`, { perMessageDeflate: false });
    socket.on("error", reject);
    socket.on("open", () => socket.send(`{"type":"subscribe","topics":["${TOPIC}"]}`));
    socket.on("message", (data) => {
      for (const line of String(data).split("\n")) {
        note(line, sequences);
        if (line.startsWith('{"type":"subscribed"')) {
          resolve({ sequences, close: () => socket.terminate() });
        }
      }
    });
  });
}

function note(text: string, sequences: number[]): void {
  const found = /"sequence":(\d+)/.exec(text)?.[1];
  if (found !== undefined) sequences.push(Number(found));
}

async function watchHub(url: string): Promise<Watcher> {
  const connection = new HubConnectionBuilder()
    .withUrl(url, { transport: HttpTransportType.WebSockets })
    .configureLogging(LogLevel.None)
    .build();
  const sequences: number[] = [];
  connection.on("OddsChanged", ({ sequence }: { sequence: number }) => sequences.push(sequence));
  await connection.start();
  await connection.invoke("JoinMatch", MATCH);
  return { sequences, close: () => connection.stop() };
}

/** Two thousand watchers are asked now and then, instead of each counting each publication. */
async function reached({ sequences }: Watcher, mark: number, deadline: number): Promise<void> {
  while (sequences.at(-1) !== mark && Date.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** @returns what one saw otherwise than the other, in short */
function difference({ sequences }: Watcher, { sequences: expected }: Watcher): string | undefined {
  const at = expected.findIndex((sequence, i) => sequences[i] !== sequence);
  if (at < 0 && sequences.length === expected.length) return undefined;
  return `saw ${sequences.length} of ${expected.length}, and ${sequences[at]} for ${expected[at]}`;
}

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}
