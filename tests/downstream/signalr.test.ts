import { describe, expect, test } from "vitest";
import { createHubReceiver } from "../../lib/downstream/hub.ts";
import { PROTOCOLS } from "../../lib/downstream/hub-format.ts";
import { serveSignalR } from "../../lib/downstream/signalr.ts";
import type { Lane, LaneListener } from "../../lib/upstream/private.ts";
import { createSetting, type Setting } from "../support/context.ts";
import { createSink } from "../support/sink.ts";

const RS = "\u001e";

function setUp(options: Parameters<typeof createSetting>[1] = {}): Setting {
  return createSetting(
    {
      "match/{id}": {
        params: { id: { type: "integer", min: 1, max: 100 } },
        join: { method: "JoinMatch", args: ["{id}"] },
        leave: { method: "LeaveMatch", args: ["{id}"] },
        events: { Odds: "match/{0.id}" },
      },
      "ticker/{sport}": { stream: { method: "Ticker", args: ["{sport}"] } },
      news: { events: { News: "news" } },
    },
    { calls: { GetMatch: { share: true, ttlMs: 250 }, Secret: "deny" }, ...options },
  );
}

/** A private lane that keeps what is passed to it. */
function createLane() {
  const passed: unknown[] = [];
  let listener: LaneListener | undefined;
  const lane: Lane & { closed: boolean; passed: unknown[]; readonly listener: LaneListener } = {
    passed,
    closed: false,
    isOpen: true,
    /** Who is told what comes over it. */
    get listener() {
      if (!listener) throw new Error("Nobody listens");
      return listener;
    },
    listen(client) {
      listener = client;
    },
    open: async () => {},
    pass(framed) {
      passed.push(framed);
      return true;
    },
    close() {
      lane.closed = true;
    },
  };
  return lane;
}

/** A client of the JSON hub protocol, after its handshake. */
function connect(setting: Setting, lane?: Lane) {
  const { context, relay } = setting;
  const [hub] = relay.hubs.values();
  if (!hub) throw new Error("The relay has one");
  const sink = createSink();
  let isClosed = false;
  const receiver = createHubReceiver(
    {
      transport: {
        kind: "websocket",
        sink,
        wrap: (messages) => messages,
        close() {
          isClosed = true;
        },
      },
      serving: { open: (connection) => serveSignalR(context, hub, lane, connection) },
    },
    {
      protocols: Object.values(PROTOCOLS),
      wheel: context.wheel,
      now: context.clock.now,
      limits: {
        handshakeTimeoutMs: 15_000,
        keepAliveMs: 15_000,
        clientTimeoutMs: 30_000,
        messageBytes: 32_768,
      },
    },
  );
  receiver.receive(`{"protocol":"json","version":1}${RS}`);
  sink.take();
  return {
    sink,
    receiver,
    get isClosed() {
      return isClosed;
    },
    send(...messages: readonly (object | string)[]) {
      const records = messages.map((message) =>
        typeof message === "string" ? message : JSON.stringify(message),
      );
      receiver.receive(records.map((record) => record + RS).join(""));
    },
    /** Records since the last time, after everything has happened. */
    async take(): Promise<string[]> {
      await setting.settle();
      return sink.take().flatMap((frame) => frame.split(RS).slice(0, -1));
    },
  };
}

const invoke = (invocationId: string, target: string, ...args: unknown[]) => ({
  type: 1,
  invocationId,
  target,
  arguments: args,
});
const stream = (invocationId: string, target: string, ...args: unknown[]) => ({
  ...invoke(invocationId, target, ...args),
  type: 4,
});
const failed = (invocationId: string, error: string) =>
  JSON.stringify({ type: 3, invocationId, error });
const missing = (target: string) =>
  `Failed to invoke '${target}' due to an error on the server. HubException: Method does not exist.`;

