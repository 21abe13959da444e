/**
 * Relays in a tree: the origin of one is another. What is promised of a relay in front of a hub holds
 * through two of them.
 */

import { HttpTransportType, HubConnectionBuilder, LogLevel } from "@microsoft/signalr";
import { MessagePackHubProtocol } from "@microsoft/signalr-protocol-msgpack";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import type { ConfigInput } from "../../app/config.ts";
import { demoConfig } from "../../app/demo/config.ts";
import type { BetReceipt, HubStats, MatchState } from "../../app/demo/contract.ts";
import { RELAY_HEADER } from "../../lib/upstream/client.ts";
import { buildOrigin, type Dotnet, findDotnet } from "../support/dotnet.ts";
import { eventually } from "../support/eventually.ts";
import { ask } from "../support/http.ts";
import { readMetric } from "../support/metrics.ts";
import { declareWith } from "../support/needs.ts";
import { dotnetOrigin, embeddedOrigin, type Origin } from "../support/origins.ts";
import { findRuntime, type Runtime, type RuntimeName } from "../support/runtimes.ts";
import { connectHub, pushesOf, RECORD_SEPARATOR, refusalOf } from "../support/signalr-client.ts";
import { killAll, startProgram } from "../support/spawn.ts";
import { type SpawnedRelay, startWith, withConfig } from "../support/spawned-relay.ts";
import { openWire } from "../support/tcp-proxy.ts";
import { connectSocket, openWs } from "../support/ws-client.ts";
import {
  type SequenceOf,
  sequencesFrom,
  type Viewer,
  type ViewerKind,
  watch,
} from "./tree/viewer.ts";

const MATCH = 7;
const TOPIC = `match/${MATCH}`;

/** Clients of each kind, 1,000 together. */
const VIEWERS: Readonly<Record<ViewerKind, number>> = { sse: 400, ws: 400 };
const HUB_CLIENTS = { json: 100, messagepack: 100 } as const;
type ProtocolName = keyof typeof HUB_CLIENTS;
const PROTOCOLS: readonly ProtocolName[] = ["json", "messagepack"];
/** Clients that are on their way in at one time. */
const CONNECTING = 50;
/** Of the viewers, every so many are cut while the upper relay is away, and come back. */
const CUT_EVERY = 8;
const PUBLICATIONS = 200;
/** How often the line is cut. */
const CUTS = 12;
/** For what takes a busy machine a while. */
const PATIENCE_MS = 30_000;

declareWith("bun", findRuntime("bun"), (bun) => {
  afterAll(killAll);
  describe("a thousand clients two levels below the origin", () => declareCrowd(bun));
  declareWith(".NET", findDotnet(), (dotnet) => declareAccess(dotnet, bun));

  const pairs: readonly [upper: RuntimeName, lower: RuntimeName][] = [
    ["bun", "bun"],
    ["node", "deno"],
    ["deno", "node"],
  ];
  for (const [upper, lower] of pairs) {
    declareWith(upper, findRuntime(upper), (upper) => {
      declareWith(lower, findRuntime(lower), (lower) => {
        describe(`${lower.name} below ${upper.name}`, () => declarePair(bun, upper, lower));
      });
    });
  }
});

/** The relays between an origin and the clients. */
interface Tree {
  readonly upper: SpawnedRelay;
  readonly lower: SpawnedRelay;
}

/** Starts both, each with what the demo declares. */
async function grow(
  hub: string,
  upper: Runtime,
  lower: Runtime,
  more: Partial<ConfigInput> = {},
): Promise<Tree> {
  const top = await start(upper, { ...configOf(hub), ...more });
  return { upper: top, lower: await start(lower, configOf(`${top.url}/hubs/live`)) };
}

function start(runtime: Runtime, config: ConfigInput, port = "0"): Promise<SpawnedRelay> {
  return withConfig(JSON.stringify(config), (KERYX_CONFIG) =>
    startWith(runtime, { KERYX_CONFIG, PORT: port }),
  );
}

function configOf(hub: string): ConfigInput {
  return { ...demoConfig(hub), drainMs: 0, upstream: { backoffMinMs: 50, backoffMaxMs: 500 } };
}

