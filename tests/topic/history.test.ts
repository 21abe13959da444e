import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createHistoryBudget } from "../../lib/topic/budget.ts";
import { createHistory, type HistoryLimits } from "../../lib/topic/history.ts";
import type { Publication } from "../../lib/topic/publication.ts";
import { createPublication } from "../support/publication.ts";

const unbounded = createHistoryBudget(Number.POSITIVE_INFINITY);

/** A history that says what it means: everything is kept, and what has been forgotten is marked. */
function createModel({ size, ttlMs, bytes }: HistoryLimits, floor: number) {
  let all: { item: Publication; forgotten: boolean }[] = [];

  function forget(now: number): void {
    let kept = 0;
    for (const [i, entry] of [...all.entries()].reverse()) {
      kept += entry.item.raw.length;
      if (i < all.length - size || kept > bytes || entry.item.time < now - ttlMs) {
        entry.forgotten = true;
      }
    }
  }

  return {
    append(item: Publication) {
      all.push({ item, forgotten: false });
      forget(item.time);
    },
    since(sequence: number, now: number) {
      forget(now);
      const missed = all.filter(({ item }) => item.sequence > sequence);
      if (sequence < floor || missed.some(({ forgotten }) => forgotten)) return undefined;
      return missed.map(({ item }) => item);
    },
    restart(sequence: number) {
      all = [];
      floor = sequence;
    },
    get length() {
      return all.filter(({ forgotten }) => !forgotten).length;
    },
  };
}

type Step =
  | {
      readonly type: "append";
      readonly afterMs: number;
      readonly skipped: number;
      readonly bytes: number;
    }
  | { readonly type: "since"; readonly afterMs: number; readonly back: number }
  | { readonly type: "restart" };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      type: fc.constant("append" as const),
      afterMs: fc.nat(40),
      skipped: fc.nat(2),
      bytes: fc.nat(9),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant("since" as const),
      afterMs: fc.nat(40),
      back: fc.nat(20),
    }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("restart" as const) }) },
);

test("what is asked for comes whole or not at all", () => {
  fc.assert(
    fc.property(
      fc.record({ size: fc.nat(6), ttlMs: fc.nat(150), bytes: fc.nat(20) }),
      fc.array(step, { maxLength: 60, size: "max" }),
      (limits, steps) => {
        let sequence = 10;
        let now = 1_000;
        const history = createHistory(limits, sequence, unbounded);
        const model = createModel(limits, sequence);
        for (const step of steps) {
          switch (step.type) {
            case "append": {
              sequence += 1 + step.skipped; // other topics of the feed took the numbers between
              now += step.afterMs;
              const publication = createPublication({
                sequence,
                time: now,
                raw: "x".repeat(step.bytes),
              });
              history.append(publication);
              model.append(publication);
              break;
            }
            case "since": {
              now += step.afterMs;
              const from = sequence - step.back;
              expect(history.since(from, now)).toEqual(model.since(from, now));
              break;
            }
            case "restart":
              sequence++;
              history.restart(sequence);
              model.restart(sequence);
          }
          expect(history.length).toBe(model.length);
          expect(history.length).toBeLessThanOrEqual(limits.size);
        }
      },
    ),
    { numRuns: 1000 },
  );
});

describe("a history", () => {
  const append = (history: ReturnType<typeof createHistory>, ...sequences: number[]) => {
    for (const sequence of sequences) history.append(createPublication({ sequence }));
  };
  const sequencesOf = (publications: readonly Publication[] | undefined) =>
    publications?.map(({ sequence }) => sequence);

  test("forgets the oldest when there would be more than its size", () => {
    const history = createHistory({ size: 2, ttlMs: 1_000, bytes: 1_000 }, 0, unbounded);
    append(history, 3, 5, 8);
    expect(sequencesOf(history.since(3, 0))).toEqual([5, 8]);
    expect(sequencesOf(history.since(4, 0))).toEqual([5, 8]);
    expect(sequencesOf(history.since(8, 0))).toEqual([]);
    expect(history.since(2, 0)).toBeUndefined();
  });

  test("forgets what is older than its time, and not what is just as old", () => {
    const history = createHistory({ size: 10, ttlMs: 1_000, bytes: 1_000 }, 0, unbounded);
    append(history, 1);
    expect(sequencesOf(history.since(0, 1_000))).toEqual([1]);
    expect(history.since(0, 1_001)).toBeUndefined();
    expect(sequencesOf(history.since(1, 1_001))).toEqual([]);
  });

  test("of size 0 serves only who has missed nothing", () => {
    const history = createHistory({ size: 0, ttlMs: 1_000, bytes: 1_000 }, 4, unbounded);
    expect(sequencesOf(history.since(4, 0))).toEqual([]);
    append(history, 6);
    expect(history.since(5, 0)).toBeUndefined();
    expect(sequencesOf(history.since(6, 0))).toEqual([]);
  });

  test("does not reach back behind its beginning", () => {
    const history = createHistory({ size: 10, ttlMs: 1_000, bytes: 1_000 }, 4, unbounded);
    append(history, 6);
    expect(sequencesOf(history.since(4, 0))).toEqual([6]);
    expect(history.since(3, 0)).toBeUndefined();
  });

  test("a slice that was handed out stays as it was", () => {
    const history = createHistory({ size: 2, ttlMs: 1_000, bytes: 1_000 }, 0, unbounded);
    append(history, 1, 2);
    const slice = history.since(0, 0);
    append(history, 3, 4, 5);
    expect(sequencesOf(slice)).toEqual([1, 2]);
  });
});
