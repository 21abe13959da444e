import { describe, expect, test } from "vitest";
import { HubError, Refusal, UnavailableError } from "../lib/errors.ts";
import { barePublications } from "./support/line.ts";
import { createTestRelay, type TestRelay } from "./support/test-relay.ts";

const TOPICS: Parameters<typeof createTestRelay>[0] = {
  "match/{id}": {
    params: { id: { type: "integer", min: 1, max: 1_000 } },
    join: { method: "Join", args: ["{id}"] },
    events: { Odds: "match/{0}" },
    key: { Odds: "{1}" },
    history: { size: 3, ttlMs: 60_000 },
    lingerMs: 5_000,
  },
  "board/{id}": {
    params: { id: "integer" },
    join: { method: "JoinBoard", args: ["{id}"] },
    events: { Board: "board/{0}" },
    key: { Board: "{1}" },
    snapshot: { method: "GetBoard", args: ["{id}"] },
    snapshotTtlMs: 1_000,
    history: { size: 10 },
  },
  "ticker/{sport}": { stream: { method: "Ticker", args: ["{sport}"] } },
  news: { events: { News: "news" } },
};

const EPOCH = "iiiiiiii";

function setUp(options: Parameters<typeof createTestRelay>[1] = {}): TestRelay {
  return createTestRelay(TOPICS, options);
}

/** A client that has these topics, live. */
async function watch(relay: TestRelay, ...topics: readonly string[]) {
  const client = relay.connect();
  client.open(...topics);
  for (const topic of topics) {
    if (relay.source.wanted.get(topic)?.state === "live") continue;
    relay.source.accept(topic, "null");
    for (const { answer } of [...relay.source.questions]) answer('"?"');
    await relay.settle();
  }
  client.lines();
  return client;
}

describe("joining", () => {
  test("is asked for once, however many watch", async () => {
    const relay = setUp();
    const clients = [relay.connect(), relay.connect(), relay.connect()];
    for (const client of clients) client.open("match/1");
    expect(relay.source.take()).toEqual(["join match/1"]);
    await relay.settle();
    for (const client of clients) expect(client.lines()).toEqual([]);
    relay.source.accept("match/1", "null");
    await relay.settle();
    const late = relay.connect();
    late.open("match/1");
    expect(relay.source.take()).toEqual([]);
    for (const client of [...clients, late]) {
      expect(client.lines()).toEqual(["match/1 reset new", "match/1 subscribed reset live @1"]);
    }
  });

  test("brings what the topic gets, each key's newest to who comes later", async () => {
    const relay = setUp();
    const client = await watch(relay, "match/1");
    relay.source.push("Odds", 1, "a", 1.5);
    relay.source.push("Odds", 2, "a", 1.6);
    relay.source.push("Odds", 1, "b", 1.7);
    relay.source.push("Odds", 1, "a", 1.8);
    relay.source.push("Unheard", 1);
    relay.clock.settle();
    expect(client.lines()).toEqual([
      'match/1 Odds[1,"a",1.5] @2',
      'match/1 Odds[1,"b",1.7] @3',
      'match/1 Odds[1,"a",1.8] @4',
    ]);
    const late = relay.connect();
    late.open("match/1");
    expect(late.lines()).toEqual([
      "match/1 reset new",
      'match/1 Odds[1,"b",1.7]',
      'match/1 Odds[1,"a",1.8]',
      "match/1 subscribed reset live @4",
    ]);
    expect(relay.stats).toMatchObject({
      publications: 3,
      unwatchedPushes: 1,
      unmatchedPushes: 1,
    });
  });

  test("of a stream brings its items, of a broadcast what is pushed", async () => {
    const relay = setUp();
    const client = await watch(relay, "ticker/tennis", "news");
    relay.source.item("ticker/tennis", { id: 1 });
    relay.source.push("News", "rain");
    relay.clock.settle();
    expect(client.lines()).toEqual(['ticker/tennis Ticker{"id":1} @3', 'news News["rain"] @4']);
  });

  test("that is not accepted in time shows the topic as stale, until it is", async () => {
    const relay = setUp({ openTimeoutMs: 5_000 });
    const client = relay.connect();
    client.open("match/1");
    relay.clock.advance(4_999);
    await relay.settle();
    expect(client.lines()).toEqual([]);
    relay.clock.advance(1);
    await relay.settle();
    expect(client.lines()).toEqual(["match/1 reset new", "match/1 subscribed reset stale @0"]);
    relay.source.push("Odds", 1, "a", 1.5);
    relay.clock.settle();
    expect(client.lines()).toEqual([]);
    relay.source.accept("match/1", "null");
    relay.clock.settle();
    expect(client.lines()).toEqual([
      expect.stringMatching(/^match\/1 reset /),
      'match/1 Odds[1,"a",1.5]',
      "match/1 live @2",
    ]);
  });

  test("outlives the last watcher for a while, and is asked for anew after that", async () => {
    const relay = setUp();
    const client = await watch(relay, "match/1");
    relay.source.push("Odds", 1, "a", 1.5);
    relay.source.take();
    client.subscriptions.close("match/1");
    relay.clock.advance(4_999);
    client.open({ topic: "match/1", since: `${EPOCH}:1` });
    expect(client.lines().slice(1)).toEqual([
      'match/1 Odds[1,"a",1.5] @2',
      "match/1 subscribed recovered live @2",
    ]);
    client.subscriptions.closeAll();
    const other = relay.connect();
    relay.clock.advance(4_999);
    expect(relay.source.take()).toEqual([]);
    relay.clock.advance(1);
    expect(relay.source.take()).toEqual(["leave match/1"]);
    expect(relay.feed.topicCount).toBe(0);
    other.open({ topic: "match/1", since: `${EPOCH}:2` });
    expect(relay.source.take()).toEqual(["join match/1"]);
    relay.source.accept("match/1", "null");
    await relay.settle();
    expect(other.lines()).toEqual(["match/1 reset evicted", "match/1 subscribed reset live @3"]);
  });

  test("is not undone while somebody watches", async () => {
    const relay = setUp();
    const first = await watch(relay, "match/1");
    await watch(relay, "match/1");
    relay.source.take();
    first.subscriptions.closeAll();
    relay.clock.advance(100_000);
    expect(relay.source.take()).toEqual([]);
  });
});

