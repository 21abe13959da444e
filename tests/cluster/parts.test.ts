import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseConfig } from "../../app/config.ts";
import { readServers } from "../../app/nats.ts";
import { createManualClock } from "../../lib/clock.ts";
import { follow } from "../../lib/cluster/image.ts";
import { createLedger } from "../../lib/cluster/ledger.ts";
import { decode, encode, type LogEvent } from "../../lib/cluster/message.ts";
import { nameFeed } from "../../lib/cluster/names.ts";
import { createNumbering } from "../../lib/cluster/numbering.ts";
import { createJoiner, cut } from "../../lib/cluster/pieces.ts";
import { rankOf } from "../../lib/cluster/rank.ts";
import { createWriter } from "../../lib/cluster/writer.ts";
import { findTopic } from "../../lib/feed/spec.ts";
import { createTopicTable } from "../../lib/feed/table.ts";
import { createHistoryBudget } from "../../lib/topic/budget.ts";
import { createHubSpec } from "../support/hub-spec.ts";
import { createPublication } from "../support/publication.ts";

describe("pieces", () => {
  test("make up what was cut, whatever its size, one message after the other", () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 40 })),
        fc.integer({ min: 2, max: 12 }),
        (messages, max) => {
          const joiner = createJoiner();
          const pieces = messages.flatMap((message) => cut(message, max));
          expect(Math.max(0, ...pieces.map(({ length }) => length))).toBeLessThanOrEqual(max);
          expect(pieces.flatMap((piece) => joiner.add(piece) ?? [])).toEqual(messages);
        },
      ),
    );
  });

  test("make nothing of a message whose beginning was not seen", () => {
    const joiner = createJoiner();
    const [, ...rest] = cut(new Uint8Array(9), 4);
    expect(rest.map((piece) => joiner.add(piece))).toEqual([undefined, undefined]);
    expect(cut(new Uint8Array([1]), 4).map((piece) => joiner.add(piece))).toEqual([
      new Uint8Array([1]),
    ]);
  });
});

test("events come through as they were, text and bytes alike", () => {
  const event = (raw: string | Uint8Array): LogEvent => ({
    type: "published",
    name: "odds/1",
    publication: {
      event: "Odds",
      raw,
      argumentCount: 2,
      key: "Odds 1",
      time: 1_700_000_000_123,
      receivedAt: 1.25,
      base: 7,
    },
  });
  for (const raw of ['[1,"ü"]', new Uint8Array([0x92, 1, 2])]) {
    expect(decode<LogEvent>(encode(event(raw)))).toEqual(event(raw));
  }
});

describe("names", () => {
  const names = nameFeed("keryx", "/hubs/live", "json");

  test("hold only what any message system takes", () => {
    expect(names.log).toBe("keryx__2fhubs_2flive_json");
    expect(names.topic("match/4.2~x:y_z")).toMatch(/^[A-Za-z0-9_-]+\.topic\.[A-Za-z0-9_-]+$/);
  });

  test("differ where topics do", () => {
    const topic = fc.string({ unit: fc.constantFrom(..."aB1._~-/:"), minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(topic, topic, (one, other) => {
        expect(names.topic(one) === names.topic(other)).toBe(one === other);
      }),
    );
  });
});

describe("who goes first", () => {
  const machines = ["a", "b", "c", "d"];

  test("is one machine, whoever looks, and none of two has the same place", () => {
    const ranks = machines.map((machine) => rankOf(machine, machines, "feed"));
    expect([...ranks].sort()).toEqual([0, 1, 2, 3]);
  });

  test("is another for other feeds: no machine has them all", () => {
    const firsts = Array.from({ length: 400 }, (_, i) =>
      machines.find((machine) => rankOf(machine, machines, `feed ${i}`) === 0),
    );
    for (const machine of machines) {
      expect(firsts.filter((first) => first === machine).length).toBeGreaterThan(60);
    }
  });
});

test("numbers of the owner are found in the log, and never above the right one", () => {
  fc.assert(
    fc.property(
      fc.nat(1_000),
      fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 50 }),
      (first, steps) => {
        const numbering = createNumbering(first);
        const logged = [first];
        for (const step of steps) {
          logged.push((logged.at(-1) ?? 0) + step);
          numbering.add(logged.at(-1) ?? 0);
        }
        expect(logged.map((_, own) => numbering.logged(own))).toEqual(logged);
      },
    ),
  );
  const long = createNumbering(10);
  for (let own = 1; own <= 70_000; own++) long.add(10 + 2 * own);
  expect(long.logged(69_999)).toBe(10 + 2 * 69_999);
  expect(long.logged(5)).toBe(15);
});

