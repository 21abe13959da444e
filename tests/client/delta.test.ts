import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createBases, MAX_KEYS } from "../../lib/client/delta.ts";
import { decode, type TopicMessage } from "../../lib/client/message.ts";
import { createTopic } from "../../lib/client/topic.ts";
import type { Update } from "../../lib/client/update.ts";
import type { Publication } from "../../lib/topic/publication.ts";
import { printDelta, printWhole } from "../../lib/wire/delta.ts";
import { createPublication } from "../support/publication.ts";
import { listen, opening, recovered, serve, startFeed } from "./client.ts";
import { startRelay } from "./relay.ts";

const a = "match/1";
const b = "match/2";

interface Market {
  readonly id: string;
  readonly name: string;
  price: number;
}

/** The publications of a feed with one topic. */
function createScript(topic: string) {
  const latest = new Map<string, Publication>();
  let sequence = 0;
  return {
    latest,
    /** The price of a market changes. */
    publish(id: string, price: number): Publication {
      const market: Market = { id, name: "Over/under 2.5, whole match", price };
      const publication = createPublication({
        topic,
        sequence: ++sequence,
        position: `x:${sequence}`,
        event: "OddsChanged",
        raw: JSON.stringify([market]),
        argumentCount: 1,
        key: `OddsChanged ${id}`,
        previous: latest.get(id),
      });
      latest.set(id, publication);
      return publication;
    },
    position: () => `x:${sequence}`,
  };
}

function marketOf(update: Update): Market {
  expect(update).toMatchObject({ type: "publication" });
  return (update as unknown as { readonly data: Market }).data; // the script publishes nothing else
}

/** A topic of a socket that asked for deltas, open and empty. */
async function connect() {
  const relay = await startRelay();
  const feed = startFeed(`${relay.url}?tenant=7`, { transport: "websocket", delta: true });
  const topic = listen(feed, a);
  const peer = await relay.nextPeer();
  expect(peer.url.search).toBe("?tenant=7&delta=splice");
  await serve(peer, a);
  await topic.next();
  await topic.next();
  return { relay, feed, topic, peer, script: createScript(a) };
}

