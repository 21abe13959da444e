import { describe, expect, test } from "vitest";
import { createRandom } from "../../app/demo/random.ts";
import type { Isolate, StartIsolate } from "../../app/host.ts";
import type { Brief, Order, Report } from "../../app/order.ts";
import {
  BEAT_MS,
  createSupervisor,
  HUNG_BEATS,
  SILENT_BEATS,
  START_TIMEOUT_MS,
} from "../../app/supervisor.ts";
import { createManualClock } from "../../lib/clock.ts";
import { silentLog } from "../../lib/log.ts";

import { turn } from "../support/turn.ts";

const BRIEF: Brief = { bus: "bus", port: 1, secret: "secret", config: undefined };

/** An isolate that does what the test says. */
interface FakeIsolate {
  readonly orders: Order[];
  /** Orders since the last time, those that repeat a roster left out. */
  take(): Order[];
  say(...types: readonly Exclude<Report["type"], "failed">[]): void;
  fail(error: string): void;
  exit(reason: string): void;
  /** Its id, once it was told. */
  readonly id: string;
  isTerminated: boolean;
  /** Whether it answers rosters by itself. */
  isAwake: boolean;
}

function create({ count = 3, endsBusyIsolates = true } = {}) {
  const clock = createManualClock(1_000);
  const isolates: FakeIsolate[] = [];
  const startIsolate: StartIsolate = (listener) => {
    let term = 0;
    let told: Order[] = [];
    const isolate: FakeIsolate = {
      orders: [],
      take() {
        const orders = told;
        told = [];
        return orders;
      },
      say(...types) {
        for (const type of types) listener.message({ type } satisfies Report);
      },
      fail: (error) => listener.message({ type: "failed", error } satisfies Report),
      exit: listener.exited,
      get id() {
        const start = isolate.orders.find((order) => order.type === "start");
        return start?.type === "start" ? start.id : "";
      },
      isTerminated: false,
      isAwake: true,
    };
    isolates.push(isolate);
    const end: Isolate = {
      post(message) {
        const order = message as Order; // a supervisor has sent it
        isolate.orders.push(order);
        if (order.type !== "roster" || order.roster.term > term) told.push(order);
        if (order.type !== "roster") return;
        term = order.roster.term;
        if (isolate.isAwake) isolate.say("alive");
      },
      terminate() {
        isolate.isTerminated = true;
      },
    };
    return end;
  };
  const supervisor = createSupervisor({
    count,
    brief: BRIEF,
    startIsolate,
    endsBusyIsolates,
    clock,
    random: createRandom(1).next,
    log: silentLog,
  });
  return { clock, isolates, supervisor };
}

/** All have begun, and listen. */
function start(options: Parameters<typeof create>[0] = {}) {
  const test = create(options);
  for (const isolate of test.isolates) isolate.say("hello", "joined");
  for (const isolate of test.isolates) {
    isolate.say("listening");
    isolate.take();
  }
  return test;
}

describe("isolates that begin", () => {
  test("are told who they are, and are appointed once they are on the bus", async () => {
    const { isolates, supervisor } = create({ count: 2 });
    const [first, second] = isolates as [FakeIsolate, FakeIsolate];
    first.say("hello");
    second.say("hello");
    expect(first.take()).toEqual([{ type: "start", id: first.id, place: 1, ...BRIEF }]);
    expect(second.take()).toEqual([{ type: "start", id: second.id, place: 2, ...BRIEF }]);
    expect(first.id).not.toBe(second.id);

    second.say("joined");
    const alone = { term: 1, owner: second.id, isolates: [second.id] };
    expect(second.take()).toEqual([{ type: "roster", roster: alone, restarts: 0 }]);
    expect(first.take()).toEqual([]);
    first.say("joined");
    const roster = { term: 2, owner: second.id, isolates: [first.id, second.id] };
    expect(first.take()).toEqual([{ type: "roster", roster, restarts: 0 }]);
    expect(second.take()).toEqual([{ type: "roster", roster, restarts: 0 }]);

    let isReady = false;
    void supervisor.ready.then(() => {
      isReady = true;
    });
    first.say("listening");
    await turn();
    expect(isReady).toBe(false);
    second.say("listening");
    await supervisor.ready;
  });

  test.for([
    ["cannot", (isolate: FakeIsolate) => isolate.fail("No port")],
    ["end", (isolate: FakeIsolate) => isolate.exit("No port")],
  ] as const)("and %s are not tried again", async ([, end]) => {
    const { clock, isolates, supervisor } = create({ count: 2 });
    isolates[0]?.say("hello", "joined");
    end(isolates[1] as FakeIsolate);
    await expect(supervisor.ready).rejects.toThrow("An isolate has ended: No port");
    clock.advance(60_000);
    expect(isolates.map(({ isTerminated }) => isTerminated)).toEqual([true, true]);
  });

  test("and are not there in time are given up", async () => {
    const { clock, supervisor } = create();
    clock.advance(START_TIMEOUT_MS);
    await expect(supervisor.ready).rejects.toThrow(`not there after ${START_TIMEOUT_MS} ms`);
  });
});

