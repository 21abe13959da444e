import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  balancedLine,
  expectedGoals,
  MARGIN,
  MAX_PRICE,
  MIN_PRICE,
  matchResult,
  nextGoal,
  overUnder,
  price,
  quote,
  type Side,
  type Situation,
} from "../../app/demo/odds.ts";

// Not fc.double: it draws evenly among the floats, nearly all of which lie next to 0.
const rate = fc.integer({ min: 20, max: 500 }).map((hundredths) => hundredths / 100);
const minutes = fc.integer({ min: 0, max: 5400 }).map((seconds) => seconds / 60);
const side: fc.Arbitrary<Side> = fc.record({
  goals: fc.integer({ min: 0, max: 8 }),
  red: fc.integer({ min: 0, max: 3 }),
  rate,
});
const situation: fc.Arbitrary<Situation> = fc.record({
  home: side,
  away: side,
  minutesLeft: minutes,
});
const sides = { home: "Home", away: "Away" };
const marketId = fc.constantFrom("1x2", "over-under", "next-goal");
const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);

describe("probabilities", () => {
  test("of every market sum to 1", () => {
    fc.assert(
      fc.property(situation, (s) => {
        for (const market of [matchResult(s), overUnder(s, balancedLine(s)), nextGoal(s)]) {
          expect(sum(market)).toBeCloseTo(1, 9);
          expect(Math.min(...market)).toBeGreaterThanOrEqual(0);
        }
      }),
    );
  });

  test("do not change when the sides are swapped", () => {
    fc.assert(
      fc.property(situation, (s) => {
        const swapped = { home: s.away, away: s.home, minutesLeft: s.minutesLeft };
        for (const market of [matchResult, nextGoal]) {
          const [first, middle, last] = market(s);
          const [one, two, three] = market(swapped);
          expect(one).toBeCloseTo(last, 12);
          expect(two).toBeCloseTo(middle, 12);
          expect(three).toBeCloseTo(first, 12);
        }
      }),
    );
  });

  test("are those of the literature for one goal expected on each side", () => {
    const even = { goals: 0, red: 0, rate: 1 };
    const s = { home: even, away: even, minutesLeft: 90 };
    expect(matchResult(s)[1]).toBeCloseTo(0.30851, 5); // e^-2 I0(2)
    expect(overUnder(s, 2.5)[1]).toBeCloseTo(5 * Math.exp(-2), 9);
    expect(nextGoal(s)[1]).toBeCloseTo(Math.exp(-2), 9);
  });

  test("are certain at the final whistle", () => {
    fc.assert(
      fc.property(situation, (s) => {
        const over = { ...s, minutesLeft: 0 };
        expect(Math.max(...matchResult(over))).toBe(1);
        expect(nextGoal(over)).toEqual([0, 1, 0]);
        expect(overUnder(over, balancedLine(over))).toEqual([0, 1]);
      }),
    );
  });
});

describe("prices", () => {
  test("imply probabilities that sum to 1 plus the margin, but for rounding and the bounds", () => {
    fc.assert(
      fc.property(situation, marketId, (s, id) => {
        const { selections } = quote(id, { situation: s, sides, line: balancedLine(s) });
        const prices = selections.map((selection) => selection.price);
        fc.pre(prices.every((p) => p > MIN_PRICE && p < MAX_PRICE));
        // Half a cent moves 1/price by at most this.
        const rounding = sum(prices.map((p) => 0.005 / (p * (p - 0.005))));
        const implied = sum(prices.map((p) => 1 / p));
        expect(Math.abs(implied - (1 + MARGIN))).toBeLessThanOrEqual(rounding + 1e-9);
      }),
    );
  });

  test("have two decimals and stay within their bounds", () => {
    const permille = fc.integer({ min: 0, max: 1000 });
    fc.assert(
      fc.property(permille, permille, (p, margin) => {
        const decimal = price(p / 1000, margin / 1000);
        expect(decimal).toBe(Number(decimal.toFixed(2)));
        expect(decimal).toBeGreaterThanOrEqual(MIN_PRICE);
        expect(decimal).toBeLessThanOrEqual(MAX_PRICE);
      }),
    );
    expect(price(0)).toBe(MAX_PRICE);
    expect(price(1)).toBe(MIN_PRICE);
    expect(price(0.5, 0.06)).toBe(1.89);
  });
});

