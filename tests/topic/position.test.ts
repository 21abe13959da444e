import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createEpoch, parsePosition, printPosition } from "../../lib/topic/position.ts";

test("a position is read as it was printed", () => {
  const epoch = fc.stringMatching(/^[a-z0-9]{1,32}$/);
  fc.assert(
    fc.property(epoch, fc.maxSafeNat(), (epoch, sequence) => {
      expect(parsePosition(printPosition(epoch, sequence))).toEqual({ epoch, sequence });
    }),
  );
});

test.each([
  ...["", ":", "a", "a:", ":1", "a:-1", "a:01", "a:1.5", "a:1e3", "a: 1", "a:1 ", "A:1", "é:1"],
  ...["a:b:1", "a:1\n", `${"a".repeat(33)}:1`, "a:9007199254740992", `a:${"9".repeat(17)}`],
])("%j is no position", (text) => {
  expect(parsePosition(text)).toBeUndefined();
});

describe("an epoch", () => {
  test("fits into a position and has 8 characters", () => {
    fc.assert(
      fc.property(
        fc.infiniteStream(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })),
        (stream) => {
          const epoch = createEpoch(() => stream.next().value);
          expect(epoch).toHaveLength(8);
          expect(parsePosition(printPosition(epoch, 0))).toEqual({ epoch, sequence: 0 });
        },
      ),
    );
  });

  test("is another each time", () => {
    const epochs = Array.from({ length: 1000 }, () => createEpoch(Math.random));
    expect(new Set(epochs).size).toBe(1000);
  });
});