describe("a break", () => {
  test("is told once; then nothing comes until the state is sure again", async () => {
    const relay = setUp();
    const client = await watch(relay, "match/1");
    const bare = relay.connect({ format: barePublications });
    void bare.subscriptions.join("match/1");
    await relay.settle();
    relay.source.push("Odds", 1, "a", 1.5);
    relay.source.drop();
    relay.source.drop();
    relay.clock.settle();
    expect(client.lines()).toEqual(['match/1 Odds[1,"a",1.5] @2', "match/1 stale"]);
    relay.source.connect();
    relay.source.push("Odds", 1, "b", 1.6);
    relay.clock.settle();
    expect(client.lines()).toEqual([]);
    relay.source.accept("match/1", "null");
    relay.source.push("Odds", 1, "c", 1.7);
    relay.clock.settle();
    expect(client.lines()).toEqual([
      "match/1 reset break",
      'match/1 Odds[1,"a",1.5]',
      'match/1 Odds[1,"b",1.6]',
      "match/1 live @4",
      'match/1 Odds[1,"c",1.7] @5',
    ]);
    // Who knows no states gets every publication as it comes.
    expect(bare.lines()).toEqual([
      'match/1 Odds[1,"a",1.5] @2',
      'match/1 Odds[1,"b",1.6] @3',
      'match/1 Odds[1,"c",1.7] @5',
    ]);
  });

  test("shows newcomers at once what is known, as long as the origin is away", async () => {
    const relay = setUp();
    await watch(relay, "match/1");
    relay.source.push("Odds", 1, "a", 1.5);
    relay.source.drop();
    const client = relay.connect();
    client.open("match/1");
    expect(client.lines()).toEqual([
      "match/1 reset new",
      'match/1 Odds[1,"a",1.5]',
      "match/1 subscribed reset stale @2",
    ]);
  });

  test("gives those who come back what they have missed before it", async () => {
    const relay = setUp();
    await watch(relay, "match/1");
    relay.source.push("Odds", 1, "a", 1.5);
    relay.source.push("Odds", 1, "a", 1.6);
    relay.source.drop();
    const client = relay.connect();
    client.open({ topic: "match/1", since: `${EPOCH}:2` });
    expect(client.lines()).toEqual([
      'match/1 Odds[1,"a",1.6] @3',
      "match/1 subscribed recovered stale @3",
    ]);
  });

  test("lets newcomers wait for the origin that is coming back", async () => {
    const relay = setUp();
    await watch(relay, "match/1");
    relay.source.drop();
    relay.source.connect();
    const client = relay.connect();
    client.open("match/1");
    await relay.settle();
    expect(client.lines()).toEqual([]);
    relay.source.accept("match/1", "null");
    await relay.settle();
    expect(client.lines()).toEqual(["match/1 reset new", "match/1 subscribed reset live @2"]);
  });

  test("cannot be recovered across", async () => {
    const relay = setUp();
    await watch(relay, "match/1");
    relay.source.push("Odds", 1, "a", 1.5);
    relay.source.drop();
    relay.source.connect();
    relay.source.accept("match/1", "null");
    relay.source.push("Odds", 1, "a", 1.6);
    for (const [since, first] of [
      [1, "match/1 reset break"],
      [2, "match/1 reset break"],
      [3, 'match/1 Odds[1,"a",1.6] @4'],
    ]) {
      const client = relay.connect();
      client.open({ topic: "match/1", since: `${EPOCH}:${since}` });
      expect(client.lines()[0]).toBe(first);
    }
  });

  test("of a topic that was never live is no news", async () => {
    const relay = setUp();
    const client = relay.connect();
    client.open("match/1");
    relay.source.drop();
    relay.clock.advance(5_000);
    await relay.settle();
    expect(client.lines()).toEqual(["match/1 reset new", "match/1 subscribed reset stale @0"]);
    relay.source.connect();
    relay.source.drop();
    relay.clock.settle();
    expect(client.lines()).toEqual([]);
  });
});