function declareCrowd(bun: Runtime): void {
  let origin: Origin;
  let tree: Tree;
  let sequenceOf: SequenceOf;
  const viewers: Viewer[] = [];
  const kinds = new Map<Viewer, ViewerKind>();
  const hubClients: HubClient[] = [];

  beforeAll(async () => {
    origin = await embeddedOrigin(bun)();
    tree = await grow(origin.hub, bun, bun);
    sequenceOf = sequencesFrom((await getTopic(tree.lower.url)).snapshot);
  });
  afterAll(async () => {
    for (const viewer of viewers) viewer.close();
    await Promise.all(hubClients.map(({ stop }) => stop()));
  });

  async function enter(kind: ViewerKind, before?: Viewer): Promise<Viewer> {
    const viewer = await watch(kind, tree.lower.url, TOPIC, sequenceOf, before);
    viewers.push(viewer);
    kinds.set(viewer, kind);
    return viewer;
  }

  test("are one connection, and one more for those who speak MessagePack", async () => {
    for (const kind of ["sse", "ws"] as const) await many(VIEWERS[kind], () => enter(kind));
    for (const [i, protocol] of PROTOCOLS.entries()) {
      await many(HUB_CLIENTS[protocol], async () => {
        hubClients.push(await enterHub(`${tree.lower.url}/hubs/live`, protocol));
      });
      const feeds = i + 1;
      expect(await origin.stats()).toMatchObject({
        connections: feeds,
        connectionsTotal: feeds,
        joins: { [MATCH]: feeds },
      });
      expect(await readMetric(tree.upper.url, "keryx_clients")).toBe(feeds);
    }
    expect(await readMetric(tree.lower.url, "keryx_clients")).toBe(1_000);
  });

  test("hear every publication once and in order", async () => {
    const { first } = await origin.publish(MATCH, PUBLICATIONS / 2);
    const { last } = await origin.publish(MATCH, PUBLICATIONS / 2);
    await allKnow(viewers, last);
    expect(viewers.filter(({ heard }) => heard !== PUBLICATIONS)).toEqual([]);
    expect(viewers.flatMap(({ faults }) => faults)).toEqual([]);
    for (const { sequences } of hubClients) {
      await eventually(
        () => sequences.at(-1),
        (sequence) => sequence === last,
        PATIENCE_MS,
      );
      expect(sequences).toEqual(range(first, last));
    }
  });

  test("stay while the upper relay restarts, and are told what they cannot have", async () => {
    const publisher = publishSteadily(origin, 20);
    await eventually(publisher.last, (last) => last >= PUBLICATIONS + 20);
    // Some lose their connection, and with it what is published until the upper relay dies.
    const cut = viewers.filter((_, i) => i % CUT_EVERY === 0);
    const staying = viewers.filter((viewer) => !cut.includes(viewer));
    for (const viewer of cut) viewer.close();
    const cutAt = publisher.last();
    await eventually(publisher.last, (last) => last >= cutAt + 10);

    await tree.upper.program.kill();
    await eventually(() => staying.every(({ state }) => state === "stale"), Boolean, PATIENCE_MS);
    expect(staying.filter(({ isOpen }) => !isOpen)).toEqual([]);
    // Whoever comes back meanwhile recovers all that is known here.
    const [{ known }] = staying as [Viewer];
    const back = await Promise.all(
      cut.map((before) => enter(kinds.get(before) as ViewerKind, before)),
    );
    expect(back.filter((viewer) => viewer.known !== known)).toEqual([]);
    expect(back.filter(({ state, recovered }) => state !== "stale" || !recovered)).toEqual([]);
    await eventually(publisher.last, (last) => last >= known + 10);

    const { port } = new URL(tree.upper.url);
    tree = { ...tree, upper: await start(bun, configOf(origin.hub), port) };
    const all = [...staying, ...back];
    await eventually(() => all.every(({ state }) => state === "live"), Boolean, PATIENCE_MS);
    // The feed of those who speak MessagePack has a connection, and a backoff, of its own.
    const backAt = publisher.last();
    const areBack = () => hubClients.every(({ sequences }) => (sequences.at(-1) ?? 0) > backAt);
    await eventually(areBack, Boolean, PATIENCE_MS);
    const liveAt = publisher.last();
    await eventually(publisher.last, (last) => last >= liveAt + 20);
    const last = await publisher.stop();
    await allKnow(all, last);

    // Of each publication they heard the one before, or were told to begin anew.
    expect(all.flatMap(({ faults }) => faults)).toEqual([]);
    for (const { resets, isOpen } of all) {
      expect([isOpen, resets.at(-1)]).toEqual([true, "break"]);
    }
    for (const { resets } of staying) expect(resets).toEqual(["new", "break"]);
    // SignalR has no words for it, but its connections are as they were, and live again.
    for (const { sequences, isClosed } of hubClients) {
      await eventually(
        () => sequences.at(-1),
        (sequence) => sequence === last,
        PATIENCE_MS,
      );
      const live = sequences.filter((sequence) => sequence > liveAt);
      expect([isClosed(), live]).toEqual([false, range(liveAt + 1, last)]);
      expect(sequences.filter((sequence, i) => sequence <= (sequences[i - 1] ?? 0))).toEqual([]);
    }
    expect(await origin.stats()).toMatchObject({ connections: 2 });
  });

  test("recover what they miss while both relays are there", async () => {
    const cut = viewers.filter(({ isOpen }) => isOpen).slice(0, 50);
    for (const viewer of cut) viewer.close();
    const { last } = await origin.publish(MATCH, 50);
    await allKnow(
      viewers.filter(({ isOpen }) => isOpen),
      last,
    );
    const back = await Promise.all(
      cut.map((before) => enter(kinds.get(before) as ViewerKind, before)),
    );
    expect(back.filter(({ recovered, heard }) => !recovered || heard !== 50)).toEqual([]);
    expect(back.flatMap(({ faults }) => faults)).toEqual([]);
  });
}

