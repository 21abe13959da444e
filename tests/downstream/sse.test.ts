import { createParser, type EventSourceMessage } from "eventsource-parser";
import { describe, expect, test } from "vitest";
import { openEventStream } from "../../lib/downstream/sse.ts";
import { FAREWELL_MS } from "../../lib/socket.ts";
import type { Request } from "../../lib/subscriptions.ts";
import { createSetting, type Setting } from "../support/context.ts";
import { turn } from "../support/turn.ts";

const EPOCH = "iiiiiiii";

function setUp(): Setting {
  return createSetting({
    "match/{id}": {
      params: { id: { type: "integer", min: 1, max: 100 } },
      join: { method: "Join", args: ["{id}"] },
      events: { Odds: "match/{0.id}", Score: "match/{0}" },
      snapshot: { method: "GetMatch", args: ["{id}"] },
      history: { size: 10 },
    },
    "ticker/{sport}": { stream: { method: "Ticker", args: ["{sport}"] } },
  });
}

/** A client that reads all that comes. */
function connect(
  { context }: Setting,
  topics: readonly (string | Request)[],
  { envelope = false } = {},
) {
  const requests = topics.map((topic) => (typeof topic === "string" ? { topic } : topic));
  const reader = openEventStream(context, requests, { envelope }).getReader();
  const decoder = new TextDecoder();
  let text = "";
  let done = false;
  const reading = (async () => {
    for (;;) {
      const chunk = await reader.read();
      if (chunk.done) break;
      text += decoder.decode(chunk.value, { stream: true });
    }
    done = true;
  })();
  return {
    /** The text since the last time. */
    async take() {
      await turn();
      const taken = text;
      text = "";
      return taken;
    },
    leave: () => reader.cancel(),
    reading,
    get done() {
      return done;
    },
  };
}

type Client = ReturnType<typeof connect>;

async function accept({ source, settle }: Setting, topic: string): Promise<void> {
  source.accept(topic, "null");
  source.questions[0]?.answer('{"score":[1,0]}');
  await settle();
}

async function subscribe(setting: Setting, topic: string, options?: object): Promise<Client> {
  const client = connect(setting, [topic], options);
  await accept(setting, topic);
  await client.take();
  return client;
}

/** Events as `EventSource` dispatches them: name, data, and `Last-Event-ID` where there is one. */
function eventsOf(text: string) {
  const events: (readonly [string, unknown, string?])[] = [];
  createParser({
    onEvent: ({ event = "message", data, id }: EventSourceMessage) =>
      events.push(id === undefined ? [event, JSON.parse(data)] : [event, JSON.parse(data), id]),
  }).feed(text);
  return events;
}

const HEARTBEAT = `:${" ".repeat(253)}\n\n`;

test("a stream begins at once, with a comment and the time to wait before coming back", async () => {
  const setting = setUp();
  const client = connect(setting, ["match/42"]);
  expect(await client.take()).toBe(`${HEARTBEAT}retry: 1500\n\n`);
});

