import {
  HttpTransportType,
  type HubConnection,
  HubConnectionBuilder,
  HubConnectionState,
  type IHubProtocol,
  JsonHubProtocol,
  LogLevel,
} from "@microsoft/signalr";
import { MessagePackHubProtocol } from "@microsoft/signalr-protocol-msgpack";
import { afterEach, describe, expect, onTestFinished, test } from "vitest";
import type {
  BetReceipt,
  HubStats,
  Market,
  MatchState,
  OddsChanged,
  TickerItem,
} from "../../app/demo/contract.ts";
import { createDemoHub, type DemoHub, type DemoHubOptions } from "../../app/demo/hub.ts";
import { createSimulator } from "../../app/demo/simulator.ts";
import { createManualClock, type ManualClock, systemClock } from "../../lib/clock.ts";
import type { Socket, SocketHandler, Upgrade } from "../../lib/socket.ts";
import { jsonProtocol } from "../../lib/wire/json.ts";
import { eventually } from "../support/eventually.ts";
import { serve } from "./serve.ts";

const RS = "\u001e";
const URL_OF_HUB = "http://origin.test/hubs/live";

let clock: ManualClock;

/** A hub that does nothing by itself unless a speed is given. */
function setUp(options: Partial<DemoHubOptions> = {}): DemoHub {
  clock = createManualClock();
  const hub = createDemoHub({ clock, seed: 1, speed: 0, ...options });
  onTestFinished(() => hub.stop());
  return hub;
}

function post(hub: DemoHub, query = "?negotiateVersion=1"): Promise<Response> {
  return hub.negotiate(new Request(`${URL_OF_HUB}/negotiate${query}`, { method: "POST" }));
}

/** Asks for a WebSocket; a response of 200 stands for the upgrade. */
function get(hub: DemoHub, query = ""): Promise<Response> {
  const socket: Socket = { send: () => true, bufferedBytes: 0, close() {} };
  const upgrade: Upgrade = (accept) => {
    accept(socket);
    return new Response();
  };
  return hub.handle(new Request(URL_OF_HUB + query), { upgrade });
}

interface Client {
  /** Records that came and were not taken yet, without their separators. */
  take(): string[];
  send(...records: (object | string)[]): void;
  /** Takes what came, each record parsed. */
  messages<T = Record<string, unknown>>(): T[];
  /** Code of the server's close. */
  readonly closed: number | undefined;
  /** Breaks the connection. */
  leave(): void;
}

/** A connection without a handshake, whose socket always takes what it is given but for `stuck` ones. */
async function connect(hub: DemoHub, { stuck = false } = {}): Promise<Client> {
  let received = "";
  let closed: number | undefined;
  let bufferedBytes = 0;
  const socket: Socket = {
    send(frame) {
      if (closed !== undefined) return true;
      received += frame;
      if (stuck) bufferedBytes += frame.length;
      return !stuck;
    },
    get bufferedBytes() {
      return bufferedBytes;
    },
    close(code) {
      closed ??= code;
    },
  };
  let handler: SocketHandler | undefined;
  const upgrade: Upgrade = (accept) => {
    handler = accept(socket);
    return new Response();
  };
  await hub.handle(new Request(URL_OF_HUB), { upgrade });
  function take(): string[] {
    const records = received.split(RS);
    received = records.pop() ?? "";
    return records;
  }
  return {
    take,
    messages: () => take().map((record) => JSON.parse(record)),
    send(...records) {
      const texts = records.map((one) => (typeof one === "string" ? one : JSON.stringify(one)));
      handler?.message(texts.map((text) => text + RS).join(""));
    },
    get closed() {
      return closed;
    },
    leave: () => handler?.close(1006, ""),
  };
}

async function join(hub: DemoHub, options?: { readonly stuck: boolean }): Promise<Client> {
  const client = await connect(hub, options);
  client.send({ protocol: "json", version: 1 });
  expect(client.take()).toEqual(["{}"]);
  return client;
}