describe("a snapshot", () => {
  test("is fetched once the topic is joined, and shared by all who wait", async () => {
    const relay = setUp();
    const clients = [relay.connect(), relay.connect()];
    for (const client of clients) client.open("board/1");
    expect(relay.source.questions).toEqual([]);
    relay.source.accept("board/1", "null");
    expect(relay.source.questions.map(({ call }) => call)).toEqual(["GetBoard[1]"]);
    await relay.settle();
    for (const client of clients) expect(client.lines()).toEqual([]);
    relay.source.questions[0]?.answer('{"v":1.0}');
    await relay.settle();
    for (const client of clients) {
      expect(client.lines()).toEqual([
        'board/1 reset new {"v":1.0}',
        "board/1 subscribed reset live @1",
      ]);
    }
  });

  test("is shown with what came after it was asked for, and nothing older", async () => {
    const relay = setUp();
    const client = relay.connect();
    client.open("board/1");
    relay.source.push("Board", 1, "before");
    relay.source.accept("board/1", "null");
    relay.source.push("Board", 1, "meanwhile");
    relay.source.questions[0]?.answer("7");
    await relay.settle();
    expect(client.lines()).toEqual([
      "board/1 reset new 7",
      'board/1 Board[1,"meanwhile"]',
      "board/1 subscribed reset live @3",
    ]);
  });

  test("is fetched anew for newcomers when it is too old, once for all of them", async () => {
    const relay = setUp();
    const watcher = await watch(relay, "board/1");
    relay.clock.advance(999);
    const early = relay.connect();
    early.open("board/1");
    expect(early.lines()).toHaveLength(2);
    relay.clock.advance(1);
    const clients = [relay.connect(), relay.connect(), relay.connect()];
    for (const client of clients) client.open("board/1");
    expect(relay.source.questions).toHaveLength(1);
    relay.source.push("Board", 1, "x");
    relay.source.questions[0]?.answer("8");
    await relay.settle();
    for (const client of clients) {
      expect(client.lines()).toEqual([
        "board/1 reset new 8",
        'board/1 Board[1,"x"]',
        "board/1 subscribed reset live @2",
      ]);
    }
    expect(watcher.lines()).toEqual(['board/1 Board[1,"x"] @2']);
  });

  test("is not fetched for who recovers", async () => {
    const relay = setUp();
    await watch(relay, "board/1");
    relay.clock.advance(10_000);
    const client = relay.connect();
    client.open({ topic: "board/1", since: `${EPOCH}:1` });
    expect(relay.source.questions).toEqual([]);
    expect(client.lines()).toEqual(["board/1 subscribed recovered live @1"]);
  });

  test("that the origin refuses is done without", async () => {
    const relay = setUp();
    const client = relay.connect();
    client.open("board/1");
    relay.source.accept("board/1", "null");
    relay.source.push("Board", 1, "x");
    relay.source.questions[0]?.refuse("Not today");
    await relay.settle();
    expect(client.lines()).toEqual([
      "board/1 reset new",
      'board/1 Board[1,"x"]',
      "board/1 subscribed reset live @2",
    ]);
  });

  test("that is refused later stays the one before, and is not asked for by each newcomer", async () => {
    const relay = setUp();
    await watch(relay, "board/1");
    relay.clock.advance(1_000);
    const client = relay.connect();
    client.open("board/1");
    relay.source.questions[0]?.refuse("Not today");
    await relay.settle();
    expect(client.lines()[0]).toBe('board/1 reset new "?"');
    const next = relay.connect();
    next.open("board/1");
    expect(relay.source.questions).toEqual([]);
    expect(next.lines()).toHaveLength(2);
  });

  test("of after a break is the newest, whatever was asked for before", async () => {
    const relay = setUp();
    const client = await watch(relay, "board/1");
    relay.source.drop();
    relay.source.connect();
    relay.source.accept("board/1", "null");
    relay.source.questions[0]?.answer('"after"');
    await relay.settle();
    expect(client.lines()).toEqual([
      "board/1 stale",
      'board/1 reset break "after"',
      "board/1 live @2",
    ]);
  });

  // An answer and the end of the connection may come in one read of the socket.
  test("whose answer comes with the end of the connection does not make the topic live", async () => {
    const relay = setUp();
    const client = relay.connect();
    client.open("board/1");
    relay.source.accept("board/1", "null");
    relay.source.questions[0]?.answer('"old"');
    relay.source.drop();
    await relay.settle();
    const late = relay.connect();
    late.open("board/1");
    relay.clock.advance(5_000);
    await relay.settle();
    expect(late.lines().at(-1)).toMatch(/subscribed reset stale/);
    relay.source.connect();
    relay.source.accept("board/1", "null");
    relay.source.questions[0]?.answer('"new"');
    await relay.settle();
    expect(late.lines()).toContain("board/1 live @1");
  });

  // Its age counts from the question, so the answer that was there already was taken again, and
  // everybody waited for another that never came.
  test("that was long in coming is asked for again when it is too old", async () => {
    const relay = setUp();
    const client = relay.connect();
    client.open("board/1");
    relay.source.accept("board/1", "null");
    relay.clock.advance(800);
    relay.source.questions[0]?.answer("1");
    await relay.settle();
    relay.clock.advance(200);
    const late = relay.connect();
    late.open("board/1");
    relay.source.questions[0]?.answer("2");
    await relay.settle();
    expect(late.lines().at(-1)).toBe("board/1 subscribed reset live @1");
  });

  // A relay with many topics has more snapshots to ask for after a break than calls may be in flight.
  test("for which there was no room to ask is asked for again", async () => {
    const relay = setUp();
    const client = await watch(relay, "board/1");
    relay.source.drop();
    relay.source.connect();
    relay.source.isBusy = true;
    relay.source.accept("board/1", "null");
    await relay.settle();
    relay.source.isBusy = false;
    for (let i = 0; i < 60; i++) {
      relay.clock.advance(1_000);
      for (const { answer } of [...relay.source.questions]) answer('"after"');
      await relay.settle();
    }
    expect(client.lines().filter((line) => line !== "board/1 stale")).toEqual([
      expect.stringMatching(/^board\/1 reset break/),
      "board/1 live @2",
    ]);
  });

  // The state that is shown as live meanwhile is the one from before the break.
  test("that comes late is shown to those who went live without it", async () => {
    const relay = setUp({ openTimeoutMs: 5_000 });
    const client = await watch(relay, "board/1");
    relay.source.drop();
    relay.source.connect();
    relay.source.accept("board/1", "null");
    relay.clock.advance(6_000);
    relay.source.questions[0]?.answer('"after"');
    await relay.settle();
    expect(client.lines().slice(-2)).toEqual([
      expect.stringMatching(/^board\/1 reset \w+ "after"$/),
      expect.stringMatching(/^board\/1 live @/),
    ]);
  });
});

