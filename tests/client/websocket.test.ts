import superjson from "superjson";
import { describe, expect, test, vi } from "vitest";
import { z } from "zod";
import { createFeed, type Update } from "../../lib/client/feed.ts";
import {
  catchReports,
  item,
  listen,
  opening,
  reach,
  recovered,
  serve,
  startFeed,
} from "./client.ts";
import { createQueue } from "./queue.ts";
import { startRelay } from "./relay.ts";

const a = "match/1";
const b = "match/2";

/** A relay, a feed and a listener whose topic is open. */
async function connect(options: Parameters<typeof startFeed>[1] = {}) {
  const relay = await startRelay();
  const feed = startFeed(relay.url, { transport: "websocket", ...options });
  const topic = listen(feed, a);
  const peer = await relay.nextPeer();
  await serve(peer, a);
  await topic.next();
  await topic.next();
  return { relay, feed, topic, peer };
}

describe("over a WebSocket", () => {
  test("topics of one moment are one request, and a reset comes only whole", async () => {
    const relay = await startRelay();
    const feed = startFeed(relay.url, { transport: "websocket" });
    expect(relay.seen).toEqual([]);
    const first = listen(feed, a);
    const second = listen(feed, b);
    const peer = await relay.nextPeer();
    expect(await peer.next()).toEqual({ type: "ping" });
    expect(await peer.next()).toEqual({
      type: "subscribe",
      id: 1,
      topics: [{ topic: a }, { topic: b }],
    });
    peer.send({ type: "reset", topic: a, reason: "new", snapshot: { score: 1 } }, item(a, 10));
    peer.send(...opening(b, 4));
    expect(await second.next()).toMatchObject({ type: "reset", topic: b });
    expect(feed.topic(a).state).toBe("connecting"); // its reset is not whole yet
    peer.send(item(a, 11), ...opening(a, 5).slice(1));
    expect(await first.next()).toEqual({
      type: "reset",
      topic: a,
      reason: "new",
      snapshot: { score: 1 },
      latest: [
        { event: "OddsChanged", data: 10 },
        { event: "OddsChanged", data: 11 },
      ],
      position: "x:5",
    });
    expect(await first.next()).toMatchObject({ type: "state", state: "live" });
    peer.send(item(a, 12, 6));
    expect(await first.next()).toEqual({
      type: "publication",
      topic: a,
      event: "OddsChanged",
      data: 12,
      position: "x:6",
    });
    expect(feed.status).toEqual({ state: "open", transport: "websocket" });
  });

  test("a lost connection is resumed from each topic's position", async () => {
    const { relay, feed, topic, peer } = await connect();
    const late = listen(feed, b);
    expect(await peer.next()).toEqual({ type: "subscribe", id: 2, topics: [{ topic: b }] });
    peer.send(...opening(b, 3), item(a, 1, 7));
    expect(await topic.next()).toMatchObject({ type: "publication" });
    await late.next();
    await late.next();
    peer.cut();
    expect(await topic.next()).toMatchObject({ type: "state", state: "stale" });
    const again = await relay.nextPeer();
    expect(await serve(again)).toEqual({
      type: "subscribe",
      id: 1,
      topics: [
        { topic: a, since: "x:7" },
        { topic: b, since: "x:3" },
      ],
    });
    again.send(item(a, 2, 8), recovered(a, 8));
    expect(await topic.next()).toMatchObject({ type: "publication", data: 2 });
    expect(await topic.next()).toEqual({ type: "recovered", topic: a, position: "x:8" });
    expect(await topic.next()).toMatchObject({ type: "state", state: "live" });
  });

  test("what was half sent is forgotten when the connection is lost", async () => {
    const { relay, topic, peer } = await connect();
    peer.send(
      { type: "stale", topic: a },
      { type: "reset", topic: a, reason: "break" },
      item(a, 1),
    );
    expect(await topic.next()).toMatchObject({ type: "state", state: "stale" });
    peer.cut();
    const again = await relay.nextPeer();
    expect(await serve(again)).toMatchObject({ topics: [{ topic: a, since: "x:0" }] });
    again.send(item(a, 2, 1), recovered(a, 1));
    expect(await topic.next()).toMatchObject({ type: "publication", data: 2 });
  });

  test("a publication is not delivered twice", async () => {
    const { topic, peer } = await connect();
    peer.send(item(a, 1, 1), item(a, 1, 1), item(a, 2, 2));
    expect(await topic.next()).toMatchObject({ data: 1 });
    expect(await topic.next()).toMatchObject({ data: 2 });
  });

  test("a topic whose origin goes and comes back is stale, then starts over", async () => {
    const { topic, peer } = await connect();
    peer.send({ type: "stale", topic: a, lastMessageAt: 17 });
    expect(await topic.next()).toEqual({
      type: "state",
      topic: a,
      state: "stale",
      lastMessageAt: 17,
    });
    peer.send({ type: "reset", topic: a, reason: "break" }, item(a, 1), {
      type: "live",
      topic: a,
      position: "x:9",
    });
    expect(await topic.next()).toMatchObject({ type: "reset", reason: "break", position: "x:9" });
    expect(await topic.next()).toMatchObject({ type: "state", state: "live" });
  });

  test("the relay is asked to stop when the last listener of a topic has gone", async () => {
    const { feed, topic, peer } = await connect();
    const other = listen(feed, a);
    await peer.next();
    peer.send(...opening(a, 1));
    await other.next();
    topic.stop();
    expect(feed.topic(a).state).toBe("live");
    other.stop();
    expect(await peer.next()).toEqual({ type: "unsubscribe", topics: [a] });
  });

  test("who comes later gets the state, and so does everybody else", async () => {
    const { feed, topic, peer } = await connect();
    const late = listen(feed, a);
    expect(await peer.next()).toEqual({ type: "subscribe", id: 2, topics: [{ topic: a }] });
    peer.send(item(a, 1, 1), ...opening(a, 1, "whole"));
    expect(await topic.next()).toMatchObject({ type: "publication" });
    expect(await topic.next()).toMatchObject({ type: "reset" });
    expect(await late.next()).toMatchObject({ type: "reset", latest: [{ data: "whole" }] });
    expect(await late.next()).toMatchObject({ type: "state", state: "live" });
  });

  test("who comes while the topic is being resumed gets the state afterwards", async () => {
    const { relay, feed, peer } = await connect();
    peer.cut();
    const again = await relay.nextPeer();
    await serve(again);
    const late = listen(feed, a);
    again.send(recovered(a, 0));
    expect(await again.next()).toEqual({ type: "subscribe", id: 2, topics: [{ topic: a }] });
    again.send(...opening(a, 0, "whole"));
    expect(await late.next()).toMatchObject({ type: "reset", latest: [{ data: "whole" }] });
  });

  test("a topic left and wanted again at once is open in the end", async () => {
    const { feed, topic, peer } = await connect();
    topic.stop();
    expect(await peer.next()).toMatchObject({ type: "unsubscribe" });
    const again = listen(feed, a);
    expect(await peer.next()).toMatchObject({ type: "subscribe", id: 2 });
    // An opening from before the request to leave satisfies the new listener, and then is void.
    peer.send(...opening(a, 1));
    expect(await again.next()).toMatchObject({ type: "reset", position: "x:1" });
    peer.send({ type: "unsubscribed", topic: a, reason: "requested" });
    expect(await peer.next()).toMatchObject({ type: "subscribe", id: 3 });
    peer.send(...opening(a, 2));
    await again.next();
    expect(await again.next()).toMatchObject({ type: "reset", position: "x:2" });
  });

  test("an opening that nobody waits for any more is asked to stop", async () => {
    const { peer } = await connect();
    peer.send(...opening(b, 1));
    expect(await peer.next()).toEqual({ type: "unsubscribe", topics: [b] });
  });

  test("more topics than one request may have are several requests", async () => {
    const relay = await startRelay();
    const feed = startFeed(relay.url, { transport: "websocket" });
    for (let n = 0; n < 101; n++) listen(feed, `match/${n}`);
    const peer = await relay.nextPeer();
    await peer.answer();
    expect(await peer.next()).toMatchObject({ id: 1, topics: { length: 100 } });
    expect(await peer.next()).toEqual({
      type: "subscribe",
      id: 2,
      topics: [{ topic: "match/100" }],
    });
  });
});