function invoke<T>(client: Client, target: string, ...args: unknown[]): T {
  client.send({ type: 1, invocationId: "i", target, arguments: args });
  const [completion] = client.messages<{ result: T; error?: string }>();
  expect(completion).not.toHaveProperty("error");
  return completion!.result;
}

describe("negotiate", () => {
  test("offers every transport, and stateful reconnect to who asks for it", async () => {
    const hub = setUp();
    const id = expect.stringMatching(/^[\w-]{22}$/);
    const offer = {
      negotiateVersion: 1,
      connectionId: id,
      connectionToken: expect.stringMatching(/^[\w-]{22,}$/),
      availableTransports: [
        { transport: "WebSockets", transferFormats: ["Text", "Binary"] },
        { transport: "ServerSentEvents", transferFormats: ["Text"] },
        { transport: "LongPolling", transferFormats: ["Text", "Binary"] },
      ],
    };
    expect(await (await post(hub)).json()).toEqual(offer);
    const stateful = await post(hub, "?negotiateVersion=1&useStatefulReconnect=true");
    expect(await stateful.json()).toEqual({ ...offer, useStatefulReconnect: true });
  });
});

describe("an invocation", () => {
  const failed = (target: string): string =>
    `Failed to invoke '${target}' due to an error on the server.`;
  const unexpected = (target: string): string =>
    `An unexpected error occurred invoking '${target}' on the server. HubException:`;
  const bet = { matchId: 1, marketId: "1x2", selectionId: "home", price: 2, stake: 10 };

  test.each([
    [1, "Nope", [], `${failed("Nope")} HubException: Method does not exist.`],
    [4, "Nope", [], `${failed("Nope")} HubException: Method does not exist.`],
    [1, "GetMatch", [], failed("GetMatch")],
    [1, "GetMatch", [1, 2], failed("GetMatch")],
    [1, "getmatch", ["1"], failed("GetMatch")],
    [1, "JOINMATCH", [0], `${unexpected("JoinMatch")} Unknown match: 0 is not between 1 and 20`],
    [1, "nOPE", [], `${failed("nOPE")} HubException: Method does not exist.`],
    [1, "GetMatch", [1.5], failed("GetMatch")],
    [1, "PlaceBet", [{ ...bet, stake: "10" }], failed("PlaceBet")],
    [1, "GetMatch", [21], `${unexpected("GetMatch")} Unknown match: 21 is not between 1 and 20`],
    [1, "JoinMatch", [0], `${unexpected("JoinMatch")} Unknown match: 0 is not between 1 and 20`],
    [4, "Ticker", ["golf"], `${unexpected("Ticker")} Unknown sport: golf`],
    [
      1,
      "PlaceBet",
      [{ ...bet, marketId: "corners" }],
      `${unexpected("PlaceBet")} Unknown market: corners`,
    ],
    [
      1,
      "PlaceBet",
      [{ ...bet, selectionId: "x" }],
      `${unexpected("PlaceBet")} Unknown selection: x`,
    ],
    [
      1,
      "PlaceBet",
      [{ ...bet, stake: 0 }],
      `${unexpected("PlaceBet")} Stake must be above 0 and at most 10000: 0`,
    ],
    [
      1,
      "Ticker",
      ["tennis"],
      "The client attempted to invoke the streaming 'Ticker' method with a non-streaming invocation.",
    ],
    [
      4,
      "Stats",
      [],
      "The client attempted to invoke the non-streaming 'Stats' method with a streaming invocation.",
    ],
  ])("of type %i, %s(%j), fails", async (type, target, args, error) => {
    const client = await join(setUp());
    client.send({ type, invocationId: "7", target, arguments: args });
    expect(client.take()).toEqual([JSON.stringify({ type: 3, invocationId: "7", error })]);
    // An error is of the invocation only.
    expect(invoke<HubStats>(client, "Stats").connections).toBe(1);
  });

  test("with an upload stream fails", async () => {
    const client = await join(setUp());
    client.send({
      type: 1,
      invocationId: "1",
      target: "Stats",
      arguments: [],
      streamIds: ["9"],
    });
    expect(client.messages()[0]!.error).toBe(
      `${unexpected("Stats")} Client sent 1 stream(s), Hub method expects 0.`,
    );
  });

  test("without an id runs and is not answered", async () => {
    const hub = setUp();
    const client = await join(hub);
    client.send({ type: 1, target: "JoinMatch", arguments: [3] });
    client.send({ type: 1, target: "JoinMatch", arguments: [99] });
    client.send({ type: 1, target: "Nope", arguments: [] });
    expect(client.take()).toEqual([]);
    expect(hub.stats().joins).toEqual({ 3: 1 });
  });

  test("of a method without a result is answered null", async () => {
    const client = await join(setUp());
    client.send({ type: 1, invocationId: "0", target: "joinMATCH", arguments: [1] });
    expect(client.take()).toEqual(['{"type":3,"invocationId":"0","result":null}']);
  });

  test("of a whole frame are answered in order", async () => {
    const client = await join(setUp());
    const ask = (id: number): object => ({
      type: 1,
      invocationId: `${id}`,
      target: "GetMatch",
      arguments: [id],
    });
    client.send(ask(3), ask(1), ask(2));
    const results = client.messages<{ invocationId: string; result: MatchState }>();
    expect(results.map(({ invocationId }) => invocationId)).toEqual(["3", "1", "2"]);
    expect(results.map(({ result }) => result.matchId)).toEqual([3, 1, 2]);
  });

  test("counts by the declared name once it is bound", async () => {
    const hub = setUp();
    const client = await join(hub);
    invoke(client, "STATS");
    client.send({ type: 1, target: "GetMatch", arguments: ["x"] });
    client.send({ type: 1, target: "GetMatch", arguments: [99] });
    expect(hub.stats().calls).toEqual({ Stats: 1, GetMatch: 1 });
  });
});