describe("opening several topics", () => {
  test("waits for all of them, and shows them in one frame", async () => {
    const relay = setUp();
    await watch(relay, "match/1");
    const client = relay.connect();
    client.open("match/1", "match/2", "news");
    relay.source.accept("news", undefined);
    await relay.settle();
    expect(client.lines()).toEqual([]);
    relay.source.accept("match/2", "null");
    await relay.settle();
    expect(client.sink.frames).toHaveLength(1);
    expect(client.lines()).toEqual([
      ...["match/1 reset new", "match/2 reset new", "news reset new"],
      "match/1 subscribed reset live @3",
      "match/2 subscribed reset live @3",
      "news subscribed reset live @3",
    ]);
  });

  test("from where it was left shows what was missed in the feed's order", async () => {
    const relay = setUp();
    await watch(relay, "match/1", "match/2");
    for (const id of [2, 1, 2, 1]) relay.source.push("Odds", id, "a");
    const client = relay.connect();
    const since = `${EPOCH}:3`;
    client.open({ topic: "match/1", since }, { topic: "match/2", since });
    expect(client.lines()).toEqual([
      'match/1 Odds[1,"a"] @4',
      'match/2 Odds[2,"a"] @5',
      'match/1 Odds[1,"a"] @6',
      "match/1 subscribed recovered live @6",
      "match/2 subscribed recovered live @6",
    ]);
  });

  test("shows no position before every state, when one of them cannot be recovered", async () => {
    const relay = setUp();
    await watch(relay, "match/1", "match/2");
    for (const id of [2, 1, 2, 2, 2, 1]) relay.source.push("Odds", id, "a");
    const client = relay.connect();
    const since = `${EPOCH}:3`;
    client.open({ topic: "match/1", since }, { topic: "match/2", since: `${EPOCH}:2` });
    expect(client.lines()).toEqual([
      "match/2 reset evicted",
      'match/2 Odds[2,"a"]',
      'match/1 Odds[1,"a"]',
      'match/1 Odds[1,"a"]',
      "match/1 subscribed recovered live @8",
      "match/2 subscribed reset live @8",
    ]);
  });

  test("of which one was given twice opens it once", async () => {
    const relay = setUp();
    await watch(relay, "match/1");
    const client = relay.connect();
    client.open("match/1", { topic: "match/1", since: `${EPOCH}:1` });
    expect(client.subscriptions.size).toBe(1);
    relay.source.push("Odds", 1, "a");
    relay.clock.settle();
    expect(client.lines()).toEqual([
      "match/1 subscribed recovered live @1",
      'match/1 Odds[1,"a"] @2',
    ]);
  });

  test("anew forgets what was being opened, and shows nothing twice", async () => {
    const relay = setUp();
    const client = relay.connect();
    client.open("match/1");
    client.open("match/1", "match/2");
    relay.source.accept("match/1", "null");
    await relay.settle();
    expect(client.lines()).toEqual([]);
    relay.source.accept("match/2", "null");
    await relay.settle();
    expect(client.lines().filter((line) => line.startsWith("match/1 subscribed"))).toHaveLength(1);
    relay.source.push("Odds", 1, "a");
    client.open({ topic: "match/1", since: `${EPOCH}:2` });
    expect(client.lines()).toEqual([
      'match/1 Odds[1,"a"] @3',
      'match/1 Odds[1,"a"] @3',
      "match/1 subscribed recovered live @3",
    ]);
  });
});