describe("a rate", () => {
  test("goes out with the topic, and what is left out is told of", async () => {
    const relay = await startRelay();
    const feed = startFeed(relay.url, { transport: "websocket" });
    const updates = createQueue<Update>();
    feed.topic(a, { rate: 0.5 }).on((update) => updates.push(update));
    const peer = await relay.nextPeer();
    expect(await serve(peer, a)).toMatchObject({ topics: [{ topic: a, rate: 0.5 }] });
    await updates.next();
    await updates.next();
    peer.send({ type: "conflated", topic: a, skipped: 7 }, item(a, 1, 8));
    expect(await updates.next()).toEqual({ type: "conflated", topic: a, skipped: 7 });
    expect(await updates.next()).toMatchObject({ type: "publication", data: 1 });
  });

  test("is that of the listener who wants most", async () => {
    const relay = await startRelay();
    const feed = startFeed(relay.url, { transport: "websocket" });
    const stop = feed.topic(a, { rate: 2 }).on(() => {});
    feed.topic(a, { rate: 1 }).on(() => {});
    const peer = await relay.nextPeer();
    await peer.answer();
    expect(await peer.next()).toMatchObject({ topics: [{ topic: a, rate: 2 }] });
    // Who comes while the answer is under way has it asked for again, and nothing is missed by it.
    feed.topic(a, { rate: 5 }).on(() => {});
    peer.send(...opening(a, 1));
    expect(await peer.next()).toMatchObject({ topics: [{ topic: a, since: "x:1", rate: 5 }] });
    peer.send(recovered(a, 1));
    stop();
    feed.topic(a).on(() => {});
    expect(await peer.next()).toEqual({ type: "subscribe", id: 3, topics: [{ topic: a }] });
  });
});

