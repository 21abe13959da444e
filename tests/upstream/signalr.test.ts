import { describe, expect, onTestFinished, test } from "vitest";
import { createManualClock } from "../../lib/clock.ts";
import { HubError, UnavailableError } from "../../lib/errors.ts";
import { silentLog } from "../../lib/log.ts";
import { createStats } from "../../lib/stats.ts";
import { createHistoryBudget } from "../../lib/topic/budget.ts";
import { Topic } from "../../lib/topic/topic.ts";
import { createSignalRSource, type SignalROptions } from "../../lib/upstream/signalr.ts";
import { jsonProtocol } from "../../lib/wire/json.ts";
import { createHubSpec } from "../support/hub-spec.ts";
import { createPublication } from "../support/publication.ts";
import { createScriptedHub } from "../support/scripted-hub.ts";
import { turn } from "../support/turn.ts";

const budget = createHistoryBudget(1_000_000);

const spec = createHubSpec({
  "match/{id}": {
    params: { id: "integer" },
    join: { method: "Join", args: ["{id}"] },
    leave: { method: "Leave", args: ["{id}"] },
    events: { Odds: "match/{0}" },
  },
  "board/{id}": {
    params: { id: "integer" },
    join: { method: "JoinBoard", args: ["{id}"] },
    leave: { method: "LeaveBoard", args: ["{id}"] },
    events: { Board: "board/{0}" },
    snapshot: { method: "GetBoard", args: ["{id}"] },
  },
  "ticker/{sport}": { stream: { method: "Ticker", args: ["{sport}"] } },
  "score/{sport}": {
    stream: { method: "Score", args: ["{sport}"] },
    snapshot: { method: "GetScore", args: ["{sport}"] },
  },
  news: { events: { News: "news" } },
});

/** A topic as a feed makes it for its first watcher. */
function createTopic(name: string): Topic {
  for (const topic of spec.topics) {
    const match = topic.template.match(name);
    if (match && "parameters" in match) return new Topic(name, topic, match.parameters, 0, budget);
  }
  throw new Error(`${name} is not declared above`);
}

/** A source and what it has told, in order; it does with a topic what a feed does. */
function setUp(options: Partial<SignalROptions<string>> = {}) {
  const hub = createScriptedHub();
  const clock = createManualClock(1_700_000_000_000);
  const stats = createStats();
  const told: string[] = [];
  const source = createSignalRSource<string>(
    {
      url: "http://origin.test/hub",
      protocol: jsonProtocol,
      connection: {
        fetch: hub.fetch,
        dial: hub.dial,
        headers: {},
        accessToken: async () => undefined,
        handshakeTimeoutMs: 15_000,
        keepAliveMs: 15_000,
        serverTimeoutMs: 30_000,
        maxMessageBytes: 1_000_000,
      },
      backoff: { minMs: 1_000, maxMs: 8_000 },
      stableMs: 5_000,
      maxJoinsInFlight: 32,
      maxInvocations: 100,
      clock,
      random: () => 0.999_999,
      stats,
      log: silentLog,
      ...options,
    },
    {
      up: () => told.push("up"),
      down: () => told.push("down"),
      heard() {},
      joined(topic, result) {
        told.push(`joined ${topic.name}${result === undefined ? "" : `: ${result}`}`);
        topic.joinResult = result ?? topic.joinResult;
        if (!topic.spec.snapshot) topic.state = "live";
      },
      ended: (topic, reason, error) =>
        told.push(`${reason} ${topic.name}${error === undefined ? "" : `: ${error}`}`),
      push: ({ target, arguments: raw }) => told.push(`${target}${raw}`),
      item: (topic, { item }) => told.push(`${topic.name} ${item}`),
    },
  );
  onTestFinished(() => source.stop());

  const setting = {
    hub,
    clock,
    stats,
    told,
    source,
    join(name: string): Topic {
      const topic = createTopic(name);
      source.join(topic);
      return topic;
    },
    /** Lets the source connect, and accepts it. What came of it before is forgotten. */
    async connect(...messages: readonly object[]) {
      source.start();
      await turn();
      hub.peer.send({}, ...messages);
      await turn();
    },
    /** Breaks the connection, and accepts the next one. */
    async reconnect() {
      hub.peer.close();
      await turn();
      clock.advance(8_000);
      await turn();
      hub.peer.send({});
      await turn();
    },
    /** What the source has asked since the last time, such as `0 Join[42]`; no pings. */
    asked: () => hub.peer.take().flatMap(short),
    /** Completes the invocation with this id. */
    async complete(invocationId: string, outcome: object = { result: null }) {
      hub.peer.send({ type: 3, invocationId, ...outcome });
      await turn();
    },
  };
  return setting;
}

