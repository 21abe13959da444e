import { HubConnectionBuilder, HubConnectionState, LogLevel } from "@microsoft/signalr";
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
import type { Socket, SocketHandler } from "../../lib/socket.ts";
import { jsonProtocol } from "../../lib/wire/json.ts";
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

function post(hub: DemoHub, query = "?negotiateVersion=1"): Response {
  return hub.negotiate(new Request(`${URL_OF_HUB}/negotiate${query}`, { method: "POST" }));
}

/** Asks for a connection; a response of 200 stands for the upgrade. */
function get(hub: DemoHub, query = "", headers: HeadersInit = { upgrade: "websocket" }): Response {
  const socket: Socket = { send: () => true, bufferedBytes: 0, close() {} };
  return hub.connect(new Request(`${URL_OF_HUB}${query}`, { headers }), (accept) => {
    accept(socket);
    return new Response();
  });
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
function connect(hub: DemoHub, { stuck = false, query = "" } = {}): Client {
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
  const request = new Request(URL_OF_HUB + query, { headers: { upgrade: "WebSocket" } });
  hub.connect(request, (accept) => {
    handler = accept(socket);
    return new Response();
  });
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

function join(hub: DemoHub, options?: { readonly stuck: boolean }): Client {
  const client = connect(hub, options);
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

const CLOSED = '{"type":7,"error":"Connection closed with an error.","allowReconnect":true}';

describe("negotiate", () => {
  test("offers WebSockets, in the words of ASP.NET Core", async () => {
    const response = post(setUp());
    expect(response.headers.get("content-type")).toBe("application/json");
    expect(await response.text()).toMatch(
      /^{"negotiateVersion":1,"connectionId":"[\w-]{22}","connectionToken":"[\w-]{22}","availableTransports":\[{"transport":"WebSockets","transferFormats":\["Text","Binary"\]}\]}$/,
    );
  });

  test("of version 0 gives an id that is the token", async () => {
    const hub = setUp();
    const { connectionId, ...rest } = await post(hub, "").json();
    expect(rest).not.toHaveProperty("connectionToken");
    expect(get(hub, `?id=${connectionId}`).status).toBe(200);
  });

  test("tells an impossible version with status 200", async () => {
    const response = post(setUp(), "?NegotiateVersion=x");
    expect(await response.json()).toEqual({
      error: "The client requested a non-integer protocol version.",
    });
  });

  test("counts towards the bound until the id is forgotten", () => {
    const hub = setUp({ maxConnections: 2 });
    expect([post(hub), post(hub), post(hub)].map(({ status }) => status)).toEqual([200, 200, 503]);
    expect(get(hub).status).toBe(503);
    clock.advance(16_000);
    expect(post(hub).status).toBe(200);
  });
});

describe("a request for a connection", () => {
  const sse = { accept: "text/event-stream" };

  test("is refused as ASP.NET Core refuses it", async () => {
    const hub = setUp();
    const { connectionToken: id } = await post(hub).json();
    const refused = async (response: Response): Promise<[number, string]> => [
      response.status,
      await response.text(),
    ];
    expect(await refused(get(hub, "", {}))).toEqual([400, "Connection ID required"]);
    expect(await refused(get(hub, "?id=x"))).toEqual([404, "No Connection with that ID"]);
    expect(await refused(get(hub, `?id=${id}&id=${id}`))).toEqual([
      404,
      "No Connection with that ID",
    ]);
    const unsupported = "transport not supported by this end point type";
    expect(await refused(get(hub, `?id=${id}`, {}))).toEqual([404, `LongPolling ${unsupported}`]);
    expect(await refused(get(hub, `?id=${id}`, sse))).toEqual([
      404,
      `ServerSentEvents ${unsupported}`,
    ]);
    expect(get(hub, `?ID=${id}`).status).toBe(200);
    expect(await refused(get(hub, `?id=${id}`))).toEqual([409, ""]);
    const deletion = new Request(`${URL_OF_HUB}?id=${id}`, { method: "DELETE" });
    expect(hub.connect(deletion, () => new Response()).status).toBe(405);
    expect(hub.negotiate(new Request(URL_OF_HUB)).status).toBe(405);
  });

  test("takes an id once, also after its connection has ended", async () => {
    const hub = setUp();
    const { connectionToken } = await post(hub).json();
    const client = connect(hub, { query: `?id=${connectionToken}` });
    client.send({ protocol: "json", version: 1 });
    expect(client.take()).toEqual(["{}"]);
    client.leave();
    expect(get(hub, `?id=${connectionToken}`).status).toBe(404);
  });

  test("with an id that nobody claimed in 15 s is too late", async () => {
    const hub = setUp();
    const { connectionToken } = await post(hub).json();
    clock.advance(14_000);
    expect(get(hub, `?id=${connectionToken}`, {}).statusText).toBe("");
    clock.advance(2_000);
    expect(get(hub, `?id=${connectionToken}`).status).toBe(404);
  });
});

describe("the handshake", () => {
  test.each([
    ['{"protocol":"JSON","version":0}', "{}"],
    ['{"protocol":"xml","version":1}', `{"error":"The protocol 'xml' is not supported."}`],
    [
      '{"protocol":"json","version":3}',
      `{"error":"The server does not support version 3 of the 'json' protocol."}`,
    ],
    ["nonsense", '{"error":"An unexpected error occurred during connection handshake."}'],
    ["x".repeat(32_768), '{"error":"Handshake was canceled."}'],
  ])("case %# is answered as ASP.NET Core answers it", (request, answer) => {
    const client = connect(setUp());
    client.send(request);
    expect(client.take()).toEqual([answer]);
    expect(client.closed).toBe(answer === "{}" ? undefined : 1000);
  });

  test("must come within 15 s", () => {
    const client = connect(setUp());
    clock.advance(15_200);
    expect(client.take()).toEqual(['{"error":"Handshake was canceled."}']);
    expect(client.closed).toBe(1000);
  });

  test("makes a connection count", () => {
    const hub = setUp();
    connect(hub);
    expect(hub.stats().connections).toBe(0);
    const client = join(hub);
    expect(hub.stats()).toMatchObject({ connections: 1, connectionsTotal: 1 });
    client.leave();
    expect(hub.stats()).toMatchObject({ connections: 0, connectionsTotal: 1 });
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
  ])("of type %i, %s(%j), fails", (type, target, args, error) => {
    const client = join(setUp());
    client.send({ type, invocationId: "7", target, arguments: args });
    expect(client.take()).toEqual([JSON.stringify({ type: 3, invocationId: "7", error })]);
    // An error is of the invocation only.
    expect(invoke<HubStats>(client, "Stats").connections).toBe(1);
  });

  test("with an upload stream fails", () => {
    const client = join(setUp());
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

  test("without an id runs and is not answered", () => {
    const hub = setUp();
    const client = join(hub);
    client.send({ type: 1, target: "JoinMatch", arguments: [3] });
    client.send({ type: 1, target: "JoinMatch", arguments: [99] });
    client.send({ type: 1, target: "Nope", arguments: [] });
    expect(client.take()).toEqual([]);
    expect(hub.stats().joins).toEqual({ 3: 1 });
  });

  test("of a method without a result is answered null", () => {
    const client = join(setUp());
    client.send({ type: 1, invocationId: "0", target: "joinMATCH", arguments: [1] });
    expect(client.take()).toEqual(['{"type":3,"invocationId":"0","result":null}']);
  });

  test("of a whole frame are answered in order", () => {
    const client = join(setUp());
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

  test("counts by the declared name once it is bound", () => {
    const hub = setUp();
    const client = join(hub);
    invoke(client, "STATS");
    client.send({ type: 1, target: "GetMatch", arguments: ["x"] });
    client.send({ type: 1, target: "GetMatch", arguments: [99] });
    expect(hub.stats().calls).toEqual({ Stats: 1, GetMatch: 1 });
  });
});

describe("a bet", () => {
  test("is taken at the price of now only, and not while the market is suspended", () => {
    const client = join(setUp());
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
  test("gets its pushes, numbered, and nobody else does", () => {
    const hub = setUp();
    const [watcher, other, idle] = [join(hub), join(hub), join(hub)];
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

  test("is left by leaving it, and by leaving altogether", () => {
    const hub = setUp();
    const [one, two] = [join(hub), join(hub)];
    for (const client of [one, two]) invoke(client, "JoinMatch", 5);
    invoke(one, "LeaveMatch", 5);
    invoke(one, "LeaveMatch", 99);
    two.leave();
    hub.publish(5, 1);
    expect(one.take()).toEqual([]);
    expect(two.take()).toEqual([]);
    expect(hub.stats()).toMatchObject({ connections: 1, leavesTotal: 2 });
  });

  test("is told prices a step apart, of which GetMatch knows the last", () => {
    const hub = setUp();
    const client = join(hub);
    const priceOf = ({ selections }: Pick<Market, "selections">): number => selections[0]!.price;
    const before = priceOf(invoke<MatchState>(client, "GetMatch", 2).markets[0]!);
    invoke(client, "JoinMatch", 2);
    hub.publish(2, 3);
    const pushes = client.messages<{ arguments: [OddsChanged] }>();
    const prices = pushes.map(({ arguments: [odds] }) => priceOf(odds));
    expect(prices).toEqual([1, 2, 3].map((steps) => Math.round(before * 100 + steps) / 100));
    expect(priceOf(invoke<MatchState>(client, "GetMatch", 2).markets[0]!)).toBe(prices[2]);
  });

  test("of many gets a push that was written once", () => {
    let printed = 0;
    const protocol: typeof jsonProtocol = {
      ...jsonProtocol,
      print(message) {
        if (message.type === "invocation") printed++;
        return jsonProtocol.print(message);
      },
    };
    const hub = setUp({ protocols: [protocol] });
    const clients = Array.from({ length: 50 }, () => join(hub));
    for (const client of clients) invoke(client, "JoinMatch", 1);
    hub.publish(1, 4);
    expect(clients.map((client) => client.take().length)).toEqual(Array(50).fill(4));
    expect(printed).toBe(4);
  });

  test("loses a member that does not read, and goes on", () => {
    const hub = setUp();
    const [slow, quick] = [join(hub, { stuck: true }), join(hub)];
    for (const client of [slow, quick]) invoke(client, "JoinMatch", 1);
    for (let i = 0; i < 5; i++) hub.publish(1, 10_000);
    expect(slow.closed).toBe(1000);
    expect(slow.take().at(-1)).toBe(CLOSED);
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

  test("streams its lines until it is cancelled", () => {
    const hub = setUp({ speed: 60 });
    const client = join(hub);
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

  test("that is cancelled in the frame that opens it just completes", () => {
    const hub = setUp({ speed: 60 });
    const client = join(hub);
    client.send(open("1"), { type: 5, invocationId: "1" });
    clock.advance(5_000);
    const messages = client.messages().filter(({ type }) => type !== 6 && type !== 1);
    expect(messages).toEqual([{ type: 3, invocationId: "1" }]);
  });

  test("cannot be opened under an id that is in use, nor without end", () => {
    const hub = setUp();
    const client = join(hub);
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
  test("is pinged every 15 s", () => {
    const client = join(setUp());
    clock.advance(150_000);
    const pings = client.take();
    expect(new Set(pings)).toEqual(new Set(['{"type":6}']));
    expect(pings.length).toBeGreaterThanOrEqual(9);
    expect(pings.length).toBeLessThanOrEqual(11);
  });

  test("that has pinged once must go on", () => {
    const client = join(setUp());
    clock.advance(60_000);
    expect(client.closed).toBeUndefined();
    client.send({ type: 6 });
    clock.advance(20_000);
    client.send({ type: 6 });
    clock.advance(29_000);
    expect(client.closed).toBeUndefined();
    clock.advance(1_500);
    expect(client.take().at(-1)).toBe(CLOSED);
    expect(client.closed).toBe(1000);
  });

  test.each([
    ["no type", "{}"],
    ["no object", "[]"],
    ["more than 32 KiB", "x".repeat(32_768)],
    ["a call without arguments", '{"type":1,"target":"Stats"}'],
  ])("that sends %s is ended", (_, record) => {
    const hub = setUp();
    const client = join(hub);
    client.send(record);
    expect(client.take()).toEqual([CLOSED]);
    expect(client.closed).toBe(1000);
    expect(hub.stats().connections).toBe(0);
    client.send({ type: 1, invocationId: "1", target: "Stats", arguments: [] });
    expect(client.take()).toEqual([]);
  });

  test("that says goodbye is answered", () => {
    const client = join(setUp());
    client.send({ type: 7 }, { type: 1, invocationId: "1", target: "Stats", arguments: [] });
    expect(client.take()).toEqual(['{"type":7}']);
    expect(client.closed).toBe(1000);
  });

  test("is invited to come back when the hub stops, which then takes nobody", () => {
    const hub = setUp({ speed: 60 });
    const [client, early] = [join(hub), connect(hub)];
    invoke(client, "JoinMatch", 1);
    hub.stop();
    expect(client.take()).toEqual(['{"type":7,"allowReconnect":true}']);
    expect([client.closed, early.closed]).toEqual([1000, 1000]);
    expect(early.take()).toEqual([]);
    expect([post(hub).status, get(hub).status]).toEqual([503, 503]);
    clock.advance(60_000);
    expect(client.take()).toEqual([]);
    expect(hub.stats().connections).toBe(0);
    expect(hub.stats().pushes).toEqual({});
  });

  test("whose upgrade ends after the hub has stopped is closed", () => {
    const hub = setUp();
    let open: () => void = () => {};
    let closed: number | undefined;
    const socket: Socket = {
      send: () => true,
      bufferedBytes: 0,
      close(code) {
        closed = code;
      },
    };
    const request = new Request(URL_OF_HUB, { headers: { upgrade: "websocket" } });
    hub.connect(request, (accept) => {
      open = () => accept(socket);
      return new Response();
    });
    hub.stop();
    open();
    expect(closed).toBe(1000);
  });
});

describe("time", () => {
  test("passes at its speed, and a watcher's replay is the state of GetMatch", () => {
    const hub = setUp({ speed: 60 });
    const client = join(hub);
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

  async function start(options: Partial<DemoHubOptions> = {}) {
    const hub = createDemoHub({ clock: systemClock, seed: 1, speed: 0, ...options });
    const served = await serve(hub);
    const connection = new HubConnectionBuilder()
      .withUrl(served.url)
      .withAutomaticReconnect([60_000])
      .configureLogging(LogLevel.None)
      .build();
    ends.push(
      () => served.close(),
      () => hub.stop(),
      () => connection.stop(),
    );
    await connection.start();
    return { hub, connection };
  }

  test("joins, asks and gets every push in order", async () => {
    const { hub, connection } = await start();
    const sequences: number[] = [];
    const all = new Promise<void>((resolve) => {
      connection.on("OddsChanged", ({ sequence }: { sequence: number }) => {
        if (sequences.push(sequence) === 1000) resolve();
      });
    });
    const state: MatchState = await connection.invoke("GetMatch", 4);
    expect(state.matchId).toBe(4);
    expect(await connection.invoke("JoinMatch", 4)).toBeNull();
    hub.publish(4, 1000);
    await all;
    expect(sequences).toEqual(Array.from({ length: 1000 }, (_, index) => index + 1));
    expect(await connection.invoke("Stats")).toEqual(hub.stats());
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

  test("sets out to reconnect when the hub stops", async () => {
    const { hub, connection } = await start();
    const reconnecting = new Promise<Error | undefined>((resolve) => {
      connection.onreconnecting(resolve);
    });
    hub.stop();
    await reconnecting;
    expect(connection.state).toBe(HubConnectionState.Reconnecting);
  });
});
