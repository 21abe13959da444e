import fc from "fast-check";
import { expect, test } from "vitest";
import { backoffMs } from "../../lib/upstream/backoff.ts";

const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

test("a wait is anything up to its bound, which doubles up to the largest", () => {
  const limits = fc
    .tuple(fc.integer({ min: 1, max: 10_000 }), fc.integer({ min: 1, max: 100_000 }))
    .map(([minMs, maxMs]) => ({ minMs, maxMs }));
  fc.assert(
    fc.property(fc.nat(10_000), random, limits, (attempt, random, limits) => {
      const bound = Math.min(limits.maxMs, limits.minMs * 2 ** attempt);
      const wait = backoffMs(attempt, random, limits);
      expect(Number.isInteger(wait)).toBe(true);
      expect(wait).toBeGreaterThanOrEqual(0);
      expect(wait).toBeLessThan(bound);
      // The whole of the room is used, by chance alone: who lost one origin together comes back apart.
      expect(Math.abs(wait - random * bound)).toBeLessThan(1);
    }),
  );
});

test("the bounds from half a second to half a minute", () => {
  const limits = { minMs: 500, maxMs: 30_000 };
  const bounds = [0, 1, 2, 3, 4, 5, 6, 7, 1000].map(
    (attempt) => backoffMs(attempt, 0.999999, limits) + 1,
  );
  expect(bounds).toEqual([500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
});