describe("a refusal", () => {
  const refusal = (code: string, topic: string) => expect.objectContaining({ code, topic });

  test("of more topics than a connection may have leaves nothing half-done", async () => {
    const relay = setUp();
    const client = relay.connect({ maxTopics: 2 });
    client.open("match/1");
    relay.source.take();
    expect(() => client.open("match/2", "match/3")).toThrow(refusal("too_many_topics", "match/3"));
    expect(client.subscriptions.size).toBe(1);
    relay.clock.advance(5_000);
    expect(relay.source.wanted.has("match/2")).toBe(false);
    client.open("match/1", "match/4");
    expect(client.subscriptions.size).toBe(2);
  });

  // The refused request had taken the place of the one that was waiting, which never ended.
  test("leaves an opening that waits as it was", async () => {
    const relay = setUp();
    const client = relay.connect({ maxTopics: 1 });
    client.open("match/1");
    expect(() => client.open("match/1", "match/2")).toThrow(refusal("too_many_topics", "match/2"));
    relay.source.accept("match/1", "null");
    await relay.settle();
    expect(client.lines()).toEqual(["match/1 reset new", "match/1 subscribed reset live @1"]);
  });

  test("leaves what is subscribed as it was", async () => {
    const relay = setUp({ limits: { topics: 1 } });
    const client = await watch(relay, "match/1");
    expect(() => client.open("match/1", "match/2")).toThrow(refusal("overloaded", "match/2"));
    relay.source.push("Odds", 1, "a");
    relay.clock.settle();
    expect(client.lines()).toEqual(['match/1 Odds[1,"a"] @2']);
  });

  test("of more topics than a hub may have says so, and makes room when one is left", async () => {
    const relay = setUp({ limits: { topics: 2 } });
    const client = relay.connect();
    client.open("match/1");
    expect(() => client.open("match/2", "match/3")).toThrow(refusal("overloaded", "match/3"));
    expect(client.subscriptions.has("match/2")).toBe(false);
    relay.clock.advance(5_000);
    client.open("match/3");
    expect(relay.feed.topicCount).toBe(2);
  });

  test.each([
    ["match/0", "invalid_topic"],
    ["match/042", "invalid_topic"],
    ["match/..", "invalid_topic"],
    ["match /1", "invalid_topic"],
    ["", "invalid_topic"],
    ["match", "unknown_topic"],
    ["match/1/2", "unknown_topic"],
  ])("of %j says why", (topic, code) => {
    const relay = setUp();
    const client = relay.connect();
    expect(() => client.open("match/1", topic)).toThrow(refusal(code, topic));
    expect(relay.source.take()).toEqual([]);
    expect(() => relay.relay.find(topic)).toThrow(Refusal);
  });
});

