import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createHistoryBudget } from "../../lib/topic/budget.ts";
import { createHistory } from "../../lib/topic/history.ts";
import { createPublication } from "../support/publication.ts";

const LIMITS = { size: 1_000, ttlMs: 1_000_000, bytes: 1_000_000 };

describe("what all histories together keep", () => {
  const append = fc.record({
    history: fc.nat(4),
    bytes: fc.nat(30),
    afterMs: fc.nat(20),
    restarts: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
  });

  test("is never more than allowed, and nothing goes before what is older", () => {
    fc.assert(
      fc.property(fc.array(append, { maxLength: 120, size: "max" }), (appends) => {
        const budget = createHistoryBudget(200);
        const histories = Array.from({ length: 5 }, () => createHistory(LIMITS, 0, budget));
        const times: number[][] = histories.map(() => []);
        let now = 1;
        for (const [i, { history: which, bytes, afterMs, restarts }] of appends.entries()) {
          const history = histories[which]!;
          now += afterMs;
          if (restarts) {
            history.restart(i);
            times[which] = [];
          }
          const raw = "x".repeat(bytes);
          history.append(createPublication({ sequence: i + 1, time: now, raw }));
          times[which]!.push(now);
          expect(budget.bytes).toBe(histories.reduce((sum, { bytes }) => sum + bytes, 0));
          expect(budget.bytes).toBeLessThanOrEqual(200);
          // Of whatever is left in one, everything younger is left in all.
          const oldest = Math.min(...histories.flatMap(({ span }) => span?.from ?? []));
          for (const [which, { length }] of histories.entries()) {
            times[which] = times[which]!.slice(-length || times[which]!.length);
            const younger = times[which]!.filter((time) => time > oldest).length;
            expect(length).toBeGreaterThanOrEqual(younger);
          }
        }
      }),
    );
  });

  test("is given back by a history that ends", () => {
    const budget = createHistoryBudget(100);
    const history = createHistory(LIMITS, 0, budget);
    history.append(createPublication({ sequence: 1, raw: "x".repeat(60) }));
    history.restart(1);
    expect(budget.bytes).toBe(0);
  });

  test("a history that was made to forget does not pretend to reach back", () => {
    const budget = createHistoryBudget(100);
    const [old, young] = [0, 0].map((floor) => createHistory(LIMITS, floor, budget));
    old!.append(createPublication({ sequence: 1, time: 1, raw: "x".repeat(60) }));
    young!.append(createPublication({ sequence: 2, time: 500, raw: "x".repeat(60) }));
    expect(old!.since(0, 500)).toBeUndefined();
    expect(old!.since(1, 500)).toEqual([]);
    expect(young!.since(1, 500)).toHaveLength(1);
  });
});