test("an image that follows its events is what they made of the topic", () => {
  const image = {
    name: "a",
    accepted: false,
    joinResult: undefined,
    snapshot: undefined,
    state: "joining" as const,
    publications: [],
    floor: 0,
    brokenAt: -1,
  };
  const publication = {
    event: "E",
    raw: "[]",
    argumentCount: 0,
    key: "E",
    time: 1,
    receivedAt: 1,
    base: undefined,
  };
  const facts = { accepted: true, joinResult: "1", snapshot: undefined };
  const after = [
    { number: 3, event: { type: "reset", name: "a", facts } as const },
    { number: 4, event: { type: "published", name: "a", publication } as const },
    { number: 6, event: { type: "stalled", name: "a" } as const },
  ].reduce(follow, image);
  expect(after).toEqual({
    ...image,
    ...facts,
    state: "stale",
    floor: 3,
    brokenAt: 6,
    publications: [{ ...publication, sequence: 4 }],
  });
});

describe("the configuration of a cluster", () => {
  const hubs = { "/hub": { origin: "http://origin.test/hub" } };

  test("needs no more than a server and a secret", () => {
    const secret = "the same on all machines";
    const { cluster } = parseConfig({ hubs, secret, cluster: { nats: "nats://one:4222" } });
    expect(cluster).toMatchObject({ nats: "nats://one:4222", name: "keryx", leaseMs: 1_500 });
    expect(parseConfig({ hubs }).cluster).toBeUndefined();
  });

  test("has a user or a token in the URL of a server, which is not told to anybody", () => {
    const read = (...urls: string[]) => readServers(urls);
    expect(read("nats://a:1", "tls://b:2")).toEqual({ servers: ["nats://a:1", "tls://b:2"] });
    expect(read("nats://a:1", "nats://me:p%40s:s%2F@b:2")).toEqual({
      servers: ["nats://a:1", "nats://b:2"],
      user: "me",
      password: "p@s:s/",
    });
    expect(read("nats://t%25ken@a")).toEqual({ servers: ["nats://a"], token: "t%ken" });
    expect(() =>
      parseConfig({ hubs, secret: "x".repeat(16), cluster: { nats: "nats://%@a" } }),
    ).toThrow("cluster.nats");
  });

  test("is refused with the name of the field", () => {
    expect(() => parseConfig({ hubs, cluster: { nats: "http://one" } })).toThrow("cluster.nats");
    expect(() => parseConfig({ hubs, cluster: { nats: "nats://one", name: "a.b" } })).toThrow(
      "cluster.name",
    );
  });
});

test("a snapshot in the log is of the publication before it was asked for, whatever else is numbered", () => {
  const stored: LogEvent[] = [];
  const log = {
    life: "1",
    last: 10,
    first: 1,
    append: async (_subject: string, bytes: Uint8Array, after: number) => {
      expect(after).toBe(10 + stored.length);
      stored.push(decode(cutOff(bytes)));
    },
    read: () => () => {},
  };
  const clock = createManualClock();
  const writer = createWriter(log, {
    after: 10,
    storedAt: 0,
    maxBytes: 1_000,
    clock,
    onLost: () => {},
  });
  const table = createTopicTable(createHistoryBudget(1_000));
  const names = nameFeed("test", "/hub", "json");
  const ledger = createLedger(table, { writer, names, onEnded: () => {} });
  const spec = createHubSpec({ "a/{id}": { events: { E: "a/{0}" } } });
  const listener = { published() {}, stalled() {}, reset() {}, ended() {}, changed() {} };
  const declared = findTopic(spec, "a/1");
  if (!declared) throw new Error("It was declared above");
  const { topic } = table.want("a/1", declared, 10, listener);
  ledger.publish(topic, createPublication({ topic: "a/1", sequence: 1 }));
  writer.write(names.control, { type: "beat", term: "x", connected: true });
  ledger.publish(topic, createPublication({ topic: "a/1", sequence: 2 }));
  topic.snapshot = { raw: "1", sequence: 1, time: 0 };
  ledger.goLive(topic, 3);
  expect(stored.map(({ type }) => type)).toEqual(["published", "beat", "published", "reset"]);
  expect(stored.at(-1)).toMatchObject({ facts: { snapshot: { raw: "1", sequence: 11 } } });
  expect(topic.latest.after(-1).map(({ sequence }) => sequence)).toEqual([13]);
});

/** The message of a single piece. */
function cutOff(piece: Uint8Array): Uint8Array {
  return createJoiner().add(piece) ?? new Uint8Array();
}
