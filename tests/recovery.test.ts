/**
 * The promise that matters most: never a hole that looks like a whole. Clients are cut after any
 * message and come back, the origin goes away and comes back, topics are left and joined again; and
 * what each client knows must follow from what it was told, and be true in the end.
 */

import fc from "fast-check";
import { expect, test } from "vitest";
import { wsFormat } from "../lib/downstream/ws.ts";
import type { Question } from "./support/fake-source.ts";
import { createReader, type Reader, type View } from "./support/reader.ts";
import { createTestRelay, type TestClient, type TestRelay } from "./support/test-relay.ts";

/** With and without a snapshot, with and without a history. */
const TOPICS = ["plain/1", "plain/2", "whole/1", "short/1"];

function declare(): TestRelay {
  const join = { method: "Join", args: ["{id}"] };
  const common = { params: { id: "integer" as const }, lingerMs: 3_000 };
  return createTestRelay(
    {
      "plain/{id}": {
        ...common,
        join,
        events: { Plain: "{0}" },
        key: { Plain: "{1}" },
        history: { size: 6, ttlMs: 10_000 },
      },
      "whole/{id}": {
        ...common,
        join,
        events: { Whole: "{0}" },
        key: { Whole: "{1}" },
        history: { size: 8, ttlMs: 10_000 },
        snapshot: { method: "Get", args: ["{id}"] },
        snapshotTtlMs: 1_000,
      },
      "short/{id}": { ...common, join, events: { Short: "{0}" }, key: { Short: "{1}" } },
    },
    { openTimeoutMs: 5_000 },
  );
}

const EVENTS: Readonly<Record<string, string>> = { plain: "Plain", whole: "Whole", short: "Short" };

/** An origin with a memory, in front of the relay's fake source. */
function createOrigin({ source }: TestRelay) {
  const truth = new Map(TOPICS.map((topic): [string, View] => [topic, { number: 0, values: {} }]));
  /** Numbers that the relay got since it last joined a topic, and their newest by key. */
  const got = new Map<string, { numbers: number[]; values: Record<string, number> }>();
  const joining = new Set<string>();
  /** Answers that the origin has made up its mind about and not sent yet. */
  const made = new Map<Question, string>();

  const origin = {
    truth,
    got,
    joining,
    /** Learns what the relay wants now. */
    listen() {
      for (const asked of source.take()) {
        const [what, topic = ""] = asked.split(" ");
        if (what !== "join") continue;
        got.set(topic, { numbers: [], values: {} });
        if (source.connected) joining.add(topic);
      }
      for (const topic of joining) if (!source.wanted.has(topic)) joining.delete(topic);
    },
    publish(topic: string, key: string) {
      const view = truth.get(topic)!;
      view.number++;
      view.values[key] = view.number;
      if (!source.connected || !source.wanted.has(topic)) return;
      const known = got.get(topic)!;
      known.numbers.push(view.number);
      known.values[key] = view.number;
      source.push(EVENTS[topic.split("/")[0]!]!, topic, key, view.number);
    },
    drop() {
      if (!source.connected) return;
      joining.clear();
      source.drop();
    },
    connect() {
      if (source.connected) return;
      source.connect();
      for (const topic of source.wanted.keys()) joining.add(topic);
    },
    accept(which: number) {
      const topic = [...joining][which % joining.size];
      if (topic === undefined) return;
      joining.delete(topic);
      source.accept(topic, "null");
    },
    /** Makes up its mind about a question. */
    consider(which: number) {
      const question = source.questions[which % source.questions.length];
      if (!question || made.has(question)) return;
      made.set(question, JSON.stringify(truth.get("whole/1")));
    },
    answer(which: number) {
      const question = source.questions[which % source.questions.length];
      if (!question) return;
      origin.consider(which);
      question.answer(made.get(question)!);
    },
    /** Does all that is asked of it. */
    serve() {
      while (joining.size > 0) origin.accept(0);
      while (source.questions.length > 0) origin.answer(0);
    },
    next: (topic: string, number: number) =>
      got.get(topic)?.numbers.find((later) => later > number),
  };
  return origin;
}

/** A client that reads when it is told to, and loses what it has not read when it is cut. */
function createClient(relay: TestRelay, reader: Reader) {
  let connection: TestClient | undefined;
  let unread: string[] = [];

  const client = {
    reader,
    get isConnected() {
      return connection !== undefined;
    },
    open(topics: readonly string[]) {
      if (topics.length === 0) return;
      relay.clock.settle(); // what is on its way belongs to what was before
      client.read(Number.POSITIVE_INFINITY);
      connection ??= relay.connect({ format: wsFormat });
      connection.open(...reader.ask(topics));
    },
    leave(topic: string) {
      connection?.subscriptions.close(topic);
      client.read(Number.POSITIVE_INFINITY);
      reader.leave(topic);
    },
    read(count: number) {
      unread.push(...(connection?.lines() ?? []));
      for (const text of unread.splice(0, count)) reader.read(text);
    },
    cut() {
      connection?.subscriptions.closeAll();
      connection = undefined;
      unread = [];
      reader.cut();
    },
  };
  return client;
}

