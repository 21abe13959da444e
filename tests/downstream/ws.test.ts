import { describe, expect, test } from "vitest";
import { acceptWebSocket } from "../../lib/downstream/ws.ts";
import type { Frame } from "../../lib/socket.ts";
import { createSetting, type Setting } from "../support/context.ts";
import { createSocket, type FakeSocket } from "../support/fake-socket.ts";

const EPOCH = "iiiiiiii";

function setUp(options: Parameters<typeof createSetting>[1] = {}): Setting {
  return createSetting(
    {
      "match/{id}": {
        params: { id: { type: "integer", min: 1, max: 100 } },
        join: { method: "Join", args: ["{id}"] },
        events: { Odds: "match/{0.id}", Score: "match/{0}" },
        key: { Odds: "{0.market}" },
        snapshot: { method: "GetMatch", args: ["{id}"] },
        history: { size: 10 },
      },
      "ticker/{sport}": { stream: { method: "Ticker", args: ["{sport}"] } },
    },
    options,
  );
}

function connect({ context }: Setting, options?: Parameters<typeof acceptWebSocket>[2]) {
  const socket = createSocket();
  const session = acceptWebSocket(context, socket, options);
  return {
    socket,
    receive: (frame: Frame) => session.message(frame),
    gone: () => session.close(1006, ""),
    send: (value: object) => session.message(JSON.stringify(value)),
    /** Messages since the last time. */
    take: (): unknown[] =>
      socket.take().flatMap((frame) => frame.split("\n").map((line) => JSON.parse(line))),
  };
}

type Client = ReturnType<typeof connect>;

/** Lets the origin accept a topic, with a snapshot. */
async function accept({ source, settle }: Setting, topic: string): Promise<void> {
  source.accept(topic, "null");
  source.questions[0]?.answer('{"score":[1,0]}');
  await settle();
}

async function subscribe(setting: Setting, ...topics: string[]): Promise<Client> {
  const client = connect(setting);
  client.send({ type: "subscribe", topics });
  for (const topic of topics) {
    if (setting.source.wanted.get(topic)?.state !== "live") await accept(setting, topic);
  }
  client.take();
  return client;
}

describe("subscribing", () => {
  test("begins with the state, and goes on with what comes", async () => {
    const setting = setUp();
    const { send, take, socket } = connect(setting);
    send({ type: "subscribe", id: 1, topics: ["match/42"] });
    await accept(setting, "match/42");
    expect(take()).toEqual([
      { type: "reset", topic: "match/42", reason: "new", snapshot: { score: [1, 0] } },
      {
        type: "subscribed",
        topic: "match/42",
        position: `${EPOCH}:1`,
        recovered: false,
        state: "live",
      },
    ]);
    setting.source.push("Odds", { id: 42, market: "1x2", price: 2.1 });
    setting.source.push("Score", 42, [2, 0]);
    setting.clock.settle();
    expect(socket.frames).toHaveLength(1);
    expect(take()).toEqual([
      {
        type: "publication",
        topic: "match/42",
        position: `${EPOCH}:2`,
        event: "Odds",
        data: { id: 42, market: "1x2", price: 2.1 },
      },
      {
        type: "publication",
        topic: "match/42",
        position: `${EPOCH}:3`,
        event: "Score",
        data: [42, [2, 0]],
      },
    ]);
  });

  test("from a position brings what was missed", async () => {
    const setting = setUp();
    await subscribe(setting, "match/42");
    setting.source.push("Odds", { id: 42 });
    const { send, take } = connect(setting);
    send({ type: "subscribe", topics: [{ topic: "match/42", since: `${EPOCH}:1` }] });
    expect(take()).toEqual([
      {
        type: "publication",
        topic: "match/42",
        position: `${EPOCH}:2`,
        event: "Odds",
        data: { id: 42 },
      },
      {
        type: "subscribed",
        topic: "match/42",
        position: `${EPOCH}:2`,
        recovered: true,
        state: "live",
      },
    ]);
  });

  test.each([
    ["x", "invalid"],
    ["00000000:1", "epoch"],
  ])("from %s is a reset that says %s", async (since, reason) => {
    const setting = setUp();
    await subscribe(setting, "match/42");
    const { send, take } = connect(setting);
    send({ type: "subscribe", topics: [{ topic: "match/42", since }] });
    expect(take()[0]).toMatchObject({ type: "reset", reason });
  });

  test("shows the newest of each key without a position", async () => {
    const setting = setUp();
    await subscribe(setting, "match/42");
    setting.source.push("Odds", { id: 42, market: "1x2" });
    const { send, take } = connect(setting);
    send({ type: "subscribe", topics: ["match/42"] });
    expect(take()[1]).toEqual({
      type: "publication",
      topic: "match/42",
      event: "Odds",
      data: { id: 42, market: "1x2" },
    });
  });

  test("tells when the origin goes and comes back", async () => {
    const setting = setUp();
    const { take } = await subscribe(setting, "match/42");
    setting.source.push("Odds", { id: 42 });
    setting.source.drop();
    setting.clock.settle();
    const lastMessageAt = setting.clock.now();
    expect(take()[1]).toEqual({ type: "stale", topic: "match/42", lastMessageAt });
    setting.source.connect();
    await accept(setting, "match/42");
    expect(take()).toEqual([
      { type: "reset", topic: "match/42", reason: "break", snapshot: { score: [1, 0] } },
      { type: "live", topic: "match/42", position: `${EPOCH}:3` },
    ]);
  });

  test("ends when the origin says so", async () => {
    const setting = setUp();
    const { send, take } = await subscribe(setting, "ticker/tennis");
    send({ type: "subscribe", topics: ["match/7"] });
    setting.source.end("match/7", "rejected", "No such match");
    setting.source.end("ticker/tennis", "ended");
    await setting.settle();
    expect(take()).toEqual(
      expect.arrayContaining([
        { type: "unsubscribed", topic: "ticker/tennis", reason: "ended" },
        { type: "unsubscribed", topic: "match/7", reason: "rejected", error: "No such match" },
      ]),
    );
    send({ type: "unsubscribe", topics: ["match/7"] });
    expect(take()).toMatchObject([{ type: "error", code: "not_subscribed" }]);
  });

  test("whatever the origin's JSON looks like, a message is a line", async () => {
    const setting = setUp();
    const { socket } = await subscribe(setting, "match/42");
    setting.source.pushRaw("Odds", JSON.stringify([{ id: 42 }], undefined, 2));
    setting.clock.settle();
    expect(socket.take().map((frame) => JSON.parse(frame))).toMatchObject([{ data: { id: 42 } }]);
  });
});