describe("deltas", () => {
  test("make the same publications, whatever the application does to them", async () => {
    const { topic, peer, script } = await connect();
    for (const price of [1.85, 1.9, 1.95]) {
      const line = printDelta(script.publish("ou", price));
      expect(line.startsWith("[")).toBe(price > 1.85);
      peer.send(line);
      const update = await topic.next();
      expect(update).toMatchObject({ event: "OddsChanged", position: script.position() });
      expect(marketOf(update)).toEqual({ id: "ou", name: "Over/under 2.5, whole match", price });
      marketOf(update).price = 0;
    }
  });

  test("go on after a reconnect that recovered", async () => {
    const { relay, topic, peer, script } = await connect();
    peer.send(printDelta(script.publish("ou", 1.85)));
    await topic.next();
    peer.cut();
    await topic.next();
    const again = await relay.nextPeer();
    expect(await serve(again)).toMatchObject({ topics: [{ topic: a, since: "x:1" }] });
    again.send(printDelta(script.publish("ou", 1.9)), recovered(a, 2));
    expect(marketOf(await topic.next()).price).toBe(1.9);
    expect(await topic.next()).toMatchObject({ type: "recovered" });
  });

  test("go on from what was in a reset", async () => {
    const { topic, peer, script } = await connect();
    const first = script.publish("ou", 1.85);
    const [reset, end] = opening(a, 1);
    peer.send(reset!, printWhole(first), end!, printDelta(script.publish("ou", 1.9)));
    expect(await topic.next()).toMatchObject({
      type: "reset",
      latest: [{ data: { price: 1.85 } }],
    });
    expect(marketOf(await topic.next()).price).toBe(1.9);
  });

  test("go on from before a reset that was cut in the middle", async () => {
    const { relay, topic, peer, script } = await connect();
    peer.send(printDelta(script.publish("ou", 1.85)));
    await topic.next();
    const missed = [1.9, 1.95].map((price) => script.publish("ou", price));
    const [reset] = opening(a, 3);
    peer.send({ type: "stale", topic: a }, reset!, printWhole(missed[1]!));
    await topic.next();
    peer.cut();
    const again = await relay.nextPeer();
    expect(await serve(again)).toMatchObject({ topics: [{ topic: a, since: "x:1" }] });
    again.send(...missed.map(printDelta), recovered(a, 3));
    for (const price of [1.9, 1.95]) expect(marketOf(await topic.next()).price).toBe(price);
    expect(await topic.next()).toMatchObject({ type: "recovered" });
  });

  test("without their base have the topic reset, and nothing is told before", async () => {
    const { topic, peer, script } = await connect();
    peer.send(printDelta(script.publish("ou", 1.85)));
    await topic.next();
    script.publish("ou", 1.9); // which does not come
    peer.send(printDelta(script.publish("ou", 1.95)));
    expect(await topic.next()).toMatchObject({ type: "state", state: "stale" });
    expect(await peer.next()).toEqual({ type: "subscribe", id: 2, topics: [{ topic: a }] });
    const last = script.publish("ou", 2);
    peer.send(printDelta(last), printWhole(script.publish("1x2", 5), "x:5")); // from before the answer
    const [reset, end] = opening(a, 5);
    peer.send(reset!, ...[...script.latest.values()].map((one) => printWhole(one)), end!);
    expect(await topic.next()).toMatchObject({
      type: "reset",
      latest: [{ data: { price: 2 } }, { data: { price: 5 } }],
    });
    expect(await topic.next()).toMatchObject({ type: "state", state: "live" });
    peer.send(printDelta(script.publish("ou", 2.05)));
    expect(marketOf(await topic.next()).price).toBe(2.05);
  });

  test("against another base have the topic reset, and the others of a stream resume", async () => {
    const relay = await startRelay();
    const feed = startFeed(relay.url, { transport: "sse", delta: true });
    const topic = listen(feed, a);
    const other = listen(feed, b);
    const stream = await relay.nextStream();
    expect(stream.url.searchParams.get("delta")).toBe("splice");
    stream.open();
    stream.send(...opening(a, 0), ...opening(b, 0));
    for (const each of [topic, topic, other, other]) await each.next();
    const script = createScript(a);
    const first = script.publish("ou", 1.85);
    stream.send(
      printWhole({ ...first, raw: first.raw.toString().replace("match", "Match") }, "x:1"),
    );
    await topic.next();
    stream.send(printDelta(script.publish("ou", 1.9)));
    expect(await topic.next()).toMatchObject({ type: "state", state: "stale" });
    const again = await relay.nextStream();
    expect(again.url.searchParams.getAll("since")).toEqual(["", "x:0"]);
    again.open();
    again.send(...opening(a, 2), recovered(b, 2));
    expect(await topic.next()).toMatchObject({ type: "reset" });
    expect(await other.next()).toMatchObject({ type: "recovered" });
  });

  test.each([
    [MAX_KEYS - 1, { data: { price: 1.9 } }],
    [MAX_KEYS, undefined],
  ])("find their base behind %i other keys: %o", (others, item) => {
    const script = createScript(a);
    const bases = createBases();
    keep(bases, printWhole(script.publish("ou", 1.85)));
    const text = "0";
    for (let n = 0; n < others; n++) {
      bases.keep({
        type: "publication",
        topic: a,
        event: "e",
        data: 0,
        key: `${n}`,
        sequence: -n,
        text,
      });
    }
    const message = decode(printDelta(script.publish("ou", 1.9)));
    const found = message.type === "delta" ? bases.apply(message.delta) : "no delta";
    if (item) expect(found).toMatchObject(item);
    else expect(found).toBeUndefined();
  });
});

function keep(bases: ReturnType<typeof createBases>, line: string): void {
  const message = decode(line);
  if (message.type === "publication") bases.keep(message);
}

/** What happens; `lose` takes away what is under way of the last publications. */
const step = fc.oneof(
  fc.constantFrom("lose" as const, "lose" as const, "cut" as const, "wait" as const),
  fc.record({ publish: fc.constantFrom("a", "b") }),
);