describe("a bet", () => {
  test("is taken at the price of now only, and not while the market is suspended", async () => {
    const client = await join(setUp());
    const state = createSimulator({ seed: 1 });
    const matches = Array.from({ length: 20 }, (_, index) => state.match(index + 1));
    const open = matches.find(({ markets }) => !markets[0]!.suspended)!;
    const shut = matches.find(({ markets }) => markets[0]!.suspended)!;
    const place = ({ matchId, markets }: MatchState, raise = 0): BetReceipt => {
      const { id, price } = markets[0]!.selections[0]!;
      const bet = { matchId, marketId: "1x2", selectionId: id, price: price + raise, stake: 5 };
      return invoke(client, "PlaceBet", bet);
    };
    const price = open.markets[0]!.selections[0]!.price;
    expect(place(open)).toEqual({ accepted: true, betId: 1, price });
    expect(place(open)).toEqual({ accepted: true, betId: 2, price });
    expect(place(open, 0.01)).toEqual({ accepted: false, reason: "price-changed", price });
    expect(place(shut)).toMatchObject({ accepted: false, reason: "suspended" });
  });
});

describe("a match's group", () => {
  test("gets its pushes, numbered, and nobody else does", async () => {
    const hub = setUp();
    const [watcher, other, idle] = [await join(hub), await join(hub), await join(hub)];
    invoke(watcher, "JoinMatch", 7);
    invoke(watcher, "JoinMatch", 7);
    invoke(other, "JoinMatch", 8);
    expect(hub.publish(7, 3)).toEqual({ first: 1, last: 3 });
    expect(hub.publish(8, 1)).toEqual({ first: 4, last: 4 });
    const pushes = watcher.messages<{ target: string; arguments: [Record<string, unknown>] }>();
    expect(pushes.map(({ target }) => target)).toEqual(Array(3).fill("OddsChanged"));
    expect(pushes.map(({ arguments: [odds] }) => odds.sequence)).toEqual([1, 2, 3]);
    expect(pushes.every(({ arguments: [odds] }) => odds.matchId === 7)).toBe(true);
    expect(other.take().length).toBe(1);
    expect(idle.take()).toEqual([]);
    expect(hub.stats()).toMatchObject({
      pushes: { OddsChanged: 4 },
      joins: { 7: 2, 8: 1 },
      joinsTotal: 3,
    });
  });

  test("is left by leaving it, and by leaving altogether", async () => {
    const hub = setUp();
    const [one, two] = [await join(hub), await join(hub)];
    for (const client of [one, two]) invoke(client, "JoinMatch", 5);
    invoke(one, "LeaveMatch", 5);
    invoke(one, "LeaveMatch", 99);
    two.leave();
    hub.publish(5, 1);
    expect(one.take()).toEqual([]);
    expect(two.take()).toEqual([]);
    expect(hub.stats()).toMatchObject({ connections: 1, leavesTotal: 2 });
  });

  test("is told prices a step apart, of which GetMatch knows the last", async () => {
    const hub = setUp();
    const client = await join(hub);
    const priceOf = ({ selections }: Pick<Market, "selections">): number => selections[0]!.price;
    const before = priceOf(invoke<MatchState>(client, "GetMatch", 2).markets[0]!);
    invoke(client, "JoinMatch", 2);
    hub.publish(2, 3);
    const pushes = client.messages<{ arguments: [OddsChanged] }>();
    const prices = pushes.map(({ arguments: [odds] }) => priceOf(odds));
    expect(prices).toEqual([1, 2, 3].map((steps) => Math.round(before * 100 + steps) / 100));
    expect(priceOf(invoke<MatchState>(client, "GetMatch", 2).markets[0]!)).toBe(prices[2]);
  });

  test("of many gets a push that was written once", async () => {
    let printed = 0;
    const protocol: typeof jsonProtocol = {
      ...jsonProtocol,
      print(message) {
        if (message.type === "invocation") printed++;
        return jsonProtocol.print(message);
      },
    };
    const hub = setUp({ protocols: [protocol] });
    const clients = await Promise.all(Array.from({ length: 50 }, () => join(hub)));
    for (const client of clients) invoke(client, "JoinMatch", 1);
    hub.publish(1, 4);
    expect(clients.map((client) => client.take().length)).toEqual(Array(50).fill(4));
    expect(printed).toBe(4);
  });

  test("loses a member that does not read, and goes on", async () => {
    const hub = setUp();
    const [slow, quick] = [await join(hub, { stuck: true }), await join(hub)];
    for (const client of [slow, quick]) invoke(client, "JoinMatch", 1);
    for (let i = 0; i < 5; i++) hub.publish(1, 10_000);
    expect(slow.closed).toBe(1000);
    expect(slow.take().at(-1)).toBe('{"type":7,"error":"Too slow","allowReconnect":true}');
    expect(quick.take().length).toBe(50_000);
    expect(hub.stats().connections).toBe(1);
  });

  test.each([0, 1.5, 10_001])("cannot be told %d times at once", (count) => {
    expect(() => setUp().publish(1, count)).toThrow(RangeError);
  });
});

