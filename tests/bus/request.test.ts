import { describe, expect, test } from "vitest";
import { createRandom } from "../../app/demo/random.ts";
import { channelOf } from "../../lib/bus/bus.ts";
import {
  createRequests,
  type RequestMessage,
  type Requests,
  UnansweredError,
} from "../../lib/bus/request.ts";
import { createManualClock } from "../../lib/clock.ts";
import { createFakeBus } from "../support/fake-bus.ts";
import { turn } from "../support/turn.ts";

type Answer = (from: string, question: string, signal: AbortSignal) => Promise<string> | undefined;

/** Isolates that ask each other; each says how it answers. */
function setUp(answers: Record<string, Answer>, { maxInFlight = 100 } = {}) {
  const clock = createManualClock();
  const bus = createFakeBus(clock.soon);
  const posted: string[] = [];
  const isolates = Object.fromEntries(
    Object.entries(answers).map(([id, answer]): [string, Requests<string, string>] => {
      const place = bus.join(id);
      const channel = channelOf<RequestMessage<string, string>>(
        {
          ...place,
          post(message) {
            posted.push(`${id} ${(message as { message: { type: string } }).message.type}`);
            place.post(message);
          },
        },
        "test",
      );
      return [id, createRequests(channel, { clock, maxInFlight, answer })];
    }),
  );
  return {
    clock,
    bus,
    /** What went over the bus since the last time. */
    posted: () => posted.splice(0),
    of(id: string): Requests<string, string> {
      const requests = isolates[id];
      if (!requests) throw new Error(`There is no isolate ${id}`);
      return requests;
    },
    /** Lets time pass in small steps, with all that happens meanwhile. */
    async pass(ms = 0) {
      for (let left = ms; left >= 0; left -= 50) {
        for (let i = 0; i < 4; i++) {
          await turn();
          clock.settle();
        }
        if (left >= 50) clock.advance(50);
      }
    },
  };
}

const echo: Answer = async (from, question) => `${question} of ${from}`;
const silent: Answer = () => undefined;

/** What became of a promise. */
function watch(promise: Promise<string>) {
  const seen: { outcome: unknown } = { outcome: "nothing" };
  promise.then(
    (value) => {
      seen.outcome = value;
    },
    (error) => {
      seen.outcome = error;
    },
  );
  return seen;
}

describe("a question", () => {
  test("is answered by whom it was for, with three messages", async () => {
    const { of, pass, posted } = setUp({ a: silent, b: echo, c: echo });
    const seen = watch(of("a").ask("b", "What"));
    await pass();
    expect(seen.outcome).toBe("What of a");
    expect(posted()).toEqual(["a ask", "b answer", "a done"]);
  });

  test("to all is answered by who knows", async () => {
    const { of, pass } = setUp({ a: echo, b: silent, c: echo });
    const seen = watch(of("a").ask(undefined, "Who"));
    await pass();
    expect(seen.outcome).toBe("Who of a");
  });

  test("is answered with the error that the answerer has met", async () => {
    const { of, pass } = setUp({
      a: silent,
      b: async () => {
        throw new Error("Rain");
      },
    });
    const seen = watch(of("a").ask("b", "What"));
    await pass();
    expect(seen.outcome).toEqual(new Error("Rain"));
  });

  test("is not asked of oneself", async () => {
    const { of, pass } = setUp({ a: echo, b: silent });
    const seen = watch(of("a").ask(undefined, "Who"));
    await pass(1_500);
    expect(seen.outcome).toBe("nothing");
    await pass(1_500);
    expect(seen.outcome).toBeInstanceOf(UnansweredError);
  });
});

describe("on a bus that loses messages", () => {
  test("each question is handled once and answered, whatever is lost", async () => {
    const asked: string[] = [];
    const { of, pass, bus } = setUp({
      a: silent,
      async b(_, question) {
        asked.push(question);
        return question;
      },
    });
    const random = createRandom(7);
    bus.isLost = () => random.next() < 0.3;
    const questions = Array.from({ length: 20 }, (_, i) => `${i}`);
    const seen = questions.map((question) => watch(of("a").ask("b", question)));
    await pass(4_000);
    expect(seen.map(({ outcome }) => outcome)).toEqual(questions);
    expect(asked.sort()).toEqual([...questions].sort());
  });

  test("an answer that was lost is sent again, also when it took long", async () => {
    let release: (answer: string) => void = () => {};
    const { of, pass, bus } = setUp({
      a: silent,
      b: () =>
        new Promise((resolve) => {
          release = resolve;
        }),
    });
    const seen = watch(of("a").ask("b", "What"));
    await pass(3_000);
    bus.isLost = () => true;
    release("late");
    await pass(500);
    expect(seen.outcome).toBe("nothing");
    bus.isLost = () => false;
    await pass(1_500);
    expect(seen.outcome).toBe("late");
  });
});