function short(record: unknown): string[] {
  const { type, invocationId, target, ...rest } = record as Record<string, unknown>;
  switch (type) {
    case 1:
    case 4:
      return [`${invocationId} ${target}${JSON.stringify(rest.arguments)}`];
    case 3:
      return [`${invocationId} completed ${JSON.stringify(rest)}`];
    case 5:
      return [`${invocationId} cancelled`];
    case 7:
      return ["close"];
    default:
      return []; // handshake and pings
  }
}

describe("joining", () => {
  test("begins when the connection is there, each kind of topic in its way", async () => {
    const { join, connect, asked, told, complete, stats } = setUp();
    for (const name of ["match/42", "ticker/tennis", "news"]) join(name);
    expect(told).toEqual([]);
    await connect();
    expect(asked()).toEqual(["0 Join[42]", '1 Ticker["tennis"]']);
    expect(told).toEqual(["up", "joined ticker/tennis", "joined news"]);
    await complete("0", { result: { ok: 1.5 } });
    expect(told.slice(3)).toEqual(['joined match/42: {"ok":1.5}']);
    join("match/43");
    expect(asked()).toEqual(["2 Join[43]"]);
    expect(stats).toMatchObject({ upstreamJoins: 2, upstreamInvocations: 3 });
  });

  test("waits for answers when too many joins are in flight", async () => {
    const { join, connect, asked, complete } = setUp({ maxJoinsInFlight: 2 });
    for (let id = 0; id < 5; id++) join(`match/${id}`);
    await connect();
    expect(asked()).toEqual(["0 Join[0]", "1 Join[1]"]);
    await complete("1");
    expect(asked()).toEqual(["2 Join[2]"]);
    await complete("0", { error: "No" });
    await complete("2");
    expect(asked()).toEqual(["3 Join[3]", "4 Join[4]"]);
  });

  test("is refused by the origin with its own text, once and for all", async () => {
    const { join, connect, complete, told, reconnect, asked } = setUp();
    join("match/42");
    await connect();
    await complete("0", { error: "No such match" });
    expect(told).toEqual(["up", "rejected match/42: No such match"]);
    asked();
    await reconnect();
    expect(asked()).toEqual([]);
  });

  test("is done again on each new connection, no more at a time than on the first", async () => {
    const { join, connect, complete, told, reconnect, asked } = setUp({ maxJoinsInFlight: 2 });
    for (const name of ["match/1", "match/2", "match/3", "news"]) join(name);
    await connect();
    await complete("0");
    asked();
    told.length = 0;
    await reconnect();
    expect(asked()).toEqual(["3 Join[1]", "4 Join[2]"]);
    expect(told).toEqual(["down", "up"]);
    await complete("3");
    await complete("4");
    expect(asked()).toEqual(["5 Join[3]"]);
    await complete("5");
    expect(told.slice(2)).toEqual([
      ...["joined match/1: null", "joined match/2: null", "joined news", "joined match/3: null"],
    ]);
  });
});