function declarePair(bun: Runtime, upper: Runtime, lower: Runtime): void {
  for (const protocol of PROTOCOLS) {
    test(`groups, streams and broadcasts come through as they are, in ${protocol}`, async () => {
      const origin = await startLively(bun);
      const tree = await grow(origin.hub, upper, lower);
      const direct = await openTap(origin.hub, protocol);
      const relayed = await openTap(`${tree.lower.url}/hubs/live`, protocol);
      for (const [name, count] of Object.entries(LIVELY)) {
        const [here, there] = [relayed.heard(name), direct.heard(name)];
        await eventually(
          () => here.length,
          (length) => length >= count,
          PATIENCE_MS,
        );
        const run = here.slice();
        const last = run.at(-1) ?? "";
        await eventually(
          () => there.lastIndexOf(last),
          (at) => at >= 0,
        );
        const end = there.lastIndexOf(last) + 1;
        expect(run).toEqual(there.slice(end - run.length, end));
      }
      const refusal = await refusalOf(relayed.connection.invoke("JoinMatch", 999));
      expect(refusal).toBe(await refusalOf(direct.connection.invoke("JoinMatch", 999)));
    });
  }

  test("shared calls are shared by all below, and private ones go through on their own", async () => {
    const origin = await embeddedOrigin(bun)();
    const { upper: top, lower: below } = await grow(origin.hub, upper, lower);
    const url = `${below.url}/hubs/live`;
    const clients = await Promise.all(Array.from({ length: 20 }, () => connectHub(url)));
    const states = await Promise.all(
      clients.map((client) => client.invoke<MatchState>("GetMatch", MATCH)),
    );
    expect(new Set(states.map((state) => JSON.stringify(state))).size).toBe(1);
    expect((await origin.stats()).calls.GetMatch).toBe(1);
    expect((await origin.stats()).connections).toBe(1);

    const [client] = clients as [(typeof clients)[0]];
    const [market] = states[0]?.markets ?? [];
    const [selection] = market?.selections ?? [];
    const bet = { matchId: MATCH, marketId: market?.marketId, selectionId: selection?.id };
    const receipt = await client.invoke<BetReceipt>("PlaceBet", {
      ...bet,
      price: selection?.price,
      stake: 5,
    });
    expect(receipt).toMatchObject({ accepted: true });
    expect(await client.invoke<HubStats>("Stats")).toMatchObject({ connections: 2 });
    for (const relay of [top, below]) {
      expect(await readMetric(relay.url, "keryx_private_connections")).toBe(1);
    }
    await client.stop();
    await eventually(origin.stats, ({ connections }) => connections === 1);
  });

  test("when the origin is lost above, clients below are told, and begin anew with it", async () => {
    const origin = await embeddedOrigin(bun)();
    const tree = await grow(origin.hub, upper, lower, { openTimeoutMs: 500 });
    const client = await openWs(`${tree.lower.url}/ws`);
    await client.subscribe(TOPIC);
    await origin.publish(MATCH, 3);
    await client.messages.take(3);
    await origin.program.kill();
    expect(await client.messages.next()).toMatchObject({ type: "stale", topic: TOPIC });
    // The upper relay does not pass for the origin while it cannot speak for it.
    const socket = await connectSocket(`${tree.upper.url}/hubs/live`, { [RELAY_HEADER]: "1" });
    const answer = new Promise((resolve) => socket.once("message", (data) => resolve(`${data}`)));
    socket.send(`{"protocol":"json","version":1}${RECORD_SEPARATOR}`);
    expect(await answer).toBe(`{"error":"The origin is away"}${RECORD_SEPARATOR}`);
    expect((await ask(tree.lower.url, "/readyz")).status).toBe(503);
    const newcomer = await openWs(`${tree.lower.url}/ws`);
    expect((await newcomer.subscribe(TOPIC)).at(-1)).toMatchObject({ state: "stale" });

    const again = await origin.restart();
    // A new origin with the same seed: its prices are those from before all publications.
    const [reset] = await client.messages.until(({ type }) => type === "live");
    expect(reset).toMatchObject({ type: "reset", reason: "break", snapshot: { matchId: MATCH } });
    const { state, snapshot } = await getTopic(tree.lower.url);
    expect(state).toBe("live");
    expect(reset?.snapshot).toEqual(snapshot);
    await again.publish(MATCH, 1);
    expect(await client.messages.next()).toMatchObject({ type: "publication", topic: TOPIC });
    expect((await again.stats()).connections).toBe(1);
  });

  test("wherever above them the line is cut, clients below are never left with a hole", async () => {
    const origin = await embeddedOrigin(bun)();
    const top = await openWire(origin.url);
    const above = await start(upper, configOf(`${top.url}/hubs/live`));
    const middle = await openWire(above.url);
    const below = await start(lower, configOf(`${middle.url}/hubs/live`));
    const sequenceOf = sequencesFrom((await getTopic(below.url)).snapshot);
    const publisher = publishSteadily(origin, 5);
    const viewers = await Promise.all(
      (["sse", "ws"] as const).map((kind) => watch(kind, below.url, TOPIC, sequenceOf)),
    );
    onTestFinished(() => {
      for (const viewer of viewers) viewer.close();
    });
    const areLive = () => viewers.every(({ state }) => state === "live");
    for (let cuts = 0; cuts < CUTS; cuts++) {
      const resets = viewers[0]?.resets.length ?? 0;
      const [wire, other] = cuts % 2 === 0 ? [top, middle] : [middle, top];
      wire.cut();
      // Every third time the other one is cut as well, at some moment of the way back.
      if (cuts % 3 === 0) {
        await new Promise((resolve) => setTimeout(resolve, cuts * 5));
        other.cut();
      }
      const areReset = () => viewers.every((viewer) => viewer.resets.length > resets);
      await eventually(() => areReset() && areLive(), Boolean, PATIENCE_MS);
    }
    await allKnow(viewers, await publisher.stop());
    expect(viewers.flatMap(({ faults }) => faults)).toEqual([]);
    expect(viewers.filter(({ isOpen }) => !isOpen)).toEqual([]);
  });

  test("a relay that does not keep up is never left with a hole", async () => {
    const origin = await embeddedOrigin(bun)();
    const match = demoConfig(origin.hub).hubs["/hubs/live"];
    const conflating = {
      ...match,
      origin: origin.hub,
      topics: { "match/{id}": { ...match?.topics?.["match/{id}"], slow: "conflate" as const } },
    };
    const tree = await grow(origin.hub, upper, lower, { hubs: { "/hubs/live": conflating } });
    const { snapshot } = await getTopic(tree.lower.url);
    const viewer = await watch("ws", tree.lower.url, TOPIC, sequencesFrom(snapshot));
    onTestFinished(viewer.close);
    const { pid } = tree.lower.program;
    process.kill(pid, "SIGSTOP");
    onTestFinished(() => void process.kill(pid, "SIGCONT"));
    // Until it is left behind, and a whole batch goes to nobody.
    const deliveries = () => readMetric(tree.upper.url, "keryx_deliveries_total");
    for (let before = -1; before !== (await deliveries()); ) {
      before = await deliveries();
      const { last } = await origin.publish(MATCH, 2_000);
      const arrived = () => readMetric(tree.upper.url, "keryx_publications_total");
      await eventually(arrived, (count) => count >= last);
    }
    process.kill(pid, "SIGCONT");
    await eventually(
      () => viewer.resets.at(-1),
      (reason) => reason === "break",
      PATIENCE_MS,
    );
    await eventually(
      () => viewer.state,
      (state) => state === "live",
      PATIENCE_MS,
    );
    const { last } = await origin.publish(MATCH, 1);
    await eventually(
      () => viewer.known,
      (known) => known === last,
    );
  });
}

