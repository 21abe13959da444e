import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createManualClock } from "../../lib/clock.ts";
import type { Audience } from "../../lib/fanout/audience.ts";
import { createFanout, type Subscriber } from "../../lib/fanout/fanout.ts";
import type { Format } from "../../lib/fanout/format.ts";
import { createStats } from "../../lib/stats.ts";
import { createBacklog } from "../support/backlog.ts";
import { createFormat } from "../support/format.ts";
import { createLimits } from "../support/limits.ts";
import { createPublication } from "../support/publication.ts";
import { createSink, type FakeSink } from "../support/sink.ts";

function setUp({ queueBytes = 1_000 } = {}) {
  const clock = createManualClock();
  const stats = createStats();
  const fanout = createFanout({ clock, stats, limits: createLimits({ queueBytes }) });
  return { clock, stats, fanout };
}

interface FakeSubscriber extends Subscriber {
  readonly sink: FakeSink;
}

function createSubscriber(
  format: Format = createFormat(),
  { sink = createSink(), onSlow = () => {} }: { sink?: FakeSink; onSlow?: () => void } = {},
): FakeSubscriber {
  return { sink, format, onSlow, periodMs: 0, cohort: undefined, place: 0, marks: undefined };
}

describe("every subscriber gets the publications of its topics", () => {
  const TOPICS = 2;
  const SUBSCRIBERS = 8;

  /** A subscriber joins and leaves topics, a topic gets a publication, or a tick ends. */
  const step = fc.oneof(
    fc.record({
      type: fc.constant("place" as const),
      subscriber: fc.nat(SUBSCRIBERS - 1),
      topics: fc.subarray([0, 1]),
    }),
    {
      weight: 3,
      arbitrary: fc.record({ type: fc.constant("publish" as const), topic: fc.nat(TOPICS - 1) }),
    },
    fc.record({ type: fc.constantFrom("settle" as const, "flush" as const) }),
  );

  test("in order, from when it joined until it left, none twice, rendered once a format", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80, size: "max" }), (steps) => {
        const { clock, fanout, stats } = setUp();
        const renders: string[] = [];
        const formats = ["a", "b"].map((name) =>
          createFormat({ name }, (sequence) => renders.push(`${name} ${sequence}`)),
        );
        const audiences = Array.from({ length: TOPICS }, () =>
          fanout.createAudience(createBacklog(), "disconnect"),
        );
        const subscribers = Array.from({ length: SUBSCRIBERS }, (_, i) => ({
          own: createSubscriber(formats[i % 2]),
          topics: new Set<number>(),
          expected: [] as number[],
        }));
        let sequence = 0;

        for (const step of steps) {
          switch (step.type) {
            case "place": {
              const subscriber = subscribers[step.subscriber]!;
              subscriber.topics = new Set(step.topics);
              fanout.place(subscriber.own, new Set(step.topics.map((topic) => audiences[topic]!)));
              // What was due before has left: a joint opening can follow.
              expect(received(subscriber.own)).toEqual(subscriber.expected);
              break;
            }
            case "publish":
              sequence++;
              for (const { topics, expected } of subscribers) {
                if (topics.has(step.topic)) expected.push(sequence);
              }
              fanout.publish(audiences[step.topic]!, createPublication({ sequence }));
              break;
            case "flush":
              fanout.flush();
              break;
            case "settle":
              clock.settle();
          }
          for (const [i, audience] of audiences.entries()) {
            const members = subscribers.flatMap(({ own, topics }) => (topics.has(i) ? own : []));
            expect(new Set(fanout.members(audience))).toEqual(new Set(members));
          }
        }
        clock.settle();
        for (const { own, expected } of subscribers) expect(received(own)).toEqual(expected);
        expect(new Set(renders).size).toBe(renders.length);
        const deliveries = subscribers.reduce((sum, { expected }) => sum + expected.length, 0);
        expect(stats.deliveries).toBe(deliveries);
      }),
      { numRuns: 500 },
    );
  });

  function received({ sink }: FakeSubscriber): number[] {
    return sink.frames.flatMap((frame) => String(frame).split("\n").map(Number));
  }
});

/** Subscribers of one topic in one format. */
function createCohort(subscribers: readonly Subscriber[], options?: { queueBytes: number }) {
  const setting = setUp(options);
  const audience = setting.fanout.createAudience(createBacklog(), "disconnect");
  for (const subscriber of subscribers) setting.fanout.place(subscriber, new Set([audience]));
  let sequence = 0;
  return {
    ...setting,
    audience,
    publish(options?: { readonly statelessOnly: boolean }) {
      setting.fanout.publish(audience, createPublication({ sequence: ++sequence }), options);
    },
  };
}