describe("what a relay refuses", () => {
  test("ends the topic it names, and the others are asked for again", async () => {
    const relay = await startRelay();
    const feed = startFeed(relay.url, { transport: "websocket" });
    const good = listen(feed, a);
    const bad = listen(feed, "nonsense");
    const peer = await relay.nextPeer();
    await serve(peer);
    peer.send({
      type: "error",
      code: "unknown_topic",
      message: "No such",
      id: 1,
      topic: "nonsense",
    });
    expect(await bad.next()).toEqual({
      type: "end",
      topic: "nonsense",
      reason: "rejected",
      error: "No such",
    });
    expect(await peer.next()).toEqual({ type: "subscribe", id: 2, topics: [{ topic: a }] });
    peer.send(...opening(a, 0));
    expect(await good.next()).toMatchObject({ type: "reset" });
  });

  test("without a name is found by asking for each topic alone", async () => {
    const relay = await startRelay();
    const feed = startFeed(relay.url, { transport: "websocket" });
    const good = listen(feed, a);
    const bad = listen(feed, "nonsense");
    const peer = await relay.nextPeer();
    await serve(peer);
    peer.send({ type: "error", code: "invalid_topic", message: "No", id: 1 });
    expect(await peer.next()).toEqual({ type: "subscribe", id: 2, topics: [{ topic: a }] });
    expect(await peer.next()).toEqual({
      type: "subscribe",
      id: 3,
      topics: [{ topic: "nonsense" }],
    });
    peer.send(...opening(a, 0), { type: "error", code: "invalid_topic", message: "No", id: 3 });
    expect(await good.next()).toMatchObject({ type: "reset" });
    expect(await bad.next()).toMatchObject({ type: "end", error: "No" });
  });

  test("for want of room is asked for again", async () => {
    const relay = await startRelay();
    const feed = startFeed(relay.url, { transport: "websocket" });
    const topic = listen(feed, a);
    const peer = await relay.nextPeer();
    await serve(peer);
    peer.send({ type: "error", code: "overloaded", message: "Full", id: 1 });
    expect(await peer.next()).toEqual({ type: "subscribe", id: 2, topics: [{ topic: a }] });
    peer.send(...opening(a, 0));
    expect(await topic.next()).toMatchObject({ type: "reset" });
  });

  test("or ends later is the last update, and a loop is over", async () => {
    const { feed, topic, peer } = await connect();
    const kinds: string[] = [];
    const loop = (async () => {
      for await (const update of feed.topic(a)) kinds.push(update.type);
    })();
    await peer.next();
    peer.send(...opening(a, 1), { type: "unsubscribed", topic: a, reason: "ended" });
    await loop;
    expect(kinds).toEqual(["reset", "state", "end"]);
    expect(await topic.next()).toMatchObject({ type: "reset" });
    expect(await topic.next()).toEqual({
      type: "end",
      topic: a,
      reason: "ended",
      error: undefined,
    });
    expect(feed.topic(a).state).toBe("connecting"); // of a fresh object, which nobody has used
  });

  test("can be asked for again, also by who is just being told", async () => {
    const { feed, peer } = await connect();
    const updates = createQueue<Update>();
    feed.topic(b).on(({ type }) => {
      if (type === "end") feed.topic(b).on((update) => updates.push(update));
    });
    await peer.next();
    peer.send({ type: "unsubscribed", topic: b, reason: "rejected", error: "No" });
    expect(await peer.next()).toEqual({ type: "subscribe", id: 3, topics: [{ topic: b }] });
    peer.send(...opening(b, 1));
    expect(await updates.next()).toMatchObject({ type: "reset" });
  });
});

