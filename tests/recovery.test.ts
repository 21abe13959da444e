/**
 * The promise that matters most: never a hole that looks like a whole. Clients are cut after any
 * message and come back, stop taking anything and go on, ask for a rate; the origin goes away and
 * comes back, topics are left and joined again; and what each client knows must follow from what it
 * was told, and be true in the end.
 */

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { wsFormat } from "../lib/downstream/ws.ts";
import type { Question } from "./support/fake-source.ts";
import { createLimits } from "./support/limits.ts";
import { createReader, type Reader, type View } from "./support/reader.ts";
import { createTestRelay, type TestClient, type TestRelay } from "./support/test-relay.ts";

/** With and without a snapshot, with a long and with a short history. */
const TOPICS = ["plain/1", "plain/2", "whole/1", "short/1"];

/** What each client of an event stream watches, and how often it wants to hear of it. */
const STREAMS = [
  { topics: ["plain/1", "plain/2", "whole/1"], rate: undefined },
  { topics: TOPICS, rate: undefined },
  { topics: TOPICS, rate: 2 },
];

function declare(options: { readonly isReplica: boolean }): TestRelay {
  const join = { method: "Join", args: ["{id}"] };
  const common = {
    params: { id: "integer" as const },
    lingerMs: 3_000,
    slow: "conflate" as const,
  };
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
      "short/{id}": {
        ...common,
        join,
        events: { Short: "{0}" },
        key: { Short: "{1}" },
        maxKeys: 3,
        history: { size: 2, ttlMs: 10_000 },
      },
    },
    { openTimeoutMs: 5_000, isReplica: options.isReplica },
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

/** More than may wait for a client whose topics conflate. */
const STALLED_BYTES = createLimits().conflateBytes + 1;