describe("unsubscribing", () => {
  test("is answered for each topic, after what was due", async () => {
    const setting = setUp();
    const { send, take } = await subscribe(setting, "match/1", "match/2");
    setting.source.push("Odds", { id: 1 });
    send({ type: "unsubscribe", topics: ["match/1", "match/2"] });
    setting.source.push("Odds", { id: 1 });
    setting.clock.settle();
    expect(take()).toEqual([
      expect.objectContaining({ type: "publication" }),
      { type: "unsubscribed", topic: "match/1", reason: "requested" },
      { type: "unsubscribed", topic: "match/2", reason: "requested" },
    ]);
  });

  test("of what is not subscribed is refused, and nothing of it done", async () => {
    const setting = setUp();
    const { send, take } = await subscribe(setting, "match/1");
    send({ type: "unsubscribe", id: "u", topics: ["match/1", "match/2"] });
    expect(take()).toEqual([
      {
        type: "error",
        id: "u",
        code: "not_subscribed",
        message: 'Not subscribed to "match/2"',
        topic: "match/2",
      },
    ]);
    setting.source.push("Odds", { id: 1 });
    setting.clock.settle();
    expect(take()).toHaveLength(1);
  });
});

describe("a request that is refused", () => {
  test.each([
    [{ type: "subscribe", id: 5, topics: ["match/1", "nothing"] }, "unknown_topic", "nothing"],
    [{ type: "subscribe", id: 5, topics: ["match/1", "match/0"] }, "invalid_topic", "match/0"],
    [{ type: "subscribe", id: 5, topics: ["match/1", "a//b"] }, "invalid_topic", "a//b"],
    [
      { type: "subscribe", id: 5, topics: ["match/1", "match/2", "match/3", "match/4"] },
      "too_many_topics",
      "match/4",
    ],
    [{ type: "subscribe", id: 5, topics: [] }, "invalid_message", undefined],
    [{ type: "publish", id: 5 }, "invalid_message", undefined],
  ])("%j is told with its id, and nothing of it is done", async (message, code, topic) => {
    const setting = setUp();
    const { send, take, socket } = connect(setting);
    send(message);
    expect(take()).toEqual([
      { type: "error", id: 5, code, message: expect.any(String), ...(topic && { topic }) },
    ]);
    expect(socket.closed).toBeUndefined();
    expect(setting.stats.refusals).toBe(1);
    setting.clock.advance(5_000);
    expect(setting.source.wanted.size).toBe(0);
    send({ type: "ping", id: 6 });
    expect(take()).toEqual([{ type: "pong", id: 6 }]);
  });

  test("is one for a hub to which the client has not been admitted", () => {
    const setting = setUp();
    const { send, take } = connect(setting, { hubs: new Set() });
    send({ type: "subscribe", id: 5, topics: ["match/1"] });
    expect(take()).toMatchObject([{ type: "error", id: 5, code: "rejected", topic: "match/1" }]);
    expect(setting.source.wanted.size).toBe(0);
  });
});