describe("a stream", () => {
  test("shows the state, and then what comes", async () => {
    const setting = setUp();
    const client = connect(setting, ["match/42"]);
    await accept(setting, "match/42");
    expect(eventsOf(await client.take())).toEqual([
      ["keryx.reset", { topic: "match/42", reason: "new", snapshot: { score: [1, 0] } }],
      ["keryx.subscribed", { topic: "match/42", recovered: false, state: "live" }, `${EPOCH}:1`],
    ]);
    setting.source.push("Odds", { id: 42, price: 2.1 });
    setting.source.push("Score", 42, [2, 0]);
    setting.clock.settle();
    expect(await client.take()).toBe(
      `event: Odds\nid: ${EPOCH}:2\ndata: {"id":42,"price":2.1}\n\n` +
        `event: Score\nid: ${EPOCH}:3\ndata: [42,[2,0]]\n\n`,
    );
  });

  test("shows what was missed since a position", async () => {
    const setting = setUp();
    await subscribe(setting, "match/42");
    setting.source.push("Odds", { id: 42 });
    const client = connect(setting, [{ topic: "match/42", since: `${EPOCH}:1` }]);
    expect(eventsOf(await client.take())).toEqual([
      ["Odds", { id: 42 }, `${EPOCH}:2`],
      ["keryx.subscribed", { topic: "match/42", recovered: true, state: "live" }, `${EPOCH}:2`],
    ]);
  });

  test("shows the newest of each key without a position", async () => {
    const setting = setUp();
    await subscribe(setting, "match/42");
    setting.source.push("Odds", { id: 42 });
    const client = connect(setting, ["match/42"]);
    expect(eventsOf(await client.take())[1]).toEqual(["Odds", { id: 42 }]);
  });

  test("of several topics has one position for all, when all states have been shown", async () => {
    const setting = setUp();
    const client = connect(setting, ["match/1", "match/2"]);
    await accept(setting, "match/2");
    await accept(setting, "match/1");
    const events = eventsOf(await client.take());
    expect(events.map(([event, data]) => [event, (data as { topic: string }).topic])).toEqual([
      ["keryx.reset", "match/1"],
      ["keryx.reset", "match/2"],
      ["keryx.subscribed", "match/1"],
      ["keryx.subscribed", "match/2"],
    ]);
    expect(events.slice(0, 2).every(([, , id]) => id === undefined)).toBe(true);
    expect(events[3]?.[2]).toBe(`${EPOCH}:2`);
  });

  test("shows as stale what is not there in time", async () => {
    const setting = setUp();
    const client = connect(setting, ["match/42"]);
    setting.clock.advance(5_000);
    expect(eventsOf(await client.take())).toEqual([
      ["keryx.reset", { topic: "match/42", reason: "new" }],
      ["keryx.subscribed", { topic: "match/42", recovered: false, state: "stale" }, `${EPOCH}:0`],
    ]);
  });

  test("tells when the origin goes and comes back", async () => {
    const setting = setUp();
    const client = await subscribe(setting, "match/42");
    setting.source.drop();
    setting.clock.settle();
    setting.source.connect();
    await accept(setting, "match/42");
    expect(eventsOf(await client.take())).toEqual([
      ["keryx.stale", { topic: "match/42" }],
      ["keryx.reset", { topic: "match/42", reason: "break", snapshot: { score: [1, 0] } }],
      ["keryx.live", { topic: "match/42" }, `${EPOCH}:2`],
    ]);
  });

  test("tells when the origin ends or refuses a topic, and stays open", async () => {
    const setting = setUp();
    const client = connect(setting, ["ticker/tennis", "match/7"]);
    setting.source.accept("ticker/tennis", undefined);
    setting.source.end("match/7", "rejected", "No such match");
    await setting.settle();
    setting.source.end("ticker/tennis", "ended");
    setting.clock.settle();
    const events = eventsOf(await client.take());
    expect(events[0]).toEqual([
      "keryx.unsubscribed",
      { topic: "match/7", reason: "rejected", error: "No such match" },
    ]);
    expect(events.at(-1)).toEqual([
      "keryx.unsubscribed",
      { topic: "ticker/tennis", reason: "ended" },
    ]);
    expect(client.done).toBe(false);
  });

  test("takes the origin's JSON as it is, over several lines too", async () => {
    const setting = setUp();
    const client = await subscribe(setting, "match/42");
    setting.source.pushRaw("Odds", '[\r\n{"id":42,\n"price":2.10}\n]');
    setting.clock.settle();
    const text = await client.take();
    expect(eventsOf(text)).toEqual([["Odds", { id: 42, price: 2.1 }, `${EPOCH}:2`]]);
    expect(text).toContain("2.10");
  });
});