describe("joining", () => {
  test("is answered as the origin answered, and brings what is pushed as it was written", async () => {
    const setting = setUp();
    const client = connect(setting);
    client.send(invoke("7", "joinmatch", 42));
    expect(await client.take()).toEqual([]);
    setting.source.accept("match/42", '{"ok":1.0}');
    expect(await client.take()).toEqual(['{"type":3,"invocationId":"7","result":{"ok":1.0}}']);
    setting.source.pushRaw("Odds", '[{"id":42,"price":2.10}, "x"]');
    setting.source.pushRaw("Odds", '[{"id":43}]');
    expect(await client.take()).toEqual([
      '{"type":1,"target":"Odds","arguments":[{"id":42,"price":2.10}, "x"]}',
    ]);
  });

  test("of many is asked of the origin once, and each is answered", async () => {
    const setting = setUp();
    const clients = [connect(setting), connect(setting), connect(setting)];
    setting.source.take();
    for (const client of clients) client.send(invoke("1", "JoinMatch", 42));
    expect(setting.source.take()).toEqual(["join match/42"]);
    setting.source.accept("match/42", "null");
    for (const client of clients) {
      expect(await client.take()).toEqual(['{"type":3,"invocationId":"1","result":null}']);
    }
  });

  test("without an invocation id joins without an answer", async () => {
    const setting = setUp();
    const client = connect(setting);
    client.send('{"type":1,"target":"JoinMatch","arguments":[42]}');
    setting.source.accept("match/42", "null");
    expect(await client.take()).toEqual([]);
    setting.source.push("Odds", { id: 42 });
    expect(await client.take()).toHaveLength(1);
  });

  test("that the origin refuses says so in its words", async () => {
    const setting = setUp();
    const client = connect(setting);
    client.send(invoke("1", "JoinMatch", 42));
    setting.source.end("match/42", "rejected", "An unexpected error occurred. HubException: no");
    expect(await client.take()).toEqual([
      failed("1", "An unexpected error occurred. HubException: no"),
    ]);
  });

  test("that cannot be done says so in words like the origin's", async () => {
    const setting = setUp({ openTimeoutMs: 1_000 });
    const client = connect(setting);
    client.send(...[1, 2, 3, 4].map((id) => invoke(`${id}`, "JoinMatch", id)));
    const [error] = await client.take();
    expect(JSON.parse(error!)).toMatchObject({
      type: 3,
      error: expect.stringMatching(
        /^An unexpected error occurred invoking 'JoinMatch' on the server\. HubException: A connection may have/,
      ),
    });
    setting.clock.advance(1_000);
    const late = await client.take();
    expect(late.length).toBeGreaterThan(0);
    for (const record of late) expect(record).toMatch(/HubException: The origin did not accept/);
  });

  test("with a value that is not allowed is no join", async () => {
    const setting = setUp();
    const client = connect(setting);
    for (const value of [0, 101, 1.5, "42", null, { id: 42 }]) {
      client.send(invoke("1", "JoinMatch", value));
      expect(await client.take()).toEqual([failed("1", missing("JoinMatch"))]);
    }
    client.send(invoke("1", "JoinMatch"), invoke("2", "JoinMatch", 42, 43));
    expect(await client.take()).toHaveLength(2);
    expect(setting.source.wanted.has("match/42")).toBe(false);
  });

  test("is undone by leaving", async () => {
    const setting = setUp();
    const client = connect(setting);
    client.send(invoke("1", "JoinMatch", 42));
    setting.source.accept("match/42", "null");
    await client.take();
    setting.source.push("Odds", { id: 42 });
    client.send(invoke("2", "LeaveMatch", 42));
    setting.source.push("Odds", { id: 42 });
    expect(await client.take()).toEqual([
      '{"type":1,"target":"Odds","arguments":[{"id":42}]}',
      '{"type":3,"invocationId":"2","result":null}',
    ]);
    setting.clock.advance(5_000);
    expect(setting.source.wanted.has("match/42")).toBe(false);
  });

  test("survives the origin's absence, and brings every publication as it comes", async () => {
    const setting = setUp();
    const client = connect(setting);
    client.send(invoke("1", "JoinMatch", 42));
    setting.source.accept("match/42", "null");
    await client.take();
    setting.source.drop();
    setting.source.connect();
    setting.source.push("Odds", { id: 42, n: 1 });
    setting.source.accept("match/42", "null");
    setting.source.push("Odds", { id: 42, n: 2 });
    expect(await client.take()).toEqual([
      '{"type":1,"target":"Odds","arguments":[{"id":42,"n":1}]}',
      '{"type":1,"target":"Odds","arguments":[{"id":42,"n":2}]}',
    ]);
  });
});

test("what is pushed to everybody comes without being asked for", async () => {
  const setting = setUp();
  const client = connect(setting);
  setting.source.accept("news", undefined);
  setting.source.push("News", "rain");
  expect(await client.take()).toEqual(['{"type":1,"target":"News","arguments":["rain"]}']);
});