function declareAccess(dotnet: Dotnet, bun: Runtime): void {
  test("who may watch is the origin's word, asked through both relays", async () => {
    const command = [
      ...(await buildOrigin(dotnet)),
      "--token",
      "relay:relay",
      "--token",
      "a:alice",
    ];
    const origin = await dotnetOrigin(command)();
    const secure = (url: string): ConfigInput => {
      const hub = demoConfig(url).hubs["/hubs/live"];
      return {
        ...configOf(url),
        hubs: { "/hubs/live": { ...hub, origin: url, accessToken: "relay" } },
      };
    };
    const upper = await start(bun, secure(`${origin.url}/hubs/secure-live`));
    const lower = await start(bun, secure(`${upper.url}/hubs/live`));

    const bearer = (name: string) => ({ headers: { authorization: `Bearer ${name}` } });
    const negotiate = async (url: string, headers: Record<string, string> = {}) => {
      const { pathname, origin } = new URL(url);
      return ask(origin, `${pathname}/negotiate`, { method: "POST", headers });
    };
    for (const { headers } of [{ headers: {} }, bearer("wrong")]) {
      const there = await negotiate(`${origin.url}/hubs/secure-live`, headers);
      const here = await negotiate(`${lower.url}/hubs/live`, headers);
      expect(there.status).toBe(401);
      expect([here.status, here.headers["www-authenticate"]]).toEqual([
        401,
        there.headers["www-authenticate"],
      ]);
      expect((await ask(lower.url, `/topics/${TOPIC}`, { headers })).status).toBe(401);
    }
    expect((await ask(lower.url, `/topics/${TOPIC}`, bearer("a"))).status).toBe(200);
    const client = await connectHub(`${lower.url}/hubs/live`, { accessTokenFactory: () => "a" });
    const odds = pushesOf(client, "OddsChanged");
    await client.invoke("JoinMatch", MATCH);
    await origin.publish(MATCH, 1);
    expect(await odds.next()).toMatchObject([{ matchId: MATCH }]);
    // What is private reaches the origin in the client's own name.
    await client.invoke("Stats");
    const connections = (await ask(origin.url, "/control/connections")).json() as {
      user: string;
    }[];
    expect(connections.map(({ user }) => user).sort()).toEqual(["alice", "relay"]);
  });
}

