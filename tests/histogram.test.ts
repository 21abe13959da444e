import { expect, test } from "vitest";
import { createHistogram } from "../lib/histogram.ts";

test("a value is counted in the first bucket that holds it, its bound included", () => {
  const histogram = createHistogram([1, 2.5, 5]);
  for (const value of [0, 0.5, 1, 1.1, 2.5, 5, 5.1, 1_000]) {
    histogram.observe(value, 1);
  }
  expect([...histogram.counts]).toEqual([3, 2, 1, 2]);
});

test("a value counts as often as it weighs", () => {
  const histogram = createHistogram([1, 10]);
  histogram.observe(0.5, 3);
  histogram.observe(4, 5_000);
  histogram.observe(20, 2);
  histogram.observe(7, 0);
  expect([...histogram.counts]).toEqual([3, 5_000, 2]);
  expect(histogram.sum).toBe(1.5 + 20_000 + 40);
});

test("a clock that was set back does not take from the sum", () => {
  const histogram = createHistogram([1, 10]);
  histogram.observe(-5, 2);
  expect([...histogram.counts, histogram.sum]).toEqual([2, 0, 0, 0]);
});