describe("a stream", () => {
  test("brings items under the client's own id, and ends with the origin's", async () => {
    const setting = setUp();
    const [one, two] = [connect(setting), connect(setting)];
    one.send(stream("5", "Ticker", "tennis"));
    two.send(stream("9", "ticker", "tennis"));
    setting.source.accept("ticker/tennis", undefined);
    await setting.settle();
    setting.source.item("ticker/tennis", { n: 1 });
    expect(await one.take()).toEqual(['{"type":2,"invocationId":"5","item":{"n":1}}']);
    expect(await two.take()).toEqual(['{"type":2,"invocationId":"9","item":{"n":1}}']);
    setting.source.end("ticker/tennis", "ended");
    expect(await one.take()).toEqual(['{"type":3,"invocationId":"5"}']);
    expect(await two.take()).toEqual(['{"type":3,"invocationId":"9"}']);
    one.send({ type: 5, invocationId: "5" });
    expect(await one.take()).toEqual([]);
  });

  test("that fails says so in the origin's words", async () => {
    const setting = setUp();
    const client = connect(setting);
    client.send(stream("5", "Ticker", "tennis"));
    setting.source.end("ticker/tennis", "rejected", "No such sport");
    expect(await client.take()).toEqual([failed("5", "No such sport")]);
  });

  test("is completed when the client cancels it, also at once", async () => {
    const setting = setUp();
    const client = connect(setting);
    client.send(stream("5", "Ticker", "tennis"), { type: 5, invocationId: "5" });
    setting.source.accept("ticker/tennis", undefined);
    setting.source.item("ticker/tennis", 1);
    expect(await client.take()).toEqual(['{"type":3,"invocationId":"5"}']);
    client.send({ type: 5, invocationId: "8" });
    expect(await client.take()).toEqual([]);
    setting.clock.advance(5_000);
    expect(setting.source.wanted.has("ticker/tennis")).toBe(false);
  });

  test("needs an id of its own", async () => {
    const setting = setUp();
    const client = connect(setting);
    client.send(stream("5", "Ticker", "tennis"), stream("5", "Ticker", "golf"));
    expect(await client.take()).toEqual([failed("5", "Invocation ID '5' is already in use.")]);
    setting.source.accept("ticker/tennis", undefined);
    await setting.settle();
    setting.source.item("ticker/tennis", 1);
    expect(await client.take()).toEqual(['{"type":2,"invocationId":"5","item":1}']);
  });

  test("cannot be had by a plain invocation", async () => {
    const client = connect(setUp());
    client.send(invoke("1", "Ticker", "tennis"));
    expect(await client.take()).toEqual([
      failed(
        "1",
        "The client attempted to invoke the streaming 'Ticker' method with a non-streaming invocation.",
      ),
    ]);
  });
});

describe("a shared call", () => {
  test("of many is one of the origin", async () => {
    const setting = setUp();
    const clients = [connect(setting), connect(setting)];
    for (const client of clients) client.send(invoke("3", "getMatch", 42));
    await setting.settle();
    expect(setting.source.questions.map(({ call }) => call)).toEqual(["getMatch[42]"]);
    setting.source.questions[0]?.answer('{"price":2.10}');
    for (const client of clients) {
      expect(await client.take()).toEqual([
        '{"type":3,"invocationId":"3","result":{"price":2.10}}',
      ]);
    }
    expect(setting.stats.sharedCalls).toBe(2);
  });

  test("fails in the origin's words, and in words like them when it is away", async () => {
    const setting = setUp();
    const client = connect(setting);
    client.send(invoke("1", "GetMatch", 42));
    await setting.settle();
    setting.source.questions[0]?.refuse("No such match");
    expect(await client.take()).toEqual([failed("1", "No such match")]);
    setting.source.drop();
    client.send(invoke("2", "GetMatch", 42));
    expect(await client.take()).toEqual([
      failed(
        "2",
        "An unexpected error occurred invoking 'GetMatch' on the server. HubException: The origin is away",
      ),
    ]);
  });
});