type World = ReturnType<typeof createWorld>;

function createWorld() {
  const relay = declare();
  const origin = createOrigin(relay);
  const streams = [1, 2].map(() =>
    createClient(relay, createReader(origin.next, { isStream: true })),
  );
  const sockets = [1, 2].map(() =>
    createClient(relay, createReader(origin.next, { isStream: false })),
  );
  return { relay, origin, streams, sockets, clients: [...streams, ...sockets] };
}

type Step = (world: World) => void | Promise<void>;

const which = fc.nat(11);
const topic = fc.constantFrom(...TOPICS);
const client = fc.nat(3);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 10,
    arbitrary: fc
      .tuple(topic, fc.constantFrom("a", "b", "c"))
      .map(([topic, key]) =>
        named(`publish ${topic} ${key}`, ({ origin }) => origin.publish(topic, key)),
      ),
  },
  {
    weight: 4,
    arbitrary: which.map((n) => named(`accept ${n}`, ({ origin }) => origin.accept(n))),
  },
  {
    weight: 2,
    arbitrary: which.map((n) => named(`consider ${n}`, ({ origin }) => origin.consider(n))),
  },
  {
    weight: 4,
    arbitrary: which.map((n) => named(`answer ${n}`, ({ origin }) => origin.answer(n))),
  },
  {
    weight: 3,
    arbitrary: fc.constant(named("serve", ({ origin }) => origin.serve())),
  },
  {
    weight: 1,
    arbitrary: fc.constant(named("drop", ({ origin }) => origin.drop())),
  },
  {
    weight: 2,
    arbitrary: fc.constant(named("connect", ({ origin }) => origin.connect())),
  },
  {
    weight: 6,
    arbitrary: fc
      .tuple(client, fc.nat(6))
      .map(([i, count]) => named(`read ${i} ${count}`, ({ clients }) => clients[i]!.read(count))),
  },
  {
    weight: 3,
    arbitrary: client.map((i) => named(`cut ${i}`, ({ clients }) => clients[i]!.cut())),
  },
  {
    weight: 4,
    arbitrary: fc.nat(1).map((i) =>
      named(`stream ${i}`, ({ streams }) => {
        if (!streams[i]!.isConnected) streams[i]!.open(TOPICS.slice(i, i + 3));
      }),
    ),
  },
  {
    weight: 6,
    arbitrary: fc
      .tuple(fc.nat(1), fc.subarray(TOPICS))
      .map(([i, topics]) =>
        named(`open ${i} ${topics}`, ({ sockets }) => sockets[i]!.open(topics)),
      ),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(fc.nat(1), topic)
      .map(([i, topic]) => named(`leave ${i} ${topic}`, ({ sockets }) => sockets[i]!.leave(topic))),
  },
  {
    weight: 4,
    arbitrary: fc.constant(named("tick", ({ relay }) => relay.clock.settle())),
  },
  {
    weight: 8,
    arbitrary: fc.constant(named("settle", ({ relay }) => relay.settle())),
  },
  {
    weight: 3,
    arbitrary: fc
      .constantFrom(300, 1_500, 3_500, 6_000)
      .map((ms) => named(`advance ${ms}`, ({ relay }) => relay.clock.advance(ms))),
  },
);

/** So that a failure can be read. */
function named(name: string, run: Step): Step {
  return Object.assign(run, { [fc.toStringMethod]: () => name });
}

/** The origin is there and answers, everybody has waited and reads; nothing is under way any more. */
async function calm({ relay, origin, clients }: World): Promise<void> {
  origin.connect();
  for (const waitMs of [0, 5_000, 0]) {
    relay.clock.advance(waitMs);
    for (let round = 0; round < 2; round++) {
      origin.listen();
      origin.serve();
      await relay.settle();
    }
  }
  for (const client of clients) client.read(Number.POSITIVE_INFINITY);
}

test("what a client knows follows from what it was told, and is true in the end", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 20, maxLength: 120, size: "max" }),
      async (steps) => {
        const world = createWorld();
        const { origin, streams, sockets, relay } = world;
        for (const step of steps) {
          await step(world);
          origin.listen();
        }
        await calm(world);
        for (const [i, stream] of streams.entries()) {
          if (!stream.isConnected) stream.open(TOPICS.slice(i, i + 3));
        }
        for (const socket of sockets) if (!socket.isConnected) socket.open(TOPICS);
        await calm(world);
        for (const topic of TOPICS) origin.publish(topic, "z");
        await relay.settle();
        await calm(world);

        for (const { reader } of world.clients) {
          for (const topic of TOPICS) {
            const { state, number, values } = reader.view(topic);
            if (state === "closed") continue;
            expect(state).toBe("live");
            expect(number).toBe(origin.truth.get(topic)?.number);
            // Without a snapshot, what was published while nobody listened is not to be had.
            const source = topic === "whole/1" ? origin.truth : origin.got;
            expect(values).toEqual(source.get(topic)?.values);
          }
        }
      },
    ),
    { numRuns: 400 },
  );
}, 30_000);
