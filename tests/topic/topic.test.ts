import { describe, expect, test } from "vitest";
import { createHistoryBudget } from "../../lib/topic/budget.ts";
import { Topic } from "../../lib/topic/topic.ts";
import { createHubSpec } from "../support/hub-spec.ts";
import { printLine } from "../support/line.ts";
import { createPublication } from "../support/publication.ts";

const EPOCH = "k3v9x2ma";

/** A topic of a feed in which only it gets publications, from sequence 1 on. */
function createTopic({ size = 3, isLive = true } = {}) {
  const [spec] = createHubSpec({
    a: { events: { Changed: "a" }, history: { size, ttlMs: 1_000 } },
  }).topics;
  if (!spec) throw new Error("It was declared above");
  const topic = new Topic("a", spec, {}, 0, createHistoryBudget(1_000_000));
  let sequence = 1;
  if (isLive) topic.goLive(sequence);
  const progress = () => ({ epoch: EPOCH, sequence, now: 0, lastMessageAt: undefined });
  return {
    topic,
    publish(key: string) {
      sequence++;
      topic.append(createPublication({ sequence, key, raw: `[${sequence}]` }));
    },
    snapshot(raw: string) {
      topic.snapshot = { raw, sequence: 2, time: 0 };
    },
    /** Another topic of the feed gets a publication. */
    pass() {
      sequence++;
    },
    goLive() {
      topic.goLive(++sequence);
    },
    break() {
      topic.break(sequence);
    },
    open: (since?: string) => topic.opening(since, progress()).map(printLine),
    recovers: (since: string) => topic.recovers(since, progress()),
  };
}

describe("an opening", () => {
  test("of a newcomer is the newest of each key", () => {
    const { publish, open } = createTopic();
    for (const key of ["x", "y", "x", "z"]) publish(key);
    expect(open()).toEqual([
      "a reset new",
      "a Changed[3]",
      "a Changed[4]",
      "a Changed[5]",
      "a subscribed reset live @5",
    ]);
  });

  test("of a known position is what was missed", () => {
    const { publish, open, recovers } = createTopic();
    for (const key of ["x", "y", "x"]) publish(key);
    expect(open(`${EPOCH}:2`)).toEqual([
      "a Changed[3] @3",
      "a Changed[4] @4",
      "a subscribed recovered live @4",
    ]);
    expect(open(`${EPOCH}:4`)).toEqual(["a subscribed recovered live @4"]);
    expect(recovers(`${EPOCH}:2`)).toBe(true);
  });

  test.each(["", "x", "k3v9x2ma", "k3v9x2ma:-1", "k3v9x2ma:5"])(
    "of %j, which is no position here, says so",
    (since) => {
      const { publish, open, recovers } = createTopic();
      for (const key of ["x", "y", "x"]) publish(key);
      expect(open(since)[0]).toBe("a reset invalid");
      expect(recovers(since)).toBe(false);
    },
  );

  test("of a position of another life of the feed says so", () => {
    expect(createTopic().open("00000000:1")[0]).toBe("a reset epoch");
  });

  test("of a position that the history does not reach says so", () => {
    const { publish, open } = createTopic({ size: 2 });
    for (const key of ["x", "x", "x"]) publish(key);
    expect(open(`${EPOCH}:2`)[0]).toBe("a Changed[3] @3");
    expect(open(`${EPOCH}:1`)).toEqual([
      "a reset evicted",
      "a Changed[4]",
      "a subscribed reset live @4",
    ]);
  });

  test("while the origin is away shows what is known as stale", () => {
    const topic = createTopic();
    topic.publish("x");
    topic.break();
    expect(topic.open()).toEqual(["a reset new", "a Changed[2]", "a subscribed reset stale @2"]);
    expect(topic.open(`${EPOCH}:2`)).toEqual(["a subscribed recovered stale @2"]);
    expect(topic.open(`${EPOCH}:1`)).toEqual([
      "a Changed[2] @2",
      "a subscribed recovered stale @2",
    ]);
  });

  test("while it is not live again recovers nothing from behind the loss", () => {
    const topic = createTopic();
    topic.publish("x");
    topic.break();
    topic.publish("x");
    topic.break();
    topic.publish("x");
    expect(topic.open(`${EPOCH}:1`)).toEqual([
      "a Changed[2] @2",
      "a subscribed recovered stale @4",
    ]);
  });

  test("of a topic that was left and is being joined again recovers nothing", () => {
    const topic = createTopic({ isLive: false });
    expect(topic.open(`${EPOCH}:1`)[0]).toBe("a reset evicted");
  });

  test("of a position before a break does not recover across it", () => {
    const topic = createTopic();
    topic.publish("x");
    topic.break();
    topic.goLive();
    topic.publish("x");
    for (const sequence of [1, 2])
      expect(topic.open(`${EPOCH}:${sequence}`)[0]).toBe("a reset break");
    expect(topic.open(`${EPOCH}:3`)[0]).toBe("a Changed[4] @4");
  });

  // Who was told of another topic's publication meanwhile has not been told the new state of this one.
  test("of a position between a break and its end does not recover", () => {
    const topic = createTopic();
    topic.publish("x");
    topic.break();
    topic.pass();
    topic.goLive();
    expect(topic.open(`${EPOCH}:3`)[0]).toMatch(/^a reset /);
  });

  test("shows the snapshot, and only what came after it was asked for", () => {
    const { topic, publish, open } = createTopic();
    for (const key of ["x", "y", "z"]) publish(key);
    topic.snapshot = { raw: '{"v":1.0}', sequence: 3, time: 0 };
    expect(open()).toEqual(['a reset new {"v":1.0}', "a Changed[4]", "a subscribed reset live @4"]);
  });
});

test("a topic that was never live does not become stale, it is still joining", () => {
  const { topic } = createTopic();
  const fresh = new Topic("a", topic.spec, {}, 0, createHistoryBudget(1_000_000));
  fresh.break(0);
  expect(fresh.state).toBe("joining");
  topic.break(1);
  expect(topic.state).toBe("stale");
});

test("the version changes with the state, and not with what other topics get", () => {
  const { topic, publish, snapshot, pass, goLive, break: stall } = createTopic();
  const versions = [topic.version];
  const changes = [() => publish("x"), () => snapshot("1"), () => snapshot("2"), stall];
  for (const change of changes) {
    change();
    versions.push(topic.version);
    pass();
    expect(topic.version).toBe(versions.at(-1));
  }
  expect(new Set(versions).size).toBe(versions.length);
  goLive();
  expect(topic.version).toBe(versions.at(-2));
  snapshot("1");
  expect(topic.version).toBe(versions.at(-3));
});

test("the version is the same for all who know the same, however they came to know it", () => {
  const { topic, publish, snapshot } = createTopic();
  publish("x");
  snapshot("1");
  snapshot("2");
  const other = new Topic("a", topic.spec, {}, 7, createHistoryBudget(1_000_000));
  other.adopt(topic.contents(0), 9);
  expect(other.version).toBe(topic.version);
  snapshot("3");
  expect(other.version).not.toBe(topic.version);
  other.facts = topic.facts;
  expect(other.version).toBe(topic.version);
});