test("in envelopes a stream says what a socket says", async () => {
  const setting = setUp();
  const client = connect(setting, ["match/42"], { envelope: true });
  await accept(setting, "match/42");
  setting.source.push("Odds", { id: 42 });
  setting.clock.settle();
  setting.source.drop();
  setting.clock.settle();
  expect(eventsOf(await client.take())).toEqual([
    ["message", { type: "reset", topic: "match/42", reason: "new", snapshot: { score: [1, 0] } }],
    [
      "message",
      {
        type: "subscribed",
        topic: "match/42",
        position: `${EPOCH}:1`,
        recovered: false,
        state: "live",
      },
      `${EPOCH}:1`,
    ],
    [
      "message",
      {
        type: "publication",
        topic: "match/42",
        position: `${EPOCH}:2`,
        event: "Odds",
        data: { id: 42 },
      },
      `${EPOCH}:2`,
    ],
    ["message", { type: "stale", topic: "match/42", lastMessageAt: setting.clock.now() }],
  ]);
});

describe("the connection", () => {
  test("gets a comment of 256 bytes every heartbeat", async () => {
    const setting = setUp();
    const client = await subscribe(setting, "match/42");
    setting.clock.advance(15_000);
    expect(await client.take()).toBe(HEARTBEAT);
    setting.clock.advance(30_000);
    expect(await client.take()).toBe(HEARTBEAT.repeat(2));
  });

  test.each([
    [false, 'event: keryx.drain\nretry: 500\ndata: {"retryMs":500}\n\n'],
    [true, 'retry: 500\ndata: {"type":"drain","retryMs":500}\n\n'],
  ])("is told to come back when the relay leaves (envelope: %s)", async (envelope, text) => {
    const setting = setUp();
    const client = await subscribe(setting, "match/42", { envelope });
    void setting.context.sessions.drain(1_000);
    setting.clock.advance(25);
    expect(await client.take()).toBe(text);
    await client.reading;
    expectGone(setting);
  });

  test("that the client has left keeps nothing", async () => {
    const setting = setUp();
    const client = await subscribe(setting, "match/42");
    expect(setting.context.sessions.count("sse")).toBe(1);
    await client.leave();
    expectGone(setting);
  });

  test("ends when it does not keep up", async () => {
    const setting = setUp();
    const body = openEventStream(setting.context, [{ topic: "match/42" }], { envelope: false });
    await accept(setting, "match/42");
    const text = "x".repeat(1_000);
    let pushes = 0;
    while (setting.context.sessions.size > 0 && pushes < 100) {
      setting.source.push("Odds", { id: 42, text });
      setting.clock.settle();
      pushes++;
    }
    expect(pushes).toBeGreaterThanOrEqual(9);
    expect(pushes).toBeLessThanOrEqual(11);
    expect(setting.stats.slowDisconnects).toBe(1);
    // What it was sent before is whole, if it reads it soon.
    const events = eventsOf(await new Response(body).text());
    expect(events).toHaveLength(2 + pushes);
    expectGone(setting);
  });

  test("is cut when it is sent away and does not read", async () => {
    const setting = setUp();
    let cuts = 0;
    const cut = () => void cuts++;
    openEventStream(setting.context, [{ topic: "match/42" }], { envelope: false, cut });
    void setting.context.sessions.drain(1_000);
    setting.clock.advance(FAREWELL_MS);
    expect(cuts).toBe(0);
    setting.clock.advance(200); // its turn to leave came after a moment
    expect(cuts).toBe(1);
    expectGone(setting);
  });

  test.each([
    ["match/0", "invalid_topic"],
    ["nothing", "unknown_topic"],
  ])("to %s is refused before it begins, and nothing is left of it", (topic, code) => {
    const setting = setUp();
    expect(() => connect(setting, ["match/1", topic])).toThrow(expect.objectContaining({ code }));
    expectGone(setting);
  });

  test("to more topics than it may have is refused, and nothing is left of it", () => {
    const setting = setUp();
    const topics = [1, 2, 3, 4].map((id) => `match/${id}`);
    expect(() => connect(setting, topics)).toThrow(
      expect.objectContaining({ code: "too_many_topics", topic: "match/4" }),
    );
    expectGone(setting);
  });
});

function expectGone({ context, clock, source }: Setting): void {
  expect(context.sessions.size).toBe(0);
  clock.advance(60_000);
  expect(source.wanted.size).toBe(0);
}