describe("a ticker", () => {
  const open = (id: string, sport = "tennis"): object => ({
    type: 4,
    invocationId: id,
    target: "Ticker",
    arguments: [sport],
  });

  test("streams its lines until it is cancelled", async () => {
    const hub = setUp({ speed: 60 });
    const client = await join(hub);
    client.send(open("1"), open("2", "football"));
    expect(hub.stats()).toMatchObject({ streams: 2, calls: { Ticker: 2 } });
    clock.advance(20_000);
    const messages = client.messages<{ type: number; invocationId: string; item: TickerItem }>();
    const items = messages.filter(({ type }) => type === 2);
    const tennis = items.filter(({ invocationId }) => invocationId === "1");
    expect(tennis.length).toBeGreaterThan(20);
    expect(tennis.every(({ item }) => item.sport === "tennis")).toBe(true);
    const ids = tennis.map(({ item }) => item.id);
    expect(ids).toEqual(ids.map((_, index) => ids[0]! + index));
    expect(tennis.length).toBeLessThan(items.length);

    client.send({ type: 5, invocationId: "1" }, { type: 5, invocationId: "unknown" });
    expect(client.take()).toEqual(['{"type":3,"invocationId":"1"}']);
    clock.advance(20_000);
    const later = client.messages<{ type: number; item: TickerItem }>();
    expect(later.some(({ type }) => type === 2)).toBe(true);
    expect(later.every(({ type, item }) => type !== 2 || item.sport === "football")).toBe(true);
    client.leave();
    expect(hub.stats().streams).toBe(0);
  });

  test("that is cancelled in the frame that opens it just completes", async () => {
    const hub = setUp({ speed: 60 });
    const client = await join(hub);
    client.send(open("1"), { type: 5, invocationId: "1" });
    clock.advance(5_000);
    const messages = client.messages().filter(({ type }) => type !== 6 && type !== 1);
    expect(messages).toEqual([{ type: 3, invocationId: "1" }]);
  });

  test("cannot be opened under an id that is in use, nor without end", async () => {
    const hub = setUp();
    const client = await join(hub);
    client.send(open("1"), open("1"));
    expect(client.messages()).toEqual([
      { type: 3, invocationId: "1", error: "Invocation ID '1' is already in use." },
    ]);
    for (let id = 2; id <= 101; id++) client.send(open(`${id}`));
    expect(hub.stats().streams).toBe(100);
    expect(client.messages()[0]!.error).toContain("Cannot have more than 100 streams");
  });
});