describe("a topic that the origin ends", () => {
  test("is told to those who watch it, and to nobody else", async () => {
    const relay = setUp();
    const client = await watch(relay, "ticker/tennis", "match/1");
    const other = await watch(relay, "match/1");
    relay.source.item("ticker/tennis", 1);
    relay.source.end("ticker/tennis", "ended", "Rain");
    relay.source.push("Odds", 1, "a");
    relay.clock.settle();
    expect(client.lines()).toEqual([
      "ticker/tennis Ticker1 @3",
      "ticker/tennis unsubscribed ended: Rain",
      'match/1 Odds[1,"a"] @4',
    ]);
    expect(other.lines()).toEqual(['match/1 Odds[1,"a"] @4']);
    expect(client.ended).toEqual(["ticker/tennis"]);
    expect(client.subscriptions.size).toBe(1);
    expect(relay.feed.topicCount).toBe(1);
  });

  test("is told to those who wait for it", async () => {
    const relay = setUp();
    const client = relay.connect();
    client.open("match/1", "match/2");
    relay.source.end("match/1", "rejected", "No such match");
    relay.source.accept("match/2", "null");
    await relay.settle();
    expect(client.lines()).toEqual([
      "match/1 unsubscribed rejected: No such match",
      "match/2 reset new",
      "match/2 subscribed reset live @1",
    ]);
    expect(client.ended).toEqual(["match/1"]);
  });

  test("can be asked for again", async () => {
    const relay = setUp();
    const client = await watch(relay, "match/1");
    relay.source.end("match/1", "rejected", "Over");
    client.lines();
    relay.source.take();
    client.open("match/1");
    expect(relay.source.take()).toEqual(["join match/1"]);
    relay.source.accept("match/1", "null");
    await relay.settle();
    expect(client.lines()).toEqual(["match/1 reset new", "match/1 subscribed reset live @2"]);
    relay.clock.advance(100_000);
    expect(relay.source.take()).toEqual([]);
  });
});

describe("joining as a SignalR client", () => {
  test("gives the origin's answer, and then what comes", async () => {
    const relay = setUp();
    const client = relay.connect({ format: barePublications });
    const result = client.subscriptions.join("match/1");
    relay.source.accept("match/1", '{"ok":1.0}');
    expect(await result).toBe('{"ok":1.0}');
    relay.source.push("Odds", 1, "a");
    relay.clock.settle();
    expect(client.lines()).toEqual(['match/1 Odds[1,"a"] @2']);
    const second = relay.connect({ format: barePublications });
    expect(await second.subscriptions.join("match/1")).toBe('{"ok":1.0}');
    expect(await second.subscriptions.join("match/1")).toBe('{"ok":1.0}');
    expect(second.subscriptions.isLive("match/1")).toBe(true);
    expect(second.lines()).toEqual([]);
  });

  // Directly at the origin a client is in its group before it hears so.
  test("misses nothing that comes right behind the answer", async () => {
    const relay = setUp();
    const client = relay.connect({ format: barePublications });
    const result = client.subscriptions.join("match/1");
    relay.source.accept("match/1", "null");
    relay.source.push("Odds", 1, "a");
    await result;
    await relay.settle();
    expect(client.lines()).toEqual(['match/1 Odds[1,"a"] @2']);
  });

  test("does not wait for the topic's snapshot", async () => {
    const relay = setUp();
    const result = relay.connect({ format: barePublications }).subscriptions.join("board/1");
    relay.source.accept("board/1", "null");
    await relay.settle();
    expect(await Promise.race([result, "waits"])).toBe("null");
  });

  test("fails with the origin's own words", async () => {
    const relay = setUp();
    const client = relay.connect({ format: barePublications });
    const failed = expect(client.subscriptions.join("match/1")).rejects.toThrow(
      new HubError("No such match"),
    );
    relay.source.end("match/1", "rejected", "No such match");
    await failed;
    expect(client.subscriptions.size).toBe(0);
    await expect(client.subscriptions.join("match/0")).rejects.toThrow(Refusal);
  });

  test("fails when the origin does not answer in time, and is left then", async () => {
    const relay = setUp({ openTimeoutMs: 5_000 });
    const client = relay.connect({ format: barePublications });
    const failed = expect(client.subscriptions.join("match/1")).rejects.toMatchObject({
      code: "unavailable",
    });
    relay.clock.advance(5_000);
    await failed;
    expect(client.subscriptions.size).toBe(0);
    relay.clock.advance(5_000);
    expect(relay.source.wanted.size).toBe(0);
  });
});