describe("a question that is not answered", () => {
  test("is given up after two seconds when nobody has heard it", async () => {
    const { of, pass, bus } = setUp({ a: silent, b: echo });
    bus.isLost = () => true;
    const seen = watch(of("a").ask("b", "What"));
    await pass(1_900);
    expect(seen.outcome).toBe("nothing");
    await pass(600);
    expect(seen.outcome).toEqual(new UnansweredError("Cannot ask b: no answer in time"));
  });

  test("waits as long as somebody is at it, and little longer", async () => {
    const { of, pass, bus, posted } = setUp({ a: silent, b: () => new Promise(() => {}) });
    const seen = watch(of("a").ask("b", "What"));
    await pass(120_000);
    expect(seen.outcome).toBe("nothing");
    posted();
    await pass(10_000);
    expect(posted().length).toBeLessThanOrEqual(22); // each side once a second
    bus.isLost = () => true;
    await pass(6_500);
    expect(seen.outcome).toBeInstanceOf(UnansweredError);
  });

  test("is not given up by an isolate that was too busy to hear the answer", async () => {
    const { of, pass, clock } = setUp({ a: silent, b: echo });
    const seen = watch(of("a").ask("b", "What"));
    // One turn of the timer, though much time has passed: as when a thread was held up.
    const { now } = clock;
    const held = now() + 60_000;
    clock.now = () => held;
    clock.advance(250);
    await pass();
    expect(seen.outcome).toBe("What of a");
  });

  test("that is wanted no more is told to the answerer", async () => {
    let signal: AbortSignal | undefined;
    const { of, pass } = setUp({
      a: silent,
      b(_from, _question, given) {
        signal = given;
        return new Promise(() => {});
      },
    });
    const controller = new AbortController();
    const seen = watch(of("a").ask("b", "What", controller.signal));
    await pass();
    expect(signal?.aborted).toBe(false);
    controller.abort(new Error("Gone"));
    await pass();
    expect(seen.outcome).toEqual(new Error("Gone"));
    expect(signal?.aborted).toBe(true);
  });

  test("is dropped by the answerer when the asker has died", async () => {
    let signal: AbortSignal | undefined;
    const { of, pass, bus } = setUp({
      a: silent,
      b(_from, _question, given) {
        signal = given;
        return new Promise(() => {});
      },
    });
    watch(of("a").ask("b", "What"));
    await pass();
    bus.isLost = () => true;
    await pass(19_000);
    expect(signal?.aborted).toBe(false);
    await pass(2_000);
    expect(signal?.aborted).toBe(true);
  });
});

describe("what is underway", () => {
  test("is bounded for the asker", async () => {
    const never = () => new Promise<string>(() => {});
    const { of, pass } = setUp({ a: silent, b: never }, { maxInFlight: 2 });
    const seen = ["1", "2", "3"].map((question) => watch(of("a").ask("b", question)));
    await pass();
    expect(seen.map(({ outcome }) => outcome)).toEqual([
      "nothing",
      "nothing",
      new UnansweredError("Cannot ask: 2 questions wait already"),
    ]);
  });

  test("is bounded for the answerer, who takes the rest when there is room", async () => {
    const releases: (() => void)[] = [];
    const b: Answer = (_, question) =>
      new Promise((resolve) => releases.push(() => resolve(question)));
    const { of, pass } = setUp({ a: silent, b, c: silent }, { maxInFlight: 1 });
    const first = watch(of("a").ask("b", "first"));
    const second = watch(of("c").ask("b", "second"));
    await pass(600);
    expect(releases).toHaveLength(1);
    releases[0]?.();
    await pass(600);
    expect(first.outcome).toBe("first");
    releases[1]?.();
    await pass(600);
    expect(second.outcome).toBe("second");
  });

  test("costs no timer when there is nothing", async () => {
    const { of, pass, clock, posted } = setUp({ a: silent, b: echo });
    let timers = 0;
    const { every } = clock;
    clock.every = (ms, run) => {
      timers++;
      const timer = every(ms, run);
      return {
        cancel() {
          timers--;
          timer.cancel();
        },
      };
    };
    watch(of("a").ask("b", "What"));
    await pass();
    expect(timers).toBe(2);
    await pass(500);
    expect(timers).toBe(0);
    posted();
    await pass(5_000);
    expect(posted()).toEqual([]);
  });
});
