import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createManualClock } from "../lib/clock.ts";
import { createWheel } from "../lib/wheel.ts";

const TICK_MS = 100;

function setUp(random = () => 0.5) {
  const clock = createManualClock(1_700_000_000_000);
  return { clock, wheel: createWheel(clock, { tickMs: TICK_MS, random }) };
}

describe("after a delay", () => {
  test("it runs once, not before its time and at most a tick behind it", () => {
    const timer = fc.record({ waitMs: fc.nat(500), delayMs: fc.nat(250_000) });
    fc.assert(
      fc.property(fc.array(timer, { maxLength: 10 }), (timers) => {
        const { clock, wheel } = setUp();
        const late: number[] = [];
        for (const { waitMs, delayMs } of timers) {
          clock.advance(waitMs);
          const due = clock.now() + delayMs;
          wheel.after(delayMs, () => late.push(clock.now() - due));
        }
        clock.advance(300_000);
        expect(late).toHaveLength(timers.length);
        for (const ms of late) {
          expect(ms).toBeGreaterThanOrEqual(0);
          expect(ms).toBeLessThanOrEqual(TICK_MS);
        }
      }),
      { numRuns: 200 },
    );
  });

  test("it runs though the runtime was busy meanwhile", () => {
    let now = 0;
    let tick = () => {};
    const wheel = createWheel(
      {
        now: () => now,
        monotonic: () => now,
        after: () => expect.unreachable(),
        every: (_, run) => {
          tick = run;
          return { cancel() {} };
        },
        soon: () => expect.unreachable(),
      },
      { tickMs: TICK_MS },
    );
    const ran: string[] = [];
    for (const ms of [300, 100, 200_000, 200]) wheel.after(ms, () => ran.push(`${ms}`));
    now = 250_000;
    tick();
    expect(ran).toEqual(["100", "200", "300", "200000"]);
  });

  test("it does not run once cancelled, also by another of the same time", () => {
    const { clock, wheel } = setUp();
    const ran: string[] = [];
    const first = wheel.after(500, () => {
      ran.push("first");
      second.cancel();
      first.cancel();
    });
    const second = wheel.after(500, () => ran.push("second"));
    const third = wheel.after(500, () => ran.push("third"));
    third.cancel();
    third.cancel();
    clock.advance(300_000);
    expect(ran).toEqual(["first"]);
  });

  test("what is set while it runs is not run in the same tick", () => {
    const { clock, wheel } = setUp();
    let count = 0;
    const again = () => {
      count++;
      wheel.after(0, again);
    };
    wheel.after(0, again);
    clock.advance(10 * TICK_MS);
    expect(count).toBeGreaterThanOrEqual(5);
    expect(count).toBeLessThanOrEqual(10);
  });
});

describe("every period", () => {
  test("it first runs after a random part of it, and then after each", () => {
    for (const [random, firstMs] of [
      [0, 100],
      [0.5, 500],
      [0.999, 1_000],
    ] as const) {
      const { clock, wheel } = setUp(() => random);
      const start = clock.now();
      const times: number[] = [];
      wheel.every(1_000, () => times.push(clock.now() - start));
      clock.advance(3_500);
      expect(times.slice(0, 3)).toEqual([firstMs, firstMs + 1_000, firstMs + 2_000]);
    }
  });

  test("a period of a whole turn of the wheel is kept too", () => {
    const { clock, wheel } = setUp();
    const turnMs = 1_024 * TICK_MS;
    let count = 0;
    wheel.every(turnMs, () => count++);
    clock.advance(10 * turnMs);
    expect(count).toBe(10);
  });

  test("it stops once cancelled, also by itself", () => {
    const { clock, wheel } = setUp();
    let count = 0;
    const timer = wheel.every(1_000, () => {
      if (++count === 3) timer.cancel();
    });
    clock.advance(100_000);
    expect(count).toBe(3);
  });

  test("many spread over the period", () => {
    let seed = 0;
    const { clock, wheel } = setUp(() => (seed = (seed + 0.618_034) % 1));
    const runs = new Map<number, number>();
    for (let i = 0; i < 1_000; i++) {
      wheel.every(1_000, () => runs.set(clock.now(), (runs.get(clock.now()) ?? 0) + 1));
    }
    clock.advance(1_000);
    expect(runs.size).toBe(10);
    for (const count of runs.values()) expect(count).toBeLessThan(200);
  });
});

test("a stopped wheel runs nothing", () => {
  const { clock, wheel } = setUp();
  wheel.after(100, expect.unreachable);
  wheel.stop();
  clock.advance(10_000);
});