describe("leaving", () => {
  test("sends what was due, and nothing after that", async () => {
    const relay = setUp();
    const client = await watch(relay, "match/1", "match/2");
    relay.source.push("Odds", 1, "a");
    expect(client.subscriptions.close("match/1")).toBe(true);
    expect(client.subscriptions.close("match/1")).toBe(false);
    relay.source.push("Odds", 1, "b");
    relay.source.push("Odds", 2, "c");
    relay.clock.settle();
    expect(client.lines()).toEqual(['match/1 Odds[1,"a"] @3', 'match/2 Odds[2,"c"] @5']);
  });

  test("for good while openings wait sends nothing, and holds nothing", async () => {
    const relay = setUp();
    const client = relay.connect();
    client.open("match/1", "board/1");
    client.subscriptions.closeAll();
    relay.source.accept("match/1", "null");
    relay.source.accept("board/1", "null");
    client.open("match/2");
    await relay.settle();
    relay.clock.advance(10_000);
    await relay.settle();
    expect(client.lines()).toEqual([]);
    expect(relay.feed.topicCount).toBe(0);
  });
});

describe("reading", () => {
  test("gives the newest state, and waits for it", async () => {
    const relay = setUp();
    const reading = relay.relay.read("board/1");
    relay.source.accept("board/1", "null");
    relay.source.push("Board", 1, "x");
    relay.source.questions[0]?.answer('{"v":1.0}');
    expect(await reading).toMatchObject({
      topic: "board/1",
      position: `${EPOCH}:2`,
      state: "live",
      snapshot: '{"v":1.0}',
      latest: [{ raw: '[1,"x"]' }],
    });
    relay.clock.advance(5_000);
    expect(relay.source.wanted.size).toBe(0);
  });

  test("fails when nothing is known in time, or the origin refuses", async () => {
    const relay = setUp();
    const unknown = expect(relay.relay.read("match/1")).rejects.toMatchObject({
      code: "unavailable",
    });
    const refused = expect(relay.relay.read("match/2")).rejects.toMatchObject({
      code: "rejected",
      message: "No such match",
    });
    relay.source.end("match/2", "rejected", "No such match");
    relay.clock.advance(5_000);
    await unknown;
    await refused;
    await expect(relay.relay.read("match/0")).rejects.toMatchObject({ code: "invalid_topic" });
  });

  test("gives what is known while the origin is away", async () => {
    const relay = setUp();
    await watch(relay, "match/1");
    relay.source.push("Odds", 1, "a");
    relay.source.drop();
    expect(await relay.relay.read("match/1")).toMatchObject({
      state: "stale",
      latest: [{ sequence: 2 }],
    });
  });

  describe("has a version", () => {
    const version = async (relay: TestRelay, topic: string) =>
      (await relay.relay.read(topic)).version;

    test("that is another when the topic has changed", async () => {
      const relay = setUp();
      await watch(relay, "match/1");
      const versions = [await version(relay, "match/1")];
      relay.source.push("Odds", 1, "a");
      versions.push(await version(relay, "match/1"));
      relay.source.drop();
      versions.push(await version(relay, "match/1"));
      relay.source.connect();
      relay.source.accept("match/1", "null");
      versions.push(await version(relay, "match/1"));
      expect(new Set(versions).size).toBe(3);
      expect(versions[3]).toBe(versions[1]); // nothing was known of what was missed
    });

    test("that is the same as long as it has not", async () => {
      const relay = setUp();
      await watch(relay, "match/1", "match/2");
      const before = await version(relay, "match/1");
      relay.source.push("Odds", 2, "a");
      relay.clock.advance(100_000);
      expect(await version(relay, "match/1")).toBe(before);
    });

    test("that changes with a new snapshot", async () => {
      const relay = setUp();
      await watch(relay, "board/1");
      const before = await version(relay, "board/1");
      relay.source.push("Odds", 1, "of another topic");
      relay.clock.advance(1_000);
      const reading = version(relay, "board/1");
      relay.source.questions[0]?.answer('"another"');
      expect(await reading).not.toBe(before);
    });

    test("that stays when the snapshot that was fetched anew is the same", async () => {
      const relay = setUp();
      await watch(relay, "match/1", "board/1");
      const before = await version(relay, "board/1");
      relay.source.push("Odds", 1, "of another topic");
      relay.clock.advance(1_000);
      const reading = version(relay, "board/1");
      relay.source.questions[0]?.answer('"?"');
      expect(await reading).toBe(before);
    });
  });
});