describe("a connection", () => {
  test("counts from its handshake to its end", async () => {
    const hub = setUp();
    await connect(hub);
    expect(hub.stats().connections).toBe(0);
    const client = await join(hub);
    expect(hub.stats()).toMatchObject({ connections: 1, connectionsTotal: 1 });
    client.leave();
    expect(hub.stats()).toMatchObject({ connections: 0, connectionsTotal: 1 });
  });

  test("beyond the bound is refused until another ends", async () => {
    const hub = setUp({ maxConnections: 2 });
    const { connectionToken } = await (await post(hub)).json();
    const [client] = [await join(hub), await connect(hub)];
    const negotiated = `?id=${connectionToken}`;
    for (const refused of [post(hub), get(hub), get(hub, negotiated)]) {
      expect((await refused).status).toBe(503);
    }
    client.leave();
    expect((await post(hub)).status).toBe(200);
    expect((await get(hub)).status).toBe(200);
    expect((await get(hub)).status).toBe(503);
  });

  test("is invited to come back when the hub stops, which then takes nobody", async () => {
    const hub = setUp({ speed: 60 });
    const [client, early] = [await join(hub), await connect(hub)];
    invoke(client, "JoinMatch", 1);
    hub.stop();
    expect(client.take()).toEqual(['{"type":7,"allowReconnect":true}']);
    expect([client.closed, early.closed]).toEqual([1000, 1000]);
    expect(early.take()).toEqual([]);
    expect([(await post(hub)).status, (await get(hub)).status]).toEqual([503, 503]);
    clock.advance(60_000);
    expect(client.take()).toEqual([]);
    expect(hub.stats().connections).toBe(0);
    expect(hub.stats().pushes).toEqual({});
  });

  test.each([
    ["the hub has stopped", (hub: DemoHub): unknown => hub.stop()],
    ["another has taken the last place", (hub: DemoHub): unknown => get(hub)],
  ])("whose upgrade ends after %s is closed", async (_, meanwhile) => {
    const hub = setUp({ maxConnections: 1 });
    let open: () => void = () => {};
    let closed: number | undefined;
    const socket: Socket = {
      send: () => true,
      bufferedBytes: 0,
      close(code) {
        closed = code;
      },
    };
    const upgrade: Upgrade = (accept) => {
      open = () => accept(socket);
      return new Response();
    };
    await hub.handle(new Request(URL_OF_HUB), { upgrade });
    await meanwhile(hub);
    open();
    expect(closed).toBe(1000);
  });
});