describe("leaving", () => {
  test("undoes a join, and ends a stream", async () => {
    const { source, join, connect, complete, asked, stats } = setUp();
    const match = join("match/42");
    const ticker = join("ticker/tennis");
    await connect();
    await complete("0");
    asked();
    source.leave(match);
    source.leave(ticker);
    source.leave(ticker);
    expect(asked()).toEqual(["2 Leave[42]", "1 cancelled"]);
    expect(stats.upstreamLeaves).toBe(2);
  });

  test("before it has been asked for, asks for nothing", async () => {
    const { source, join, connect, asked, complete } = setUp({ maxJoinsInFlight: 1 });
    source.leave(join("match/1"));
    join("match/2");
    await connect();
    source.leave(join("match/3"));
    expect(asked()).toEqual(["0 Join[2]"]);
    await complete("0");
    expect(asked()).toEqual([]);
  });

  test("while the join is in flight undoes it when it is answered", async () => {
    const { source, join, connect, asked, complete, told } = setUp();
    const topic = join("match/42");
    await connect();
    source.leave(topic);
    expect(asked()).toEqual(["0 Join[42]"]);
    await complete("0");
    expect(asked()).toEqual(["1 Leave[42]"]);
    expect(told).toEqual(["up"]);
  });

  test("while the join is in flight undoes nothing when the topic is wanted again", async () => {
    const { source, join, connect, asked, complete, told } = setUp();
    source.leave(join("match/42"));
    const topic = join("match/42");
    await connect();
    source.leave(topic);
    join("match/42");
    expect(asked()).toEqual(["0 Join[42]", "1 Join[42]"]);
    await complete("0");
    await complete("1");
    expect(asked()).toEqual([]);
    expect(told).toEqual(["up", "joined match/42: null"]);
  });

  // What the join answered on an earlier connection says nothing about this one.
  test("while a new connection's join is in flight undoes it once", async () => {
    const { source, join, connect, asked, complete, reconnect } = setUp();
    const topic = join("match/42");
    await connect();
    await complete("0");
    await reconnect();
    source.leave(topic);
    await complete("1");
    await complete("2");
    expect(asked()).toEqual(["1 Join[42]", "2 Leave[42]"]);
  });

  test("is not overtaken by another join", async () => {
    const { source, join, connect, asked, complete } = setUp();
    const topic = join("match/42");
    await connect();
    await complete("0");
    asked();
    source.leave(topic);
    join("match/42");
    join("match/43");
    expect(asked()).toEqual(["1 Leave[42]", "2 Join[43]"]);
    await complete("1", { error: "Not in it" });
    expect(asked()).toEqual(["3 Join[42]"]);
  });

  test("is not waited for on another connection", async () => {
    const { source, join, connect, asked, complete, reconnect } = setUp();
    const topic = join("match/42");
    await connect();
    await complete("0");
    source.leave(topic);
    join("match/42");
    await reconnect();
    expect(asked()).toEqual(["2 Join[42]"]);
  });

  test("before its snapshot is there undoes the join all the same", async () => {
    const { source, join, connect, asked, complete } = setUp();
    const topic = join("board/42");
    await connect();
    await complete("0", {}); // not every server says null for nothing
    asked();
    source.leave(topic);
    expect(asked()).toEqual(["1 LeaveBoard[42]"]);
  });

  test("before its snapshot is there ends the stream all the same", async () => {
    const { source, join, connect, asked } = setUp();
    const topic = join("score/tennis");
    await connect();
    asked();
    source.leave(topic);
    expect(asked()).toEqual(["0 cancelled"]);
  });
});

describe("a stream", () => {
  test("brings its items under its own id", async () => {
    const { join, connect, hub, told } = setUp();
    join("ticker/tennis");
    join("ticker/golf");
    await connect();
    hub.peer.send(
      { type: 2, invocationId: "1", item: 1 },
      '{"type":2,"invocationId":"0","item":2.0}',
      { type: 2, invocationId: "7", item: 3 },
    );
    expect(told.slice(3)).toEqual(["ticker/golf 1", "ticker/tennis 2.0"]);
  });

  test("ends with the origin's completion, and is not begun again", async () => {
    const { join, connect, complete, told, asked, reconnect } = setUp();
    join("ticker/tennis");
    await connect();
    await complete("0", {});
    expect(told.slice(2)).toEqual(["ended ticker/tennis"]);
    asked();
    await reconnect();
    expect(asked()).toEqual([]);
  });

  test("that fails at once has been refused, one that fails later has ended", async () => {
    const { join, connect, complete, told, hub } = setUp();
    join("ticker/tennis");
    const golf = join("ticker/golf");
    await connect();
    await complete("0", { error: "No such sport" });
    hub.peer.send({ type: 2, invocationId: "1", item: 1 });
    golf.append(createPublication({ topic: golf.name, event: "Ticker", raw: "1" }));
    await complete("1", { error: "Rain" });
    expect(told.slice(3)).toEqual([
      "rejected ticker/tennis: No such sport",
      "ticker/golf 1",
      "ended ticker/golf: Rain",
    ]);
  });

  test("that has been left says nothing more, also when it goes on or ends", async () => {
    const { source, join, connect, complete, told, hub } = setUp();
    const topic = join("ticker/tennis");
    await connect();
    source.leave(topic);
    hub.peer.send({ type: 2, invocationId: "0", item: 1 });
    await complete("0", {});
    expect(told).toEqual(["up", "joined ticker/tennis"]);
  });

  test("is begun anew on the next connection, where the old one's id means nothing", async () => {
    const { join, connect, reconnect, asked, told, hub } = setUp();
    join("ticker/tennis");
    await connect();
    await reconnect();
    expect(asked()).toEqual(['1 Ticker["tennis"]']);
    hub.peer.send({ type: 2, invocationId: "0", item: 1 }, { type: 2, invocationId: "1", item: 2 });
    expect(told.at(-1)).toBe("ticker/tennis 2");
  });
});