describe("what is not declared", () => {
  test("is answered like an unknown method where there is no private lane", async () => {
    const setting = setUp();
    const client = connect(setting);
    client.send(invoke("1", "PlaceBet", 1), stream("2", "Bets"), invoke("3", "Secret"));
    expect(await client.take()).toEqual([
      failed("1", missing("PlaceBet")),
      failed("2", missing("Bets")),
      failed("3", missing("Secret")),
    ]);
    client.send('{"type":1,"target":"PlaceBet","arguments":[]}');
    expect(await client.take()).toEqual([]);
    expect(client.isClosed).toBe(false);
  });

  test("goes over the private lane as it came, and so do its answers", async () => {
    const setting = setUp();
    const lane = createLane();
    const client = connect(setting, lane);
    const records = [
      '{"type":1,"invocationId":"1","target":"PlaceBet","arguments":[ 1.0 ]}',
      '{"arguments":[],"target":"Bets","type":4,"invocationId":"2"}',
      '{"type":2,"invocationId":"u","item":1.50}',
      '{"type":3,"invocationId":"s1","result":true}',
      '{"type":5,"invocationId":"2"}',
    ];
    client.send(...records, invoke("9", "Secret"));
    expect(lane.passed).toEqual(records.map((record) => record + RS));
    expect(await client.take()).toEqual([failed("9", missing("Secret"))]);
    const answer = '{"type":3,"invocationId":"1","result":{ "odds":2.10 }}';
    lane.listener.onLaneMessage({ type: "completion", invocationId: "1", result: "{}" }, answer);
    expect(await client.take()).toEqual([answer]);
  });

  test("is pushed over one lane only, when it comes over both", async () => {
    const setting = setUp();
    const lane = createLane();
    const client = connect(setting, lane);
    const push = {
      type: "invocation",
      target: "Odds",
      arguments: "[]",
      values: [{ id: 42 }],
    } as const;
    const record = '{"type":1,"target":"Odds","arguments":[{"id":42}]}';
    lane.listener.onLaneMessage(push, record);
    expect(await client.take()).toEqual([record]);
    client.send(invoke("1", "JoinMatch", 42));
    setting.source.accept("match/42", "null");
    await client.take();
    lane.listener.onLaneMessage(push, record);
    setting.source.push("Odds", { id: 42 });
    expect(await client.take()).toEqual([record]);
  });

  test("ends with the private lane", async () => {
    const setting = setUp();
    const [lane, otherLane] = [createLane(), createLane()];
    const [client, other] = [connect(setting, lane), connect(setting, otherLane)];
    lane.listener.onLaneEnd({ error: "Bye", allowReconnect: true });
    expect(await client.take()).toEqual(['{"type":7,"error":"Bye","allowReconnect":true}']);
    otherLane.listener.onLaneEnd(undefined);
    expect(await other.take()).toEqual([]);
    expect(client.isClosed && other.isClosed).toBe(true);
  });

  test("fails when the private lane cannot be opened", async () => {
    const lane = createLane();
    const client = connect(setUp(), lane);
    lane.listener.onLaneRefused(["1", "2"], "no route");
    expect(await client.take()).toEqual([
      failed("1", "The origin cannot be reached: no route"),
      failed("2", "The origin cannot be reached: no route"),
    ]);
  });
});

describe("the end", () => {
  test("of the connection leaves all topics, and the private lane", async () => {
    const setting = setUp();
    const lane = createLane();
    const client = connect(setting, lane);
    client.send(invoke("1", "JoinMatch", 42), stream("2", "Ticker", "tennis"));
    client.receiver.gone();
    expect(lane.closed).toBe(true);
    setting.clock.advance(5_000);
    expect(setting.source.wanted.size).toBe(0);
    expect(await client.take()).toEqual([]);
  });

  test("comes to a client that does not keep up, with an invitation to come back", async () => {
    const setting = setUp();
    const client = connect(setting);
    client.send(invoke("1", "JoinMatch", 42));
    setting.source.accept("match/42", "null");
    await client.take();
    client.sink.bufferedBytes = 10_001;
    setting.source.push("Odds", { id: 42 });
    const records = await client.take();
    expect(records.at(-1)).toBe('{"type":7,"error":"Too slow","allowReconnect":true}');
    expect(client.isClosed).toBe(true);
    expect(setting.stats.slowDisconnects).toBe(1);
    setting.clock.advance(5_000);
    expect(setting.source.wanted.size).toBe(0);
  });

  // Nothing is published, so that nobody looked; and each answer was one more to wait.
  test("comes to a client that does not keep up with its answers", async () => {
    const setting = setUp();
    const client = connect(setting);
    let waiting = 0;
    for (let i = 0; i < 10_000 && !client.isClosed; i++) {
      client.send(invoke(`${i}`, "Unknown"));
      waiting += client.sink.take().join("").length;
      client.sink.bufferedBytes = waiting;
    }
    expect(client.isClosed).toBe(true);
    expect(waiting).toBeLessThan(20_000);
  });

  test("of the connection, whatever its messages hold, is not the end of the relay", async () => {
    const setting = setUp();
    const deep = `${"[".repeat(15_000)}${"]".repeat(15_000)}`;
    for (const target of ["GetMatch", "JoinMatch", "Ticker", "Unknown"]) {
      for (const type of [1, 4]) {
        const client = connect(setting);
        client.send(
          `{"type":${type},"invocationId":"1","target":"${target}","arguments":[${deep}]}`,
        );
        expect((await client.take()).length).toBe(1);
      }
    }
  });
});