describe("an isolate that dies", () => {
  test("is owner no more at once, and another takes its place", () => {
    const { clock, isolates } = start();
    const [owner, second, third] = isolates as [FakeIsolate, FakeIsolate, FakeIsolate];
    owner.exit("boom");
    const left = { term: 4, owner: second.id, isolates: [second.id, third.id] };
    for (const isolate of [second, third]) {
      expect(isolate.take()).toEqual([{ type: "roster", roster: left, restarts: 0 }]);
    }
    clock.advance(0);
    const next = isolates[3] as FakeIsolate;
    // What the dead one still says does not count for the one in its place.
    owner.say("joined");
    owner.exit("again");
    expect(second.take()).toEqual([]);
    next.say("hello", "joined");
    expect(next.id).not.toBe(owner.id);
    const roster = { term: 5, owner: second.id, isolates: [next.id, second.id, third.id] };
    expect(next.take()).toEqual([
      { type: "start", id: next.id, place: 1, ...BRIEF },
      { type: "roster", roster, restarts: 1 },
    ]);
    expect(second.take()).toEqual([{ type: "roster", roster, restarts: 1 }]);
    expect(isolates).toHaveLength(4);
  });

  test("and was not the owner is taken off the roster", () => {
    const { isolates } = start();
    const [owner, second, third] = isolates as [FakeIsolate, FakeIsolate, FakeIsolate];
    third.exit("boom");
    const roster = { term: 4, owner: owner.id, isolates: [owner.id, second.id] };
    expect(owner.take()).toEqual([{ type: "roster", roster, restarts: 0 }]);
  });

  test("again and again is waited for longer and longer, but for good", () => {
    const { clock, isolates } = start({ count: 2 });
    const waits: number[] = [];
    for (let life = 0; life < 12; life++) {
      const diedAt = clock.now();
      const count = isolates.length;
      isolates.at(life === 0 ? 0 : -1)?.exit("boom");
      while (isolates.length === count) clock.advance(100);
      waits.push(clock.now() - diedAt);
    }
    expect(waits[0]).toBeLessThanOrEqual(100);
    expect(Math.max(...waits.slice(0, 3))).toBeLessThanOrEqual(1_100);
    expect(Math.max(...waits)).toBeGreaterThan(5_000);
    expect(Math.max(...waits)).toBeLessThanOrEqual(30_100);
    // One that holds out has made up for all of them.
    isolates.at(-1)?.say("hello", "joined", "listening");
    clock.advance(60_000);
    const count = isolates.length;
    isolates.at(-1)?.exit("boom");
    clock.advance(100);
    expect(isolates).toHaveLength(count + 1);
  });
});

describe("an isolate that does not answer", () => {
  test("is owner no more, and comes back as any other", () => {
    const { clock, isolates } = start();
    const [owner, second, third] = isolates as [FakeIsolate, FakeIsolate, FakeIsolate];
    owner.isAwake = false;
    clock.advance((SILENT_BEATS - 1) * BEAT_MS);
    expect(second.take()).toEqual([]);
    clock.advance(BEAT_MS);
    const all = [owner.id, second.id, third.id];
    const roster = { term: 4, owner: second.id, isolates: all };
    expect(second.take()).toEqual([{ type: "roster", roster, restarts: 0 }]);
    owner.isAwake = true;
    clock.advance(10 * BEAT_MS);
    expect(second.take()).toEqual([]);
    expect(owner.orders.at(-1)).toEqual({ type: "roster", roster, restarts: 0 });
    expect(owner.isTerminated).toBe(false);
  });

  test("stays the owner while no other answers either", () => {
    const { clock, isolates } = start();
    const [owner] = isolates as [FakeIsolate];
    for (const isolate of isolates) isolate.isAwake = false;
    clock.advance((SILENT_BEATS + 2) * BEAT_MS);
    expect(owner.take()).toEqual([]);
  });

  test("for long is ended, and replaced", () => {
    const { clock, isolates } = start();
    const [, , third] = isolates as [FakeIsolate, FakeIsolate, FakeIsolate];
    third.isAwake = false;
    clock.advance(HUNG_BEATS * BEAT_MS);
    expect(third.isTerminated).toBe(false);
    clock.advance(BEAT_MS + 1);
    expect(third.isTerminated).toBe(true);
    expect(isolates).toHaveLength(4);
  });

  test("and cannot be ended is a reason to begin anew as a whole", async () => {
    const { clock, isolates, supervisor } = start({ endsBusyIsolates: false });
    (isolates[2] as FakeIsolate).isAwake = false;
    clock.advance((HUNG_BEATS + 1) * BEAT_MS);
    await supervisor.broken;
  });
});

describe("the end", () => {
  test("comes for all once the last client of any has left", async () => {
    const { isolates, supervisor } = start({ count: 2 });
    const [first, second] = isolates as [FakeIsolate, FakeIsolate];
    let isOver = false;
    const over = supervisor.stop().then(() => {
      isOver = true;
    });
    expect(first.take()).toEqual([{ type: "drain" }]);
    expect(second.take()).toEqual([{ type: "drain" }]);
    first.say("drained");
    await turn();
    expect(first.take()).toEqual([]);
    second.say("drained");
    await turn();
    expect(first.take()).toEqual([{ type: "end" }]);
    first.say("ended");
    await turn();
    expect(isOver).toBe(false);
    second.say("ended");
    await over;
    expect(isolates.map(({ isTerminated }) => isTerminated)).toEqual([true, true]);
  });

  test("does not wait for who dies meanwhile, and nobody comes in its place", async () => {
    const { clock, isolates, supervisor } = start();
    const [first, second, third] = isolates as [FakeIsolate, FakeIsolate, FakeIsolate];
    second.exit("boom"); // its place is to be filled
    const over = supervisor.stop();
    first.exit("boom");
    third.say("drained");
    await turn();
    // Who is left has the feeds, for as long as it takes.
    expect(third.take().map(({ type }) => type)).toEqual(["roster", "drain", "roster", "end"]);
    third.isAwake = false;
    clock.advance((HUNG_BEATS + 1) * BEAT_MS);
    await over;
    clock.advance(60_000);
    expect(isolates).toHaveLength(3);
  });

  test("ends who has only begun", async () => {
    const { isolates, supervisor } = create({ count: 1 });
    isolates[0]?.say("hello");
    await supervisor.stop();
    expect(isolates[0]?.isTerminated).toBe(true);
  });
});
