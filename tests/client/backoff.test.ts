import fc from "fast-check";
import { expect, test } from "vitest";
import { backoff } from "../../lib/client/backoff.ts";

test("the bound doubles with each attempt up to the longest wait", () => {
  const bounds = { minMs: 500, maxMs: 30_000, random: () => 0.999_999 };
  const waits = [0, 1, 2, 5, 6, 7, 5_000].map(
    (attempt) => Math.ceil(backoff(attempt, bounds) / 10) * 10,
  );
  expect(waits).toEqual([500, 1_000, 2_000, 16_000, 30_000, 30_000, 30_000]);
});

test("a wait is a whole number from 0 to below its bound", () => {
  const chance = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
  fc.assert(
    fc.property(fc.nat(), chance, fc.integer({ min: 1, max: 1e5 }), (attempt, value, maxMs) => {
      const wait = backoff(attempt, { minMs: 100, maxMs, random: () => value });
      expect(Number.isInteger(wait) && wait >= 0 && wait < maxMs).toBe(true);
    }),
  );
});
