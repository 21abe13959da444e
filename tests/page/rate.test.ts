import { expect, test } from "vitest";
import { createRate } from "../../app/page/rate.ts";

test("a rate is unknown until two readings are there", () => {
  const rate = createRate();
  expect(rate.read(100, 0)).toBeUndefined();
  expect(rate.read(150, 500)).toBe(100);
});

test("a rate looks back over its window only", () => {
  const rate = createRate(5_000);
  rate.read(0, 0);
  rate.read(1_000, 1_000);
  expect(rate.read(1_010, 6_000)).toBe(2);
});

test("a counter that fell has started anew", () => {
  const rate = createRate();
  rate.read(1_000, 0);
  expect(rate.read(5, 1_000)).toBeUndefined();
  expect(rate.read(25, 2_000)).toBe(20);
});

test("a missing reading makes the rate unknown, not zero", () => {
  const rate = createRate();
  rate.read(0, 0);
  expect(rate.read(undefined, 1_000)).toBeUndefined();
  expect(rate.read(50, 2_000)).toBeUndefined();
});