interface HubClient {
  /** Of all OddsChanged, in the order in which they came. */
  readonly sequences: readonly number[];
  isClosed(): boolean;
  stop(): Promise<void>;
}

/** A stock client that watches the match. */
async function enterHub(url: string, protocol: ProtocolName): Promise<HubClient> {
  const connection = buildHub(url, protocol);
  const sequences: number[] = [];
  let closed = false;
  // .NET's names are as they are written in MessagePack; those of the embedded origin are the same in both.
  connection.on("OddsChanged", ({ sequence }: { sequence: number }) => sequences.push(sequence));
  connection.onclose(() => {
    closed = true;
  });
  await connection.start();
  await connection.invoke("JoinMatch", MATCH);
  return { sequences, isClosed: () => closed, stop: () => connection.stop() };
}

function buildHub(url: string, protocol: ProtocolName) {
  const builder = new HubConnectionBuilder()
    .withUrl(url, { transport: HttpTransportType.WebSockets })
    .configureLogging(LogLevel.None);
  if (protocol === "messagepack") builder.withHubProtocol(new MessagePackHubProtocol());
  return builder.build();
}

/** How many of each kind shall be compared. */
const LIVELY = { OddsChanged: 20, ScoreChanged: 10, Announcement: 2, Ticker: 10 } as const;