describe("a connection", () => {
  test("that is drained is left at once and made again when the relay said", async () => {
    const { relay, feed, topic, peer } = await connect();
    const waiting = reach(feed, "waiting");
    const before = Date.now();
    peer.send({ type: "drain", retryMs: 40 }, item(a, "too late", 1));
    await peer.gone;
    expect((await waiting).retryAt).toBeGreaterThanOrEqual(before + 40);
    expect(await topic.next()).toMatchObject({ type: "state", state: "stale" });
    const again = await relay.nextPeer();
    expect(Date.now()).toBeGreaterThanOrEqual(before + 39); // timers may be a millisecond early
    expect(await serve(again)).toMatchObject({ topics: [{ topic: a, since: "x:0" }] });
    again.send(recovered(a, 1));
    expect(await topic.next()).toMatchObject({ type: "recovered" });
  });

  test("closed with a code below 4500 is not made again", async () => {
    const { feed, topic, peer } = await connect();
    const closed = reach(feed, "closed");
    peer.send({ type: "error", code: "invalid_message", message: "Cannot read topics" });
    peer.close(4400, "Cannot parse message");
    expect(await closed).toEqual({ state: "closed", error: "Cannot read topics" });
    expect(await topic.next()).toMatchObject({ type: "end", error: "Cannot read topics" });
    expect(feed.topic(a).state).toBe("closed");
    expect(await feed.topic(a)[Symbol.asyncIterator]().next()).toMatchObject({ done: true });
  });

  test("closed with a code from 4500 on is made again", async () => {
    const { relay, feed, peer } = await connect();
    const waiting = reach(feed, "waiting");
    peer.close(4508, "Too slow");
    expect(await waiting).toMatchObject({ transport: "websocket", error: "Too slow" });
    await relay.nextPeer();
  });

  test("that is silent is dead", async () => {
    const { relay, feed, peer } = await connect({ silenceMs: 60 });
    const waiting = reach(feed, "waiting");
    await peer.gone;
    expect((await waiting).error).toBe("The relay was silent for 60 ms");
    await relay.nextPeer();
  });

  test("over which nonsense comes is made again", async () => {
    const { relay, feed, peer } = await connect();
    const waiting = reach(feed, "waiting");
    peer.send('"nonsense"');
    expect((await waiting).error).toContain("Cannot read message");
    await relay.nextPeer();
  });

  test("ignores messages of unknown types and for unknown topics", async () => {
    const { topic, peer } = await connect();
    peer.send({ type: "news" } as never, item("other", 1, 1), item(a, 1, 1));
    expect(await topic.next()).toMatchObject({ data: 1 });
  });

  test("carries the token in the query, below the path of the relay", async () => {
    const relay = await startRelay();
    const feed = startFeed(`${relay.url.replace("http", "ws")}/eu?tenant=7`, {
      transport: "websocket",
      accessToken: async () => "s3cret",
    });
    listen(feed, a);
    const { url } = await relay.nextPeer();
    expect(`${url.pathname}${url.search}`).toBe("/eu/ws?tenant=7&access_token=s3cret");
  });

  test("for which no token can be had is tried again", async () => {
    const relay = await startRelay();
    let asked = 0;
    const accessToken = () => {
      if (asked++ === 0) throw new Error("Not signed in");
      return "s3cret";
    };
    const feed = startFeed(relay.url, { transport: "websocket", accessToken });
    const waiting = reach(feed, "waiting");
    listen(feed, a);
    expect((await waiting).error).toBe("Error: Not signed in");
    await relay.nextPeer();
  });
});