describe("invoking", () => {
  test("gives the result as the origin wrote it, and null for none", async () => {
    const { source, connect, asked, complete, hub } = setUp();
    await connect();
    const results = [source.invoke("Get", [1, { a: null }]), source.invoke("Void", [])];
    expect(asked()).toEqual(['0 Get[1,{"a":null}]', "1 Void[]"]);
    hub.peer.send('{"type":3,"invocationId":"0","result":{"price":2.10}}');
    await complete("1", {});
    expect(await Promise.all(results)).toEqual(['{"price":2.10}', "null"]);
  });

  test("fails with the origin's text", async () => {
    const { source, connect, complete } = setUp();
    await connect();
    const failed = expect(source.invoke("Get", [])).rejects.toThrow(
      new HubError("HubException: no"),
    );
    await complete("0", { error: "HubException: no" });
    await failed;
  });

  test("fails while the origin is away, and when it goes", async () => {
    const { source, connect, hub } = setUp();
    await expect(source.invoke("Get", [])).rejects.toThrow(UnavailableError);
    await connect();
    const failed = expect(source.invoke("Get", [])).rejects.toThrow(
      new UnavailableError("connection closed (1006)"),
    );
    hub.peer.close();
    await failed;
    await expect(source.invoke("Get", [])).rejects.toThrow(UnavailableError);
  });

  test("fails when too many calls wait, and goes on when one is answered", async () => {
    const { source, connect, complete } = setUp({ maxInvocations: 2 });
    await connect();
    const results = [source.invoke("Get", [1]), source.invoke("Get", [2])];
    await expect(source.invoke("Get", [3])).rejects.toThrow("Too many calls wait for the origin");
    await complete("0");
    results.push(source.invoke("Get", [4]));
    await complete("1");
    await complete("2");
    expect(await Promise.all(results)).toEqual(["null", "null", "null"]);
  });

  test("is not kept from it by joins, leaves and streams, however many", async () => {
    const { source, join, connect, asked, complete } = setUp({ maxInvocations: 1 });
    const left = join("match/0");
    await connect();
    await complete("0");
    source.leave(left);
    for (const name of ["match/1", "match/2", "ticker/tennis", "ticker/golf"]) join(name);
    asked();
    void source.invoke("Get", []).catch(() => {});
    expect(asked()).toEqual(["6 Get[]"]);
  });
});

describe("a push", () => {
  const push = { type: 1, target: "Odds", arguments: [42, 2.1] };
  const refusal = `s1 completed {"error":"Client didn't provide a result."}`;

  test("is passed on", async () => {
    const { connect, hub, told } = setUp();
    await connect(push);
    hub.peer.send(push);
    expect(told.filter((text) => text !== "up")).toEqual(["Odds[42,2.1]", "Odds[42,2.1]"]);
  });

  test("that wants a result of one client is told that it gets none", async () => {
    const { connect, hub, told, asked, stats } = setUp();
    await connect();
    hub.peer.send({ ...push, invocationId: "s1" });
    expect(asked()).toEqual([refusal]);
    expect(told).toEqual(["up", "Odds[42,2.1]"]);
    expect(stats.refusedClientResults).toBe(1);
  });

  // A hub that asks in OnConnectedAsync waits for the answer before it listens to anything else.
  test("that wants a result is answered in the frame of the handshake too", async () => {
    const { connect, asked } = setUp();
    await connect({ ...push, invocationId: "s1" });
    expect(asked()).toEqual([refusal]);
  });
});

