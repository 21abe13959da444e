/**
 * What a publication costs, counted instead of timed, so that it is the same on every machine. A
 * change here is a change of the hot path: fewer is a gain to be written down, more needs a reason.
 */

import { beforeEach, describe, expect, test } from "vitest";
import { pushFormat } from "../lib/downstream/hub-format.ts";
import { sseFormat } from "../lib/downstream/sse.ts";
import { wsFormat } from "../lib/downstream/ws.ts";
import type { Format } from "../lib/fanout/format.ts";
import type { Sink } from "../lib/fanout/sink.ts";
import { createTestRelay, type TestRelay } from "./support/test-relay.ts";

const TOPICS: Parameters<typeof createTestRelay>[0] = {
  "match/{id}": {
    params: { id: "integer" },
    join: { method: "Join", args: ["{id}"] },
    events: { Odds: "match/{0.matchId}" },
    key: { Odds: "{0.marketId}" },
    history: { size: 100 },
    slow: "conflate",
  },
};

const ws = counted(wsFormat);
const sse = counted(sseFormat);
const json = counted(pushFormat("json", "websocket"));

/** Who watches: so many clients of a format, with these topics. */
const CLIENTS: readonly (readonly [number, Format, ...(readonly string[])])[] = [
  [300, ws, "match/1"],
  [100, ws, "match/1", "match/2"],
  [200, sse, "match/1"],
  [200, json, "match/1"],
];

/** What is counted. */
interface Cost {
  /** Publications turned into text, by format. */
  readonly renders: Readonly<Record<string, number>>;
  /** Texts joined into what is sent at once, by format. */
  readonly frames: Readonly<Record<string, number>>;
  /** Calls of `Sink.send`, and the publications in them. */
  readonly writes: number;
  readonly deliveries: number;
}

const NOTHING: Cost = { renders: {}, frames: {}, writes: 0, deliveries: 0 };

let relay: TestRelay;
let renders: Record<string, number>;
let frames: Record<string, number>;
let writes: number;

function counted(format: Format): Format {
  const { name } = format;
  return {
    ...format,
    publication(publication) {
      renders[name] = (renders[name] ?? 0) + 1;
      return format.publication(publication);
    },
    frame(renderings) {
      frames[name] = (frames[name] ?? 0) + 1;
      return format.frame(renderings);
    },
  };
}

function createCountingSink(): Sink & { bufferedBytes: number } {
  return {
    bufferedBytes: 0,
    send() {
      writes++;
      return this.bufferedBytes === 0;
    },
  };
}

function connect(format: Format, ...topics: readonly string[]) {
  const sink = createCountingSink();
  const subscriptions = relay.relay.subscriptions({ sink, format, maxTopics: 10, onSlow() {} });
  subscriptions.open(topics.map((topic) => ({ topic })));
  return { sink, subscriptions };
}

function push(matchId: number, times = 1): void {
  for (let i = 0; i < times; i++) relay.source.push("Odds", { matchId, marketId: "1x2", price: i });
}

/** Everything up to the end of the tick. */
function costOf(script: () => void): Cost {
  const { deliveries } = relay.stats;
  renders = {};
  frames = {};
  writes = 0;
  script();
  relay.clock.settle();
  return { renders, frames, writes, deliveries: relay.stats.deliveries - deliveries };
}

beforeEach(async () => {
  relay = createTestRelay(TOPICS);
  renders = {};
  frames = {};
  for (const [count, format, ...topics] of CLIENTS) {
    for (let i = 0; i < count; i++) connect(format, ...topics);
  }
  for (const topic of relay.source.wanted.keys()) relay.source.accept(topic, "null");
  await relay.settle();
});

describe("a tick costs", () => {
  test("with one publication: a rendering a format, a write a client", () => {
    expect(costOf(() => push(1))).toEqual({
      renders: { ws: 1, sse: 1, "signalr-json-websocket": 1 },
      frames: { ws: 2, sse: 1, "signalr-json-websocket": 1 },
      writes: 800,
      deliveries: 800,
    });
  });

  test("with ten publications: no more writes", () => {
    expect(costOf(() => push(1, 10))).toEqual({
      renders: { ws: 10, sse: 10, "signalr-json-websocket": 10 },
      frames: { ws: 2, sse: 1, "signalr-json-websocket": 1 },
      writes: 800,
      deliveries: 8_000,
    });
  });

  test("with publications of two topics: one write for who has both", () => {
    const cost = costOf(() => {
      push(1, 10);
      push(2, 10);
    });
    expect(cost).toEqual({
      renders: { ws: 20, sse: 10, "signalr-json-websocket": 10 },
      frames: { ws: 2, sse: 1, "signalr-json-websocket": 1 },
      writes: 800,
      deliveries: 9_000,
    });
  });

  test("nothing for clients of other topics", () => {
    expect(costOf(() => push(2))).toEqual({
      renders: { ws: 1 },
      frames: { ws: 1 },
      writes: 100,
      deliveries: 100,
    });
  });

  test("nothing with a publication that nobody watches", () => {
    expect(costOf(() => push(3, 100))).toEqual(NOTHING);
  });

  test("nothing for who has left, or lags", () => {
    const gone = connect(ws, "match/2");
    const slow = connect(ws, "match/2");
    gone.subscriptions.closeAll();
    // What it cannot take is more than may wait for it: from here on it is left behind.
    slow.sink.bufferedBytes = 100_000_000;
    costOf(() => push(2));
    expect(costOf(() => push(2, 10))).toEqual({
      renders: { ws: 10 },
      frames: { ws: 1 },
      writes: 100,
      deliveries: 1_000,
    });
  });
});

describe("memory", () => {
  const SUBSCRIBERS = 5_000;
  /** So few that the collector comes by in few of the turns; it seems to give memory back in those. */
  const TICKS = 5;
  const TURNS = 20;
  /** The smallest object has 16 bytes. */
  const MAX_BYTES = 8;

  test("is not taken for each subscriber and publication", () => {
    for (let i = 0; i < SUBSCRIBERS; i++) connect(wsFormat, "match/1");
    const turn = () => {
      const before = process.memoryUsage().heapUsed;
      for (let i = 0; i < TICKS; i++) {
        push(1);
        relay.clock.settle();
      }
      return (process.memoryUsage().heapUsed - before) / (TICKS * SUBSCRIBERS);
    };
    for (let i = 0; i < 2 * TURNS; i++) turn(); // what is compiled meanwhile takes memory, too
    const turns = Array.from({ length: TURNS }, turn).sort((a, b) => a - b);
    expect(turns[TURNS * 0.75]).toBeLessThan(MAX_BYTES);
  });
});