describe("the application", () => {
  test("may throw in a listener: it is reported, and the others are served", async () => {
    const report = catchReports();
    const relay = await startRelay();
    const feed = startFeed(relay.url, { transport: "websocket" });
    const error = new Error("of the application");
    const fail = () => {
      throw error;
    };
    feed.topic(a).on(fail);
    feed.onStatus(fail);
    const topic = listen(feed, a);
    await serve(await relay.nextPeer(), a);
    expect(await topic.next()).toMatchObject({ type: "reset" });
    expect(await topic.next()).toMatchObject({ type: "state" });
    expect(report.mock.calls.length).toBeGreaterThanOrEqual(3);
    expect(report.mock.calls.every(([reported]) => reported === error)).toBe(true);
  });

  test("gets superjson values back when it asks for that", async () => {
    const { deserialize } = superjson;
    const { topic, peer } = await connect({ deserialize });
    const at = new Date(7);
    const plain = { json: 1, other: 2 };
    const boxed = superjson.serialize({ at, tags: new Set(["x"]) });
    peer.send(
      { type: "stale", topic: a },
      { type: "reset", topic: a, reason: "break", snapshot: boxed },
    );
    peer.send(item(a, boxed), { type: "live", topic: a, position: "x:1" }, item(a, plain, 2));
    await topic.next();
    const value = { at, tags: new Set(["x"]) };
    expect(await topic.next()).toMatchObject({ snapshot: value, latest: [{ data: value }] });
    await topic.next();
    expect(await topic.next()).toMatchObject({ type: "publication", data: plain });
  });

  test("is told of data that its schema refuses, and does not get it", async () => {
    const report = catchReports();
    const { feed, peer } = await connect();
    const schema = z.object({ price: z.coerce.number() });
    const updates = createQueue<Update<{ price: number }>>();
    feed.topic(a, { schema }).on((update) => updates.push(update));
    await peer.next();
    peer.send(...opening(a, 1, { price: "2.5" }, { cost: 3 }), item(a, { price: "x" }, 2));
    peer.send(item(a, { price: "4" }, 3));
    expect(await updates.next()).toMatchObject({
      type: "reset",
      latest: [{ data: { price: 2.5 } }],
    });
    await updates.next();
    expect(await updates.next()).toMatchObject({ type: "publication", data: { price: 4 } });
    const texts = report.mock.calls.map(([error]) => String(error));
    expect(texts).toEqual([
      expect.stringMatching(/^TypeError: Cannot accept OddsChanged of match\/1: /),
      expect.stringMatching(/^TypeError: Cannot accept OddsChanged of match\/1: /),
    ]);
  });

  test("is told that a schema is asynchronous, which would let publications overtake", async () => {
    const report = catchReports();
    const { feed, topic, peer } = await connect();
    const schema = z.number().refine(async () => true);
    feed.topic(a, { schema }).on(() => {});
    await peer.next();
    peer.send(...opening(a, 1, 5));
    await topic.next();
    expect(String(report.mock.calls[0]?.[0])).toContain("the schema is asynchronous");
  });

  test("that falls behind in a loop goes on with the state, and others do not notice", async () => {
    const { feed, topic, peer } = await connect();
    const loop = feed.topic(a, { maxPending: 3 })[Symbol.asyncIterator]();
    const first = loop.next();
    await peer.next();
    peer.send(...opening(a, 1));
    expect((await first).value).toMatchObject({ type: "reset", reason: "new" });
    for (let n = 2; n < 9; n++) peer.send(item(a, n, n));
    for (let n = 0; n < 8; n++) await topic.next(); // the reset for the loop, and all seven
    const next = loop.next();
    expect(await peer.next()).toEqual({ type: "subscribe", id: 3, topics: [{ topic: a }] });
    peer.send(...opening(a, 8, "whole"));
    expect((await next).value).toMatchObject({
      type: "reset",
      reason: "overflow",
      latest: [{ data: "whole" }],
    });
    expect((await loop.next()).value).toMatchObject({ type: "state", state: "live" });
  });

  test("that falls behind is still told the end", async () => {
    const { feed, topic, peer } = await connect();
    // Behind the first reset come four updates: the one is over its bound before the end, the other by it.
    const loops = [1, 3].map((maxPending) => feed.topic(a, { maxPending })[Symbol.asyncIterator]());
    const firsts = loops.map((loop) => loop.next());
    await peer.next();
    peer.send(...opening(a, 1), item(a, 2, 2), item(a, 3, 3));
    peer.send({ type: "unsubscribed", topic: a, reason: "ended" });
    await Promise.all(firsts);
    for (let n = 0; n < 4; n++) await topic.next();
    for (const loop of loops) {
      expect((await loop.next()).value).toMatchObject({ type: "end" });
      expect(await loop.next()).toEqual({ done: true, value: undefined });
    }
  });

  test("stops a listener, a loop or all of a topic with a signal", async () => {
    const { feed, topic, peer } = await connect();
    const one = new AbortController();
    const all = new AbortController();
    const seen: string[] = [];
    const handle = feed.topic(a, { signal: all.signal });
    handle.on(({ type }) => seen.push(type), { signal: one.signal });
    const loop = (async () => {
      for await (const update of handle) seen.push(`loop ${update.type}`);
    })();
    one.abort();
    await peer.next();
    peer.send(...opening(a, 1));
    await topic.next();
    all.abort();
    await loop;
    expect(seen).toEqual(["loop reset", "loop state"]);
    topic.stop();
    expect(await peer.next()).toMatchObject({ type: "unsubscribe" });
    handle.on(({ type }) => seen.push(type));
    listen(feed, b);
    expect(await peer.next()).toMatchObject({ type: "subscribe", topics: [{ topic: b }] });
  });

  test("may leave a loop before it has begun", async () => {
    const { feed, topic, peer } = await connect();
    const loop = feed.topic(b)[Symbol.asyncIterator]();
    await loop.return?.();
    expect(await loop.next()).toEqual({ done: true, value: undefined });
    topic.stop();
    expect(await peer.next()).toEqual({ type: "unsubscribe", topics: [a] });
  });

  test("may leave a loop that waits", async () => {
    const { feed, topic, peer } = await connect();
    const loop = feed.topic(a)[Symbol.asyncIterator]();
    const waiting = loop.next();
    await peer.next();
    expect(await loop.return?.()).toMatchObject({ done: true });
    expect(await waiting).toMatchObject({ done: true });
    expect(await loop.next()).toMatchObject({ done: true });
    topic.stop();
    expect(await peer.next()).toMatchObject({ type: "unsubscribe" });
  });

  test("may stop a listener while it is being told something", async () => {
    const relay = await startRelay();
    const feed = startFeed(relay.url, { transport: "websocket" });
    const topic = feed.topic(a);
    const seen: string[] = [];
    const stop = topic.on(({ type }) => {
      seen.push(type);
      stop();
    });
    const peer = await relay.nextPeer();
    await serve(peer, a);
    expect(await peer.next()).toMatchObject({ type: "unsubscribe" });
    expect(seen).toEqual(["reset"]);
    expect(topic.state).toBe("closed");
  });

  test("closes the feed with a signal, and everybody is told", async () => {
    const controller = new AbortController();
    const { feed, topic, peer } = await connect({ signal: controller.signal });
    const closed = reach(feed, "closed");
    controller.abort();
    expect(await closed).toEqual({ state: "closed", error: undefined });
    expect(await topic.next()).toMatchObject({ type: "state", state: "closed" });
    await peer.gone;
    expect(startFeed("http://127.0.0.1:1", { signal: controller.signal }).status.state).toBe(
      "closed",
    );
  });

  test("is told at once of options that cannot be", () => {
    expect(() => createFeed("ftp://relay")).toThrow("Cannot reach a relay by ftp:");
    expect(() => createFeed("no url")).toThrow(TypeError);
    expect(() => createFeed("http://relay", { silenceMs: 0 })).toThrow("Cannot use silenceMs: 0");
    vi.stubGlobal("WebSocket", undefined);
    expect(() => createFeed("http://relay", { transport: "websocket" })).toThrow(TypeError);
    vi.unstubAllGlobals();
    expect(() => createFeed("http://relay").topic("a", { maxPending: 0 })).toThrow(RangeError);
    expect(() => createFeed("http://relay").topic("a", { rate: Number.NaN })).toThrow(RangeError);
  });
});