describe("as the match goes on", () => {
  /** The same situation at two times, the earlier one first. */
  const passage = fc.tuple(situation, minutes, minutes).map(([s, a, b]): [Situation, Situation] => [
    { ...s, minutesLeft: Math.max(a, b) },
    { ...s, minutesLeft: Math.min(a, b) },
  ]);

  // Of a leader who is the stronger side too this does not hold: with much time left he gains more
  // by the goals to come than he loses by giving up the lead for them.
  test("a leader who is not the stronger side gets shorter", () => {
    fc.assert(
      fc.property(passage, ([before, after]) => {
        fc.pre(before.home.goals > before.away.goals);
        fc.pre(expectedGoals(before).home <= expectedGoals(before).away);
        expect(price(matchResult(after)[0])).toBeLessThanOrEqual(price(matchResult(before)[0]));
      }),
    );
  });

  test("under a fixed line and no next goal get shorter, a next goal longer", () => {
    fc.assert(
      fc.property(passage, fc.integer({ min: 0, max: 20 }), ([before, after], line) => {
        const under = (s: Situation): number => price(overUnder(s, line + 0.5)[1]);
        expect(under(after)).toBeLessThanOrEqual(under(before));
        const [home, none, away] = nextGoal(before).map((p) => price(p));
        const later = nextGoal(after).map((p) => price(p));
        expect(later[0]).toBeGreaterThanOrEqual(home!);
        expect(later[1]).toBeLessThanOrEqual(none!);
        expect(later[2]).toBeGreaterThanOrEqual(away!);
      }),
    );
  });

  test("the line falls, but never below half a goal more than was scored", () => {
    fc.assert(
      fc.property(passage, ([before, after]) => {
        expect(balancedLine(after)).toBeLessThanOrEqual(balancedLine(before));
        expect(balancedLine(after)).toBeGreaterThan(after.home.goals + after.away.goals);
      }),
    );
  });
});

describe("what happens on the pitch", () => {
  test("a goal shortens the scorer, lengthens the opponent and moves the line by one", () => {
    fc.assert(
      fc.property(situation, (s) => {
        const scored = { ...s, home: { ...s.home, goals: s.home.goals + 1 } };
        expect(price(matchResult(scored)[0])).toBeLessThanOrEqual(price(matchResult(s)[0]));
        expect(price(matchResult(scored)[2])).toBeGreaterThanOrEqual(price(matchResult(s)[2]));
        expect(balancedLine(scored)).toBe(balancedLine(s) + 1);
      }),
    );
  });

  test("a red card lengthens its side", () => {
    fc.assert(
      fc.property(situation, (s) => {
        const reduced = { ...s, away: { ...s.away, red: s.away.red + 1 } };
        expect(price(matchResult(reduced)[2])).toBeGreaterThanOrEqual(price(matchResult(s)[2]));
        expect(price(nextGoal(reduced)[2])).toBeGreaterThanOrEqual(price(nextGoal(s)[2]));
      }),
    );
  });

  test("the balanced line is the one nearest to even", () => {
    fc.assert(
      fc.property(situation, fc.integer({ min: 0, max: 30 }), (s, other) => {
        const imbalance = (line: number): number => Math.abs(overUnder(s, line)[0] - 0.5);
        const floor = s.home.goals + s.away.goals + 0.5;
        expect(imbalance(balancedLine(s))).toBeLessThanOrEqual(imbalance(floor + other) + 1e-9);
      }),
    );
  });
});

test("an impossible expectation is refused", () => {
  const wild = { goals: 0, red: 0, rate: Number.NaN };
  expect(() => matchResult({ home: wild, away: wild, minutesLeft: 90 })).toThrow(RangeError);
});