describe("a lost connection", () => {
  test("is told at once, and tried again after a wait that doubles up to its bound", async () => {
    const { source, connect, hub, clock, told } = setUp();
    hub.connect = () => Promise.reject(new Error("refused"));
    source.start();
    await turn();
    for (const waitMs of [1_000, 2_000, 4_000, 8_000, 8_000]) {
      const attempts = hub.negotiations.length;
      clock.advance(waitMs - 2);
      await turn();
      expect(hub.negotiations).toHaveLength(attempts);
      clock.advance(2);
      await turn();
      expect(hub.negotiations).toHaveLength(attempts + 1);
    }
    expect(told).toEqual([]);
    expect(source.connected).toBe(false);
    hub.connect = () => undefined;
    clock.advance(8_000);
    await connect();
    expect(source.connected).toBe(true);
    hub.peer.close();
    expect(source.connected).toBe(false);
    expect(told).toEqual(["up", "down"]);
  });

  test.each([
    ["lived long", 5_000, { type: 7, allowReconnect: true }, 1_000],
    ["lived but a moment", 4_999, { type: 7, allowReconnect: true }, 4_000],
    ["was ended for good", 5_000, { type: 7 }, 4_000],
  ])("that %s decides on the next wait", async (_, livedMs, close, waitMs) => {
    const { source, connect, hub, clock } = setUp();
    hub.connect = () => Promise.reject(new Error("refused"));
    source.start();
    for (const pastMs of [0, 1_000]) {
      clock.advance(pastMs);
      await turn();
    }
    hub.connect = () => undefined;
    clock.advance(2_000);
    await connect();
    clock.advance(livedMs);
    hub.peer.send(close);
    await turn();
    const attempts = hub.negotiations.length;
    clock.advance(waitMs - 2);
    await turn();
    expect(hub.negotiations).toHaveLength(attempts);
    clock.advance(2);
    await turn();
    expect(hub.negotiations).toHaveLength(attempts + 1);
  });

  test("waits a random part of its bound", async () => {
    const { source, hub, clock } = setUp({ random: () => 0.25 });
    hub.connect = () => Promise.reject(new Error("refused"));
    source.start();
    await turn();
    clock.advance(249);
    await turn();
    expect(hub.negotiations).toHaveLength(1);
    clock.advance(1);
    await turn();
    expect(hub.negotiations).toHaveLength(2);
  });

  // A hub whose OnConnectedAsync throws closes right behind the handshake: the connection was dead
  // before it was known, and what was asked of it was counted as in flight for good.
  test("in the frame of its handshake is lost, and the next one works", async () => {
    const { source, connect, clock, join, asked, complete, told } = setUp({
      maxJoinsInFlight: 1,
    });
    join("match/1");
    join("match/2");
    await connect({ type: 7, error: "Connection closed with an error." });
    expect(source.connected).toBe(false);
    await expect(source.invoke("Get", [])).rejects.toThrow(UnavailableError);
    clock.advance(8_000);
    await connect();
    expect(source.connected).toBe(true);
    expect(asked()).toHaveLength(1);
    await complete("0")
      .then(() => complete("1"))
      .then(() => complete("2"));
    expect(asked()).toHaveLength(1);
    expect(told.at(-1)).toMatch(/^joined match/);
  });
});

describe("stopping", () => {
  test("says goodbye and does not come back", async () => {
    const { source, connect, hub, clock, told, asked } = setUp();
    await connect();
    await source.stop();
    expect(asked()).toEqual(["close"]);
    expect(hub.peer.closed).toBe(1000);
    expect(told).toEqual(["up", "down"]);
    clock.advance(100_000);
    await turn();
    expect(hub.negotiations).toHaveLength(1);
  });

  test("does not wait for a pause to end, nor for an attempt", async () => {
    const { source, connect, hub } = setUp();
    await connect();
    hub.peer.close();
    await turn();
    await source.stop();

    const other = setUp();
    other.source.start();
    await turn();
    await other.source.stop();
    expect(other.hub.peer.closed).toBe(1000);
  });

  test("before the start is nothing", async () => {
    const { source, hub } = setUp();
    await source.stop();
    expect(hub.negotiations).toHaveLength(0);
  });
});