/** A client that reads when it is told to, and loses what it has not read when it is cut. */
function createClient(relay: TestRelay, reader: Reader) {
  let connection: TestClient | undefined;
  let unread: string[] = [];

  const client = {
    reader,
    get isConnected() {
      return connection !== undefined;
    },
    open(topics: readonly string[], rate?: number) {
      if (topics.length === 0) return;
      relay.clock.settle(); // what is on its way belongs to what was before
      client.read(Number.POSITIVE_INFINITY);
      connection ??= relay.connect({ format: wsFormat, onSlow: () => client.cut() });
      connection.open(...reader.ask(topics).map((entry) => ({ ...entry, rate })));
    },
    /** What is sent from here on waits in the relay. */
    stall() {
      if (connection) connection.sink.bufferedBytes = STALLED_BYTES;
    },
    resume() {
      if (connection) connection.sink.bufferedBytes = 0;
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

type Client = ReturnType<typeof createClient>;
type World = ReturnType<typeof createWorld>;

function createWorld(options: { readonly isReplica: boolean }) {
  const relay = declare(options);
  const origin = createOrigin(relay);
  const streams = [1, 2, 3].map(() =>
    createClient(relay, createReader(origin.next, { isStream: true })),
  );
  const sockets = [1, 2].map(() =>
    createClient(relay, createReader(origin.next, { isStream: false })),
  );
  return { relay, origin, streams, sockets, clients: [...streams, ...sockets] };
}

interface Step {
  readonly name: string;
  run(world: World): void | Promise<void>;
}

const topic = fc.constantFrom(...TOPICS);
const publication = fc.record({ topic, key: fc.constantFrom("a", "b", "c") });
const which = fc.nat(11);
const client = fc.nat(4);
const stream = fc.nat(2);
const socket = fc.nat(1);

const step: fc.Arbitrary<Step> = fc.oneof(
  often(
    8,
    fc.array(publication, { minLength: 1, maxLength: 6, size: "max" }).map((all) => ({
      name: `publish ${all.map(({ topic, key }) => `${topic} ${key}`)}`,
      run({ origin }) {
        for (const { topic, key } of all) origin.publish(topic, key);
      },
    })),
  ),
  often(
    4,
    which.map((n) => ({ name: `accept ${n}`, run: ({ origin }) => origin.accept(n) })),
  ),
  often(
    2,
    which.map((n) => ({ name: `consider ${n}`, run: ({ origin }) => origin.consider(n) })),
  ),
  often(
    4,
    which.map((n) => ({ name: `answer ${n}`, run: ({ origin }) => origin.answer(n) })),
  ),
  often(3, fc.constant({ name: "serve", run: ({ origin }) => origin.serve() })),
  often(1, fc.constant({ name: "drop", run: ({ origin }) => origin.drop() })),
  often(2, fc.constant({ name: "connect", run: ({ origin }) => origin.connect() })),
  often(
    6,
    fc.tuple(client, fc.nat(6)).map(([i, count]) => ({
      name: `read ${i} ${count}`,
      run: ({ clients }) => clients[i]!.read(count),
    })),
  ),
  often(
    3,
    client.map((i) => ({ name: `cut ${i}`, run: ({ clients }) => clients[i]!.cut() })),
  ),
  often(
    4,
    stream.map((i) => ({
      name: `stream ${i}`,
      run({ streams }) {
        if (!streams[i]!.isConnected) openStream(streams[i]!, i);
      },
    })),
  ),
  // A cut in the middle of an opening, which is where most can go wrong.
  often(
    4,
    fc.tuple(stream, fc.nat(5)).map(([i, count]) => ({
      name: `restream ${i} ${count}`,
      async run({ streams, relay }) {
        streams[i]!.cut();
        openStream(streams[i]!, i);
        await relay.settle();
        streams[i]!.read(count);
        streams[i]!.cut();
      },
    })),
  ),
  often(
    6,
    fc
      .tuple(socket, fc.subarray(TOPICS), fc.constantFrom(undefined, 2, 5))
      .map(([i, topics, rate]) => ({
        name: `open ${i} ${topics} ${rate}`,
        run: ({ sockets }) => sockets[i]!.open(topics, rate),
      })),
  ),
  often(
    2,
    fc.tuple(socket, topic).map(([i, topic]) => ({
      name: `leave ${i} ${topic}`,
      run: ({ sockets }) => sockets[i]!.leave(topic),
    })),
  ),
  often(
    3,
    client.map((i) => ({ name: `stall ${i}`, run: ({ clients }) => clients[i]!.stall() })),
  ),
  often(
    4,
    client.map((i) => ({ name: `resume ${i}`, run: ({ clients }) => clients[i]!.resume() })),
  ),
  often(
    2,
    fc.constantFrom(0, 0, 2, 3, 5).map((every) => ({
      name: `lose every ${every}`,
      run({ relay }) {
        let count = 0;
        relay.bus.isLost = () => every > 0 && ++count % every === 0;
      },
    })),
  ),
  often(4, fc.constant({ name: "tick", run: ({ relay }) => relay.clock.settle() })),
  often(8, fc.constant({ name: "settle", run: ({ relay }) => relay.settle() })),
  often(
    3,
    fc.constantFrom(100, 300, 1_500, 3_500, 6_000).map((ms) => ({
      name: `advance ${ms}`,
      run: ({ relay }) => relay.clock.advance(ms),
    })),
  ),
);

function openStream(client: Client, which: number): void {
  const { topics, rate } = STREAMS[which]!;
  client.open(topics, rate);
}

function often(weight: number, arbitrary: fc.Arbitrary<Step>) {
  return { weight, arbitrary };
}

/** The origin is there and answers, everybody has waited and reads; nothing is under way any more. */
async function calm({ relay, origin, clients }: World): Promise<void> {
  origin.connect();
  relay.bus.isLost = () => false;
  for (const client of clients) client.resume();
  for (const waitMs of [0, 5_000, 500]) {
    relay.clock.advance(waitMs);
    for (let round = 0; round < 2; round++) {
      origin.listen();
      origin.serve();
      await relay.settle();
    }
  }
  for (const client of clients) client.read(Number.POSITIVE_INFINITY);
}

describe.each([
  { where: "in the owner's isolate", isReplica: false },
  { where: "in another isolate", isReplica: true },
])("$where", (place) => {
  test("what a client knows follows from what it was told, and is true in the end", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 20, maxLength: 120, size: "max" }),
        async (steps) => {
          const world = createWorld(place);
          const { origin, streams, sockets, relay } = world;
          for (const step of steps) {
            await step.run(world);
            origin.listen();
          }
          await calm(world);
          for (const [i, stream] of streams.entries()) {
            if (!stream.isConnected) openStream(stream, i);
          }
          for (const socket of sockets) if (!socket.isConnected) socket.open(TOPICS);
          await calm(world);
          for (const topic of TOPICS) origin.publish(topic, "z");
          await relay.settle();
          await calm(world);

          for (const { reader } of world.clients) {
            for (const topic of TOPICS) {
              const { state, number, values, skipping } = reader.view(topic);
              if (state === "closed") continue;
              expect(state).toBe("live");
              expect(skipping).toBe(0);
              expect(number).toBe(origin.truth.get(topic)?.number);
              // Without a snapshot, what was published while nobody listened is not to be had.
              const source = topic === "whole/1" ? origin.truth : origin.got;
              expect(values).toEqual(source.get(topic)?.values);
            }
          }
        },
      ),
      { numRuns: 1000 },
    );
  }, 120_000);

  test("an opening may be cut after any message, and the next one goes on from there", async () => {
    const publications = fc.array(publication, { maxLength: 12, size: "max" });
    await fc.assert(
      fc.asyncProperty(publications, publications, async (before, after) => {
        const world = createWorld(place);
        const { relay, origin } = world;
        const reader = () => createReader(origin.next, { isStream: true });
        // One for each message at which it is cut, and one that keeps the topics live.
        const cuts = Array.from({ length: 24 }, () => createClient(relay, reader()));
        const all = [createClient(relay, reader()), ...cuts];
        for (const client of all) client.open(TOPICS);
        await calm({ ...world, clients: all });
        for (const { topic, key } of before) origin.publish(topic, key);
        await relay.settle();
        for (const client of cuts) {
          client.read(Number.POSITIVE_INFINITY);
          client.cut();
        }
        for (const { topic, key } of after) origin.publish(topic, key);
        for (const [count, client] of cuts.entries()) {
          client.open(TOPICS);
          client.read(count);
          client.cut();
          client.open(TOPICS);
          client.read(Number.POSITIVE_INFINITY);
          for (const topic of TOPICS) {
            expect(client.reader.view(topic)).toMatchObject({
              state: "live",
              ...origin.truth.get(topic),
            });
          }
        }
      }),
      { numRuns: 200 },
    );
  }, 120_000);
});