describe("time", () => {
  test("passes at its speed, and a watcher's replay is the state of GetMatch", async () => {
    const hub = setUp({ speed: 60 });
    const client = await join(hub);
    let state = invoke<MatchState>(client, "GetMatch", 8);
    invoke(client, "JoinMatch", 8);
    const minutes = new Set<number>();
    for (let i = 0; i < 200; i++) clock.advance(100);
    for (const { type, target, arguments: args } of client.messages<{
      type: number;
      target: string;
      arguments: [MatchState & { reason: string; sequence: number; marketId: string }];
    }>()) {
      if (type !== 1 || target === "Announcement") continue;
      const { reason: _, sequence: __, ...value } = args[0];
      if (target === "ScoreChanged") {
        minutes.add(value.minute);
        state = { ...state, ...value, marketId: undefined } as MatchState;
      } else {
        const { matchId: ___, ...market } = value;
        const markets = state.markets.map((old) =>
          old.marketId === market.marketId ? (market as unknown as typeof old) : old,
        );
        state = { ...state, markets };
      }
    }
    expect(minutes.size).toBe(20); // twenty minutes in twenty seconds
    expect(JSON.parse(JSON.stringify(state))).toEqual(invoke(client, "GetMatch", 8));
  });

  test("that was slept away is not made up for", () => {
    let sleptMs = 0;
    const manual = createManualClock();
    const sleepy = { ...manual, now: () => manual.now() + sleptMs };
    const hub = createDemoHub({ clock: sleepy, seed: 1, speed: 60 });
    sleptMs = 8 * 3_600_000;
    manual.advance(100);
    // One second is made up for: at most a minute, and little more, of each of the twenty matches.
    const { ScoreChanged = 0 } = hub.stats().pushes;
    expect(ScoreChanged).toBeGreaterThan(0);
    expect(ScoreChanged).toBeLessThan(40);
    hub.stop();
  });

  test("passes to the last fraction of a millisecond", () => {
    const hub = setUp({ speed: 0.015 });
    clock.advance(6_000_000); // 60,000 ticks of 1.5 simulated ms
    const events = createSimulator({ seed: 1 }).advance(90_000);
    const scores = events.filter(({ type }) => type === "score").length;
    expect(scores).toBeGreaterThan(20);
    expect(hub.stats().pushes.ScoreChanged).toBe(scores);
  });

  test.each([-1, 3601, Number.NaN])("cannot pass at speed %d", (speed) => {
    expect(() => createDemoHub({ clock: createManualClock(), seed: 1, speed })).toThrow(RangeError);
  });
});