/** A stock client that keeps everything it hears, as JSON, by target or stream method. */
async function openTap(url: string, protocol: ProtocolName) {
  const connection = buildHub(url, protocol);
  onTestFinished(() => connection.stop());
  const heard = new Map<string, string[]>();
  const keep = (name: string) => {
    const texts: string[] = [];
    heard.set(name, texts);
    return (...args: unknown[]) => void texts.push(JSON.stringify(args));
  };
  for (const target of ["OddsChanged", "ScoreChanged", "Announcement"]) {
    connection.on(target, keep(target));
  }
  await connection.start();
  for (const match of [1, 2, 3, MATCH]) await connection.invoke("JoinMatch", match);
  for (const texts of heard.values()) texts.length = 0; // not all groups had been joined
  connection.stream("Ticker", "football").subscribe({
    next: keep("Ticker"),
    error() {},
    complete() {},
  });
  return { connection, heard: (name: string): readonly string[] => heard.get(name) ?? [] };
}

/** An embedded origin that plays ten minutes a second. @returns the URL of its hub */
async function startLively(runtime: Runtime): Promise<{ readonly hub: string }> {
  const program = await startProgram(runtime.command("--origin"), {
    env: { ORIGIN_SPEED: "600" },
    ready: /"url":"(http:\/\/127\.0\.0\.1:\d+\/hubs\/live)"[^\n]*embedded origin is listening/,
  });
  onTestFinished(() => void program.kill());
  return { hub: program.ready[1] ?? "" };
}

/** The topic, as a relay knows it. */
async function getTopic(
  url: string,
): Promise<{ readonly state: string; readonly snapshot: MatchState }> {
  const reply = await ask(url, `/topics/${TOPIC}`);
  return reply.json() as { state: string; snapshot: MatchState }; // of the demo's hub
}

interface Publisher {
  /** Sequence of the last publication. */
  last(): number;
  /** @returns the sequence of the last one */
  stop(): Promise<number>;
}

function publishSteadily(origin: Origin, everyMs: number): Publisher {
  let last = 0;
  let isStopped = false;
  const work = (async () => {
    while (!isStopped) {
      last = (await origin.publish(MATCH, 1)).last;
      await new Promise((resolve) => setTimeout(resolve, everyMs));
    }
    return last;
  })();
  work.catch(() => {}); // told by stop
  return {
    last: () => last,
    stop() {
      isStopped = true;
      return work;
    },
  };
}

async function allKnow(viewers: readonly Viewer[], last: number): Promise<void> {
  const behind = () => viewers.filter(({ known }) => known !== last).length;
  await eventually(behind, (count) => count === 0, PATIENCE_MS);
}

/** Does something so many times, a bounded number at a time. */
async function many(count: number, work: () => Promise<unknown>): Promise<void> {
  let left = count;
  const worker = async () => {
    while (left-- > 0) await work();
  };
  await Promise.all(Array.from({ length: CONNECTING }, worker));
}

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}
