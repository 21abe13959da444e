import { expect, test } from "vitest";
import { createManualClock } from "../../lib/clock.ts";
import { type Bucket, createBucket } from "../../lib/downstream/bucket.ts";

/** How many of so many attempts succeed. */
function taken(bucket: Bucket, attempts: number): number {
  let count = 0;
  for (let i = 0; i < attempts; i++) if (bucket.take()) count++;
  return count;
}

test("it holds a second's worth, and fills up evenly", () => {
  const clock = createManualClock();
  const bucket = createBucket(10, clock);
  expect(taken(bucket, 30)).toBe(10);
  clock.advance(99);
  expect(taken(bucket, 30)).toBe(0);
  clock.advance(1);
  expect(taken(bucket, 30)).toBe(1);
  clock.advance(500);
  expect(taken(bucket, 30)).toBe(5);
});

test("what was left for long is no more than a second's worth", () => {
  const clock = createManualClock();
  const bucket = createBucket(10, clock);
  clock.advance(3_600_000);
  expect(taken(bucket, 30)).toBe(10);
});

test("an attempt in vain costs nothing", () => {
  const clock = createManualClock();
  const bucket = createBucket(1, clock);
  let count = 0;
  for (let ms = 0; ms < 10_000; ms += 125) {
    if (bucket.take()) count++;
    clock.advance(125);
  }
  expect(count).toBe(10);
});

test("one of 0 is never empty", () => {
  expect(taken(createBucket(0, createManualClock()), 1_000)).toBe(1_000);
});
