/**
 * Relay and client library together, deltas between them. Whatever becomes of a connection, the
 * client has the base of each delta that it is sent: a reset that only a lost base makes necessary
 * would come to all clients at once.
 */

import fc from "fast-check";
import { expect, test } from "vitest";
import { decode } from "../../lib/client/message.ts";
import { createTopic } from "../../lib/client/topic.ts";
import { wsDeltaFormat } from "../../lib/downstream/ws.ts";
import { createLimits } from "../support/limits.ts";
import { createTestRelay, type TestClient, type TestRelay } from "../support/test-relay.ts";

/** With and without a snapshot, with room for all keys and for two. */
const TOPICS = ["plain/1", "whole/1", "short/1"];
const KEYS = ["a", "b", "c"];

function declare(options: { readonly isReplica: boolean }): TestRelay {
  const common = {
    params: { id: "integer" as const },
    join: { method: "Join", args: ["{id}"] },
    history: { size: 6, ttlMs: 10_000 },
    slow: "conflate" as const,
  };
  return createTestRelay(
    {
      "plain/{id}": { ...common, events: { Plain: "{0}" }, key: { Plain: "{1}" } },
      "short/{id}": { ...common, events: { Short: "{0}" }, key: { Short: "{1}" }, maxKeys: 2 },
      "whole/{id}": {
        ...common,
        events: { Whole: "{0}" },
        key: { Whole: "{1}" },
        snapshot: { method: "Get", args: ["{id}"] },
        snapshotTtlMs: 1_000,
      },
    },
    options,
  );
}

const EVENTS: Readonly<Record<string, string>> = { plain: "Plain", whole: "Whole", short: "Short" };
/** Makes a delta of what surrounds it worth while. */
const PADDING = "what stays the same from one publication to the next of its key";

type Data = [topic: string, key: string, number: number, padding: string];

/** An origin that answers at once, and counts what it publishes by topic. */
function createOrigin({ source }: TestRelay) {
  const numbers = new Map(TOPICS.map((topic) => [topic, 0]));
  return {
    numbers,
    publish(topic: string, key: string) {
      const number = (numbers.get(topic) ?? 0) + 1;
      numbers.set(topic, number);
      if (!source.connected || !source.wanted.has(topic)) return;
      source.push(EVENTS[topic.split("/")[0]!]!, topic, key, number, PADDING);
    },
    serve() {
      for (const asked of source.take()) {
        const [what, topic = ""] = asked.split(" ");
        if (what === "join" && source.connected && source.wanted.has(topic)) source.accept(topic);
      }
      for (const { answer } of [...source.questions])
        answer(`{"number":${numbers.get("whole/1")}}`);
    },
    connect() {
      if (source.connected) return;
      source.connect();
      for (const topic of source.wanted.keys()) source.accept(topic);
    },
  };
}

/** More than may wait for a client whose topics conflate. */
const STALLED_BYTES = createLimits().conflateBytes + 1;

/** One socket of the client library, which reads in one go what has been sent to it. */
function createClient(relay: TestRelay, { rate }: { readonly rate: number | undefined }) {
  let connection: TestClient | undefined;
  let requests = 0;
  const counts = { deltas: 0, losses: 0 };
  const shown = new Map<string, number>();
  const topics = new Map(
    TOPICS.map((name) => {
      const topic = createTopic(name, {
        revive: (value) => value,
        waitMs: () => ++counts.losses,
        onDue() {},
        onGone() {},
      });
      const show = ([of, key, number, padding]: Data) => {
        expect([of, padding]).toEqual([name, PADDING]);
        expect(number).toBeGreaterThan(shown.get(`${name} ${key}`) ?? 0);
        shown.set(`${name} ${key}`, number);
      };
      topic.attach(
        (update) => {
          if (update.type === "publication") show(update.data as Data); // the origin's, above
          if (update.type !== "reset") return;
          for (const key of KEYS) shown.delete(`${name} ${key}`);
          for (const { data } of update.latest) show(data as Data);
        },
        () => {},
        rate,
      );
      return [name, topic];
    }),
  );

  const client = {
    counts,
    shown,
    open(names: readonly string[]) {
      const due = names.flatMap((name) => topics.get(name) ?? []).filter((topic) => topic.due);
      if (due.length === 0) return;
      connection ??= relay.connect({ format: wsDeltaFormat, onSlow: client.cut });
      connection.open(...due.map(({ name, since, rate }) => ({ topic: name, since, rate })));
      for (const topic of due) topic.ask(++requests);
    },
    stall() {
      if (connection) connection.sink.bufferedBytes = STALLED_BYTES;
    },
    resume() {
      if (connection) connection.sink.bufferedBytes = 0;
    },
    read() {
      for (const line of connection?.lines() ?? []) {
        const message = decode(line);
        if (message.type === "delta") counts.deltas++;
        if ("topic" in message) topics.get(message.topic ?? "")?.accept(message);
      }
    },
    cut() {
      client.read();
      connection?.subscriptions.closeAll();
      connection = undefined;
      for (const topic of topics.values()) topic.cut();
    },
  };
  return client;
}