describe("the official client", () => {
  const ends: (() => unknown)[] = [];
  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end();
  });

  async function start({
    transport = HttpTransportType.WebSockets,
    protocol = new JsonHubProtocol(),
    stateful = false,
    ...options
  }: Partial<DemoHubOptions> & {
    readonly transport?: HttpTransportType;
    readonly protocol?: IHubProtocol;
    readonly stateful?: boolean;
  } = {}) {
    const hub = createDemoHub({ clock: systemClock, seed: 1, speed: 0, ...options });
    const served = await serve(hub);
    const builder = new HubConnectionBuilder()
      .withUrl(served.url, { transport })
      .withHubProtocol(protocol)
      .withAutomaticReconnect([60_000])
      .configureLogging(LogLevel.None);
    if (stateful) builder.withStatefulReconnect();
    const connection = builder.build();
    ends.push(
      () => served.close(),
      () => hub.stop(),
      () => connection.stop(),
    );
    await connection.start();
    return { hub, served, connection };
  }

  /** Resolves with the sequences of the first so many OddsChanged. */
  function sequencesOf(connection: HubConnection, count: number): Promise<number[]> {
    const sequences: number[] = [];
    return new Promise((resolve) => {
      connection.on("OddsChanged", ({ sequence }: { sequence: number }) => {
        if (sequences.push(sequence) === count) resolve(sequences);
      });
    });
  }

  const upTo = (last: number): number[] => Array.from({ length: last }, (_, index) => index + 1);

  const { WebSockets, ServerSentEvents, LongPolling } = HttpTransportType;
  const json = new JsonHubProtocol();
  const messagepack = new MessagePackHubProtocol();

  test.each([
    { over: "WebSockets in JSON", transport: WebSockets, protocol: json },
    { over: "WebSockets in MessagePack", transport: WebSockets, protocol: messagepack },
    { over: "Server-Sent Events in JSON", transport: ServerSentEvents, protocol: json },
    { over: "Long Polling in JSON", transport: LongPolling, protocol: json },
    { over: "Long Polling in MessagePack", transport: LongPolling, protocol: messagepack },
  ])("joins, asks and gets every push in order over $over", async ({ transport, protocol }) => {
    const { hub, connection } = await start({ transport, protocol });
    const sequences = sequencesOf(connection, 1000);
    const state: MatchState = await connection.invoke("GetMatch", 4);
    expect(state).toMatchObject({ matchId: 4, markets: [{ marketId: "1x2" }, {}, {}] });
    expect(await connection.invoke("JoinMatch", 4)).toBeNull();
    hub.publish(4, 500);
    hub.publish(4, 500);
    expect(await sequences).toEqual(upTo(1000));
    expect(await connection.invoke("Stats")).toEqual(hub.stats());
    await connection.stop();
    await eventually(
      () => hub.stats().connections,
      (connections) => connections === 0,
    );
  });

  test("that reconnects statefully misses nothing, and is the same connection", async () => {
    const { hub, served, connection } = await start({ stateful: true });
    const sequences = sequencesOf(connection, 10_400);
    let reconnections = 0;
    connection.onreconnecting(() => reconnections++);
    await connection.invoke("JoinMatch", 4);
    hub.publish(4, 100);
    served.cut();
    hub.publish(4, 100);
    // The first call to be answered comes over the new socket.
    await connection.invoke("GetMatch", 4);
    hub.publish(4, 100);
    hub.publish(4, 10_000); // all at once: nothing can be acknowledged in between
    hub.publish(4, 100);
    expect(await sequences).toEqual(upTo(10_400));
    expect(hub.stats()).toMatchObject({ connections: 1, connectionsTotal: 1, joinsTotal: 1 });
    expect(reconnections).toBe(0);
  });

  test("is told errors in the words it knows", async () => {
    const { connection } = await start();
    await expect(connection.invoke("JoinMatch", 21)).rejects.toThrow(
      "An unexpected error occurred invoking 'JoinMatch' on the server. HubException: Unknown match: 21 is not between 1 and 20",
    );
    await expect(connection.invoke("Nope")).rejects.toThrow("Method does not exist.");
    await expect(connection.invoke("Ticker", "tennis")).rejects.toThrow("non-streaming invocation");
  });

  test("reads a ticker, and ends it by disposing of it", async () => {
    const { hub, connection } = await start({ speed: 3600 });
    const items = await new Promise<TickerItem[]>((resolve, reject) => {
      const read: TickerItem[] = [];
      const subscription = connection.stream<TickerItem>("Ticker", "tennis").subscribe({
        next(item) {
          if (read.push(item) < 10) return;
          subscription.dispose();
          resolve(read);
        },
        error: reject,
        complete: () => reject(new Error("The ticker ended")),
      });
    });
    expect(items.map(({ id }) => id)).toEqual(items.map((_, index) => items[0]!.id + index));
    await connection.invoke("Stats"); // behind the cancel on the same connection
    expect(hub.stats().streams).toBe(0);
  });

  test("sees the board move by itself", async () => {
    const { connection } = await start({ speed: 3600 });
    const moved = new Promise((resolve) => connection.on("ScoreChanged", resolve));
    const announced = new Promise((resolve) => connection.on("Announcement", resolve));
    for (let id = 1; id <= 20; id++) await connection.invoke("JoinMatch", id);
    expect(await moved).toHaveProperty("minute");
    expect(await announced).toHaveProperty("text");
  });

  test.each([
    { over: "WebSockets", transport: WebSockets },
    { over: "Server-Sent Events", transport: ServerSentEvents },
    { over: "Long Polling", transport: LongPolling },
  ])("sets out to reconnect over $over when the hub stops", async ({ transport }) => {
    const { hub, connection } = await start({ transport });
    const reconnecting = new Promise<Error | undefined>((resolve) => {
      connection.onreconnecting(resolve);
    });
    hub.stop();
    await reconnecting;
    expect(connection.state).toBe(HubConnectionState.Reconnecting);
  });
});