describe("the connection", () => {
  test("is heard of every heartbeat, whatever else there is", () => {
    const setting = setUp();
    const { take, send } = connect(setting);
    setting.clock.advance(15_000);
    expect(take()).toEqual([{ type: "heartbeat" }]);
    send({ type: "ping" });
    setting.clock.advance(15_000);
    expect(take()).toEqual([{ type: "pong" }, { type: "heartbeat" }]);
  });

  test("is told to come back when the relay leaves", async () => {
    const setting = setUp();
    const { take, socket } = await subscribe(setting, "match/1");
    void setting.context.sessions.drain(3_000);
    setting.clock.advance(25);
    expect(take()).toEqual([{ type: "drain", retryMs: 500 }]);
    expect(socket.closed).toBe("1012 reconnect in 500 ms");
    expectGone(setting, socket);
  });

  test("ends with a binary frame", () => {
    const setting = setUp();
    const { receive, socket } = connect(setting);
    receive(new TextEncoder().encode('{"type":"ping"}'));
    expect(socket.closed).toBe("1003 Binary frames are not part of this protocol");
    expectGone(setting, socket);
  });

  test("ends with a frame of more than its limit, to the byte", () => {
    const setting = setUp();
    const { receive, socket, take } = connect(setting);
    const ping = (bytes: number) => {
      const [head, tail] = ['{"type":"ping","x":"', '"}'];
      const room = bytes - head!.length - tail!.length;
      return `${head}${"é".repeat(room / 2)}${"x".repeat(room % 2)}${tail}`;
    };
    receive(ping(32_768));
    expect(take()).toEqual([{ type: "pong" }]);
    receive(ping(32_769));
    expect(socket.closed).toBe("1009 Message is larger than 32768 bytes");
    expectGone(setting, socket);
  });

  test("ends with a frame that is not JSON, after an error", () => {
    const setting = setUp();
    const { receive, socket, take } = connect(setting);
    receive("hello");
    expect(take()).toEqual([
      {
        type: "error",
        code: "invalid_message",
        message: "Cannot parse message: it is not JSON",
      },
    ]);
    expect(socket.closed).toBe("4400 Cannot parse message");
    expectGone(setting, socket);
  });

  test("ends when it does not keep up with what is published", async () => {
    const setting = setUp();
    const { socket } = await subscribe(setting, "match/1");
    socket.bufferedBytes = 10_001;
    setting.source.push("Odds", { id: 1 });
    setting.clock.settle();
    expect(socket.closed).toBe("4508 Too slow");
    expect(setting.stats.slowDisconnects).toBe(1);
    expectGone(setting, socket);
  });

  // Nothing is published, so that nobody looked; and each request brought more to wait.
  test.each([{ type: "subscribe", topics: ["match/1"] }, { type: "ping" }, { type: "publish" }])(
    "ends when it does not keep up with the answers to %j",
    async (message) => {
      const setting = setUp();
      const { socket, send } = await subscribe(setting, "match/1");
      let waiting = 0;
      for (let i = 0; i < 10_000 && socket.closed === undefined; i++) {
        send(message);
        waiting += socket.take().join("").length;
        socket.bufferedBytes = waiting;
      }
      expect(socket.closed).toBe("4508 Too slow");
      expect(waiting).toBeLessThan(20_000);
    },
  );

  test("that has ended is not listened to any more", async () => {
    const setting = setUp();
    const { socket, send, receive } = await subscribe(setting, "match/1");
    void setting.context.sessions.drain(0);
    socket.take();
    send({ type: "subscribe", topics: ["match/2"] });
    send({ type: "ping" });
    receive("hello");
    expect(socket.take()).toEqual([]);
    setting.clock.advance(10_000);
    expect(setting.source.wanted.size).toBe(0);
  });

  test("that the client has closed leaves nothing behind", async () => {
    const setting = setUp();
    const { socket, gone } = await subscribe(setting, "match/1");
    expect(setting.context.sessions.count("websocket")).toBe(1);
    gone();
    expectGone(setting, socket);
  });
});

/** Nothing is kept for the client, and nothing sent to it. */
function expectGone({ context, clock, source }: Setting, socket: FakeSocket): void {
  expect(context.sessions.size).toBe(0);
  socket.take();
  clock.advance(60_000);
  expect(socket.take()).toEqual([]);
  expect(source.wanted.size).toBe(0);
}