const client = fc.nat(2);
const topics = fc.subarray(TOPICS, { minLength: 1 });
const publications = fc.array(
  fc.record({ topic: fc.constantFrom(...TOPICS), key: fc.constantFrom(...KEYS) }),
  { minLength: 1, maxLength: 5 },
);

const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ publish: publications }) },
  { weight: 3, arbitrary: fc.record({ open: client, topics }) },
  { weight: 1, arbitrary: fc.record({ cut: client }) },
  { weight: 1, arbitrary: fc.record({ stall: client }) },
  { weight: 2, arbitrary: fc.record({ resume: client }) },
  { weight: 2, arbitrary: fc.record({ advance: fc.constantFrom(100, 1_500, 6_000, 40_000) }) },
  { weight: 1, arbitrary: fc.record({ origin: fc.constantFrom("drop", "connect") }) },
);

test.each([
  { where: "In the owner's isolate", isReplica: false },
  { where: "In another isolate", isReplica: true },
])(
  "$where, who gets a delta has its base",
  async ({ isReplica }) => {
    let deltas = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 10, maxLength: 60, size: "max" }),
        async (steps) => {
          const relay = declare({ isReplica });
          const origin = createOrigin(relay);
          const clients = [undefined, undefined, 2].map((rate) => createClient(relay, { rate }));

          async function settle(): Promise<void> {
            for (let round = 0; round < 3; round++) {
              await relay.settle();
              origin.serve();
            }
            for (const client of clients) client.read();
          }

          for (const step of steps) {
            if ("publish" in step) {
              for (const { topic, key } of step.publish) origin.publish(topic, key);
            }
            if ("open" in step) clients[step.open]!.open(step.topics);
            if ("cut" in step) clients[step.cut]!.cut();
            if ("stall" in step) clients[step.stall]!.stall();
            if ("resume" in step) clients[step.resume]!.resume();
            if ("advance" in step) relay.clock.advance(step.advance);
            if ("origin" in step && step.origin === "connect") origin.connect();
            if ("origin" in step && step.origin === "drop" && relay.source.connected) {
              relay.source.drop();
            }
            await settle();
          }

          origin.connect();
          for (const client of clients) {
            client.resume();
            client.open(TOPICS);
          }
          await settle();
          relay.clock.advance(6_000);
          await settle();
          for (const topic of TOPICS) for (const key of KEYS) origin.publish(topic, key);
          relay.clock.advance(6_000);
          await settle();
          for (const { counts, shown } of clients) {
            expect(counts.losses).toBe(0);
            deltas += counts.deltas;
            for (const topic of TOPICS) {
              const last = origin.numbers.get(topic)!;
              const newest = KEYS.map((key) => shown.get(`${topic} ${key}`));
              if (topic !== "short/1") expect(newest).toEqual([last - 2, last - 1, last]);
              else expect(newest.slice(1)).toEqual([last - 1, last]);
            }
          }
        },
      ),
      { numRuns: 200 },
    );
    expect(deltas).toBeGreaterThan(300);
  },
  30_000,
);