describe("a tick", () => {
  test("is one frame for each subscriber, the same one for all of a kind", () => {
    const subscribers = [createSubscriber(), createSubscriber(), createSubscriber()];
    const { clock, publish, stats } = createCohort(subscribers);
    for (let i = 0; i < 3; i++) publish();
    expect(subscribers[0]?.sink.frames).toEqual([]);
    clock.settle();
    for (const { sink } of subscribers) expect(sink.take()).toEqual(["1\n2\n3"]);
    publish();
    clock.settle();
    for (const { sink } of subscribers) expect(sink.take()).toEqual(["4"]);
    expect(stats.deliveries).toBe(12);
    expect(stats.sentBytes).toBe(3 * 6);
  });

  test("sends no frame to a format that says none of its messages", () => {
    const subscriber = createSubscriber(createFormat({ notice: () => undefined } as object));
    const { clock, fanout, audience } = createCohort([subscriber]);
    fanout.publish(audience, { type: "stale", topic: "a", lastMessageAt: undefined });
    clock.settle();
    expect(subscriber.sink.frames).toEqual([]);
  });

  test("of two topics keeps the order in which they were published", () => {
    const { clock, fanout } = setUp();
    const [a, b] = [
      fanout.createAudience(createBacklog(), "disconnect"),
      fanout.createAudience(createBacklog(), "disconnect"),
    ];
    const subscriber = createSubscriber();
    fanout.place(subscriber, new Set([a, b]));
    for (const [i, audience] of [b, a, b, a].entries()) {
      fanout.publish(audience, createPublication({ sequence: i }));
    }
    clock.settle();
    expect(subscriber.sink.take()).toEqual(["0\n1\n2\n3"]);
  });
});

describe("a format", () => {
  test("that knows states is not shown what only the others are to see", () => {
    const stateful = createSubscriber(createFormat({ name: "stateful" }));
    const stateless = createSubscriber(createFormat({ name: "stateless", stateful: false }));
    const { clock, publish } = createCohort([stateful, stateless]);
    publish({ statelessOnly: true });
    publish();
    clock.settle();
    expect(stateful.sink.take()).toEqual(["2"]);
    expect(stateless.sink.take()).toEqual(["1\n2"]);
  });

  test("that does not keep its renderings leaves nothing behind on the publication", () => {
    const subscriber = createSubscriber(createFormat({ kept: false }));
    const { clock, fanout, audience } = createCohort([subscriber]);
    const publication = createPublication();
    fanout.publish(audience, publication);
    clock.settle();
    expect(subscriber.sink.take()).toEqual(["1"]);
    expect(publication.rendered.size).toBe(0);
  });
});

describe("a slow subscriber", () => {
  test("is told once more than its queue's bytes wait, the others are not", () => {
    const slow: string[] = [];
    const subscribers = [0, 999, 1_000, 1_001].map((bufferedBytes) => {
      const name = `${bufferedBytes}`;
      const subscriber = createSubscriber(createFormat(), { onSlow: () => slow.push(name) });
      subscriber.sink.bufferedBytes = bufferedBytes;
      return subscriber;
    });
    const { clock, publish } = createCohort(subscribers, { queueBytes: 1_000 });
    publish();
    clock.settle();
    expect(slow).toEqual(["1001"]);
    for (const { sink } of subscribers) expect(sink.take()).toEqual(["1"]);
  });

  test("that leaves when it is told takes nothing from the others", () => {
    const places = fc.array(fc.boolean(), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(places, (slow) => {
        const subscribers: FakeSubscriber[] = slow.map((isSlow) => {
          const subscriber = createSubscriber(createFormat(), {
            onSlow: () => fanout.place(subscriber, new Set()),
          });
          if (isSlow) subscriber.sink.bufferedBytes = 2_000;
          return subscriber;
        });
        const { clock, fanout, publish, audience } = createCohort(subscribers);
        publish();
        clock.settle();
        for (const { sink } of subscribers) expect(sink.take()).toEqual(["1"]);
        const left = subscribers.filter((_, i) => !slow[i]);
        expect(new Set(fanout.members(audience))).toEqual(new Set(left));
        publish();
        clock.settle();
        for (const [i, { sink }] of subscribers.entries()) {
          expect(sink.take()).toEqual(slow[i] ? [] : ["2"]);
        }
      }),
    );
  });

  // Its place was given to it after it had been cut, so that it stayed in the audience for good.
  test("that leaves while it is given another place stays out", () => {
    const subscriber: FakeSubscriber = createSubscriber(createFormat(), {
      onSlow: () => fanout.place(subscriber, new Set()),
    });
    const { fanout, audience, publish } = createCohort([subscriber]);
    const other = fanout.createAudience(createBacklog(), "disconnect");
    publish();
    subscriber.sink.bufferedBytes = 2_000;
    fanout.place(subscriber, new Set([audience, other]));
    expect(fanout.members(audience)).toEqual([]);
    expect(fanout.members(other)).toEqual([]);
  });

  test("that was the last of the cohort another enters leaves room for it", () => {
    const last: FakeSubscriber = createSubscriber(createFormat(), {
      onSlow: () => fanout.place(last, new Set()),
    });
    const { clock, fanout, audience, publish } = createCohort([last]);
    publish();
    last.sink.bufferedBytes = 2_000;
    const next = createSubscriber();
    fanout.place(next, new Set([audience]));
    publish();
    clock.settle();
    expect(last.sink.take()).toEqual(["1"]);
    expect(next.sink.take()).toEqual(["2"]);
  });
});

test("an audience is not held by who has left", () => {
  const subscribers = [createSubscriber(), createSubscriber()];
  const { fanout, audience } = createCohort(subscribers);
  expect(audience.cohorts.size).toBe(1);
  for (const subscriber of subscribers) fanout.place(subscriber, new Set<Audience>());
  expect(audience.cohorts.size).toBe(0);
});