/** A relay with one topic, and what it has sent. */
function createModel() {
  const script = createScript(a);
  const published: Publication[] = [];
  return {
    published,
    wire: [] as { readonly line: string; readonly isLive: boolean }[],
    publish(key: string) {
      const publication = script.publish(key, published.length + 1);
      published.push(publication);
      this.wire.push({ line: printDelta(publication), isLive: true });
    },
    open(since: string | undefined) {
      const kind = { topic: a, position: script.position(), state: "live" };
      const end = { type: "subscribed", ...kind, recovered: since !== undefined };
      const lines =
        since === undefined
          ? [
              JSON.stringify({ type: "reset", topic: a, reason: "new" }),
              ...[...script.latest.values()].map((publication) => printWhole(publication)),
            ]
          : published.slice(Number(since.slice(2))).map(printDelta);
      for (const line of [...lines, JSON.stringify(end)]) this.wire.push({ line, isLive: false });
    },
    /** The newest price of each market. */
    prices: () => new Map([...script.latest].map(([id, { sequence }]) => [id, sequence])),
  };
}

describe("a topic that loses messages", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  /** Makes a topic, and who believes each update and spoils what it is given. */
  function follow() {
    const prices = new Map<string, number>();
    const waits: number[] = [];
    const host = { revive: (value: unknown) => value, onDue() {}, onGone() {} };
    const topic = createTopic(a, { ...host, waitMs: (losses) => waits.push(losses) });
    topic.attach(
      (update) => {
        if (update.type === "reset") prices.clear();
        if (update.type !== "reset" && update.type !== "publication") return;
        for (const { data } of update.type === "reset" ? update.latest : [update]) {
          const market = data as Market; // the script publishes nothing else
          // The price is the sequence, so what is told with a position can be judged at once.
          if (update.type === "publication") expect(update.position).toBe(`x:${market.price}`);
          prices.set(market.id, market.price);
          market.price = Number.NaN;
        }
      },
      () => {},
    );
    return { topic, prices, waits };
  }

  test("never tells what is wrong, and ends with what is right", () => {
    let losses = 0;
    fc.assert(
      fc.property(fc.array(fc.tuple(step, fc.nat(3)), { maxLength: 40, size: "max" }), (steps) => {
        const model = createModel();
        const { topic, prices, waits } = follow();

        /** The relay answers at once, behind all that it has sent before. */
        function ask() {
          if (!topic.due) return;
          const { since } = topic;
          topic.ask(1);
          model.open(since);
        }
        function arrive(count: number) {
          for (const { line } of model.wire.splice(0, count)) {
            topic.accept(decode(line) as TopicMessage); // a relay's line is of a topic, here
          }
          ask();
        }

        ask();
        for (const [what, count] of steps) {
          arrive(count);
          if (typeof what === "object") model.publish(what.publish);
          if (what === "lose") model.wire = model.wire.filter(({ isLive }) => !isLive);
          if (what === "wait") vi.runAllTimers();
          if (what === "cut") {
            model.wire = [];
            topic.cut();
          }
          ask();
        }
        // What was lost last is noticed with the next one.
        for (const key of ["a", "b"]) model.publish(key);
        for (let round = 0; round < 3; round++) {
          arrive(model.wire.length);
          vi.runAllTimers();
          ask();
        }
        expect(model.wire).toEqual([]);
        expect(prices).toEqual(model.prices());
        losses += waits.length;
      }),
      { numRuns: 500 },
    );
    expect(losses).toBeGreaterThan(20);
  });

  test("waits longer each time, and no longer when nobody listens any more", () => {
    const model = createModel();
    const { topic, waits } = follow();
    for (let n = 0; n < 3; n++) {
      topic.ask(1);
      model.open(undefined);
      for (const { line } of model.wire.splice(0)) topic.accept(decode(line) as TopicMessage);
      model.publish("a");
      model.publish("a");
      const last = model.wire.splice(0).at(-1);
      topic.accept(decode(last!.line) as TopicMessage);
      model.publish("a");
      topic.accept(decode(model.wire.splice(0)[0]!.line) as TopicMessage); // lost already
      expect(topic.due).toBe(false);
      if (n < 2) vi.runAllTimers();
    }
    expect(waits).toEqual([0, 1, 2]);
    expect(vi.getTimerCount()).toBe(1);
    topic.close();
    expect(vi.getTimerCount()).toBe(0);
  });
});