describe("a shared call", () => {
  test("is one for all who ask within its time, and is forgotten at a break", async () => {
    const relay = setUp();
    const ask = () => relay.feed.call("GetMatch", [7], 250);
    const answers = [ask(), ask()];
    await relay.settle();
    expect(relay.source.questions.map(({ call }) => call)).toEqual(["GetMatch[7]"]);
    relay.source.questions[0]?.answer('{"v":1.0}');
    expect(await Promise.all(answers)).toMatchObject([{ raw: '{"v":1.0}' }, { raw: '{"v":1.0}' }]);
    relay.source.drop();
    await expect(ask()).rejects.toThrow(UnavailableError);
    relay.source.connect();
    const again = ask();
    await relay.settle();
    relay.source.questions[0]?.answer("2");
    expect(await again).toMatchObject({ raw: "2" });
  });
});

describe("a feed that connects on demand", () => {
  test("connects for the first watcher, and leaves some time after the last", async () => {
    const relay = setUp({ onDemand: true });
    const client = relay.connect();
    client.open("match/1");
    expect(relay.source.take()).toEqual(["start", "join match/1"]);
    client.subscriptions.closeAll();
    relay.clock.advance(9_999);
    expect(relay.source.take()).toEqual(["leave match/1"]);
    relay.clock.advance(1);
    expect(relay.source.take()).toEqual(["stop"]);
  });

  test("does not leave while somebody watches again", async () => {
    const relay = setUp({ onDemand: true });
    const client = relay.connect();
    client.open("match/1");
    client.subscriptions.close("match/1");
    relay.clock.advance(6_000);
    client.open("match/2");
    relay.clock.advance(100_000);
    expect(relay.source.take()).not.toContain("stop");
  });

  test("connects for a call, and stays until it is answered", async () => {
    const relay = setUp({ onDemand: true });
    relay.source.drop();
    const first = relay.feed.call("Get", [1], 0);
    expect(relay.source.take()).toEqual(["start"]);
    relay.source.connect();
    await relay.settle();
    relay.source.questions[0]?.answer("1");
    expect(await first).toMatchObject({ raw: "1" });
    relay.clock.advance(4_000);
    const second = relay.feed.call("Get", [2], 0);
    await relay.settle();
    relay.clock.advance(4_000);
    relay.source.questions[0]?.answer("2");
    expect(await second).toMatchObject({ raw: "2" });
  });
});

test("a slow client is told, and its connection can be closed at that", async () => {
  const relay = setUp({ queue: { queueBytes: 100 } });
  const slow: string[] = [];
  const client = relay.connect({
    onSlow() {
      slow.push("slow");
      client.subscriptions.closeAll();
    },
  });
  client.open("match/1");
  relay.source.accept("match/1", "null");
  await relay.settle();
  const other = await watch(relay, "match/1");
  client.sink.bufferedBytes = 101;
  relay.source.push("Odds", 1, "a");
  relay.clock.settle();
  relay.source.push("Odds", 1, "b");
  relay.clock.settle();
  expect(slow).toEqual(["slow"]);
  expect(other.lines()).toEqual(['match/1 Odds[1,"a"] @2', 'match/1 Odds[1,"b"] @3']);
});
