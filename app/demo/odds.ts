/**
 * In-play odds of a football match. The goals still to come are two independent Poisson variables
 * (Maher, 1982), whose means shrink with the time left; a market's probabilities follow from them, its
 * prices from these and the bookmaker's margin. Pure functions, no state.
 *
 * @see https://doi.org/10.1111/j.1467-9574.1982.tb00782.x
 */
import type { MarketId, Selection } from "./contract.ts";

/** What the bookmaker keeps: the implied probabilities of a market sum to 1 plus this. */
export const MARGIN = 0.06;

/** Bounds of a price. Behind them the margin is not what it should be: certainties are sold at 1.01. */
export const MIN_PRICE = 1.01;
export const MAX_PRICE = 1000;

/** Length of a match without its break, minutes. Stoppage time is not played here. */
export const MATCH_MINUTES = 90;

/** A side fewer by one player scores this much less, and its opponent this much more. */
const RED_CARD_LOSS = 0.67;
const RED_CARD_GAIN = 1.25;

/** One side of a match, as far as the odds care. */
export interface Side {
  readonly goals: number;
  /** Players sent off. */
  readonly red: number;
  /** Goals expected over a whole match of eleven against eleven, above 0 and at most 10. */
  readonly rate: number;
}

/** A match at one moment. */
export interface Situation {
  readonly home: Side;
  readonly away: Side;
  /** Playing time left, 0 to 90; fractions count. */
  readonly minutesLeft: number;
}

/** Goals expected of each side. */
export interface Expectation {
  readonly home: number;
  readonly away: number;
}

/** Names of the two sides, for the selections. */
export interface Sides {
  readonly home: string;
  readonly away: string;
}

/** Goals each side is expected to score over a whole match, as many players as now being left. */
export function scoringRates({ home, away }: Situation): Expectation {
  return {
    home: home.rate * power(RED_CARD_LOSS, home.red) * power(RED_CARD_GAIN, away.red),
    away: away.rate * power(RED_CARD_LOSS, away.red) * power(RED_CARD_GAIN, home.red),
  };
}

/** Goals each side is expected to score in the time left. */
export function expectedGoals(situation: Situation): Expectation {
  const { home, away } = scoringRates(situation);
  const share = situation.minutesLeft / MATCH_MINUTES;
  return { home: home * share, away: away * share };
}

/** Probabilities that the match ends in a win of the home side, a draw, a win of the away side. */
export function matchResult(situation: Situation): [home: number, draw: number, away: number] {
  const expected = expectedGoals(situation);
  const home = poisson(expected.home);
  const away = poisson(expected.away);
  const lead = situation.home.goals - situation.away.goals;
  const outcome: [number, number, number] = [0, 0, 0];
  for (const [homeMore, p] of home.entries()) {
    for (const [awayMore, q] of away.entries()) {
      const difference = lead + homeMore - awayMore;
      outcome[difference > 0 ? 0 : difference === 0 ? 1 : 2] += p * q;
    }
  }
  return outcome;
}

/** Probabilities of more and of fewer goals in the whole match than a line such as 2.5. */
export function overUnder(situation: Situation, line: number): [over: number, under: number] {
  const { home, away } = expectedGoals(situation);
  const scored = situation.home.goals + situation.away.goals;
  let under = 0;
  for (const [more, p] of poisson(home + away).entries()) {
    if (scored + more < line) under += p;
  }
  // Rounding may have carried the sum past 1; a price of less than nothing would be clamped to 1.01.
  return [Math.max(0, 1 - under), under];
}

/** The line at which over and under are closest to even: half a goal above the median total. */
export function balancedLine(situation: Situation): number {
  const { home, away } = expectedGoals(situation);
  let more = 0;
  let below = 0;
  for (const p of poisson(home + away)) {
    // The line sits above `more` goals to come or, when that is nearer to even, one lower.
    if (below + p >= 0.5) {
      const lower = more > 0 && 0.5 - below < below + p - 0.5;
      return situation.home.goals + situation.away.goals + (lower ? more - 0.5 : more + 0.5);
    }
    below += p;
    more++;
  }
  throw new RangeError(`Cannot find a line: ${home + away} goals expected`);
}

/** Probabilities that the home side scores next, that nobody does, that the away side does. */
export function nextGoal(situation: Situation): [home: number, none: number, away: number] {
  const { home, away } = expectedGoals(situation);
  const none = Math.exp(-(home + away));
  if (none === 1) return [0, 1, 0];
  const share = home / (home + away);
  return [share * (1 - none), none, (1 - share) * (1 - none)];
}

/**
 * Decimal odds of an outcome, two decimals, within {@link MIN_PRICE} and {@link MAX_PRICE}.
 *
 * The margin is laid on in proportion: 1/price is the probability times 1 plus the margin.
 */
export function price(probability: number, margin: number = MARGIN): number {
  const exact = 1 / (probability * (1 + margin));
  return Math.min(MAX_PRICE, Math.max(MIN_PRICE, Math.round(exact * 100) / 100));
}

/** What a market is priced from. */
export interface Offer {
  readonly situation: Situation;
  readonly sides: Sides;
  /** Of over/under. */
  readonly line: number;
}

/** A market's name and selections at the prices of now. */
export function quote(
  marketId: MarketId,
  { situation, sides, line }: Offer,
): { readonly name: string; readonly selections: readonly Selection[] } {
  switch (marketId) {
    case "1x2": {
      const [home, draw, away] = matchResult(situation);
      return {
        name: "Match result",
        selections: [
          { id: "home", name: sides.home, price: price(home) },
          { id: "draw", name: "Draw", price: price(draw) },
          { id: "away", name: sides.away, price: price(away) },
        ],
      };
    }
    case "over-under": {
      const [over, under] = overUnder(situation, line);
      return {
        name: `Over/under ${line}`,
        selections: [
          { id: "over", name: `Over ${line}`, price: price(over) },
          { id: "under", name: `Under ${line}`, price: price(under) },
        ],
      };
    }
    case "next-goal": {
      const [home, none, away] = nextGoal(situation);
      return {
        name: "Next goal",
        selections: [
          { id: "home", name: sides.home, price: price(home) },
          { id: "none", name: "No goal", price: price(none) },
          { id: "away", name: sides.away, price: price(away) },
        ],
      };
    }
  }
}

/** By hand, since `**` may differ in the last digit between engines, and these rates decide matches. */
function power(factor: number, times: number): number {
  let product = 1;
  for (let i = 0; i < times; i++) product *= factor;
  return product;
}

/**
 * Probabilities of 0, 1, 2, … goals when `mean` are expected, up to where what is left out (below 1e-12)
 * can no longer be seen in a price.
 *
 * @throws RangeError when the mean is not from 0 to 100, as no match's is
 */
function poisson(mean: number): number[] {
  if (!(mean >= 0 && mean <= 100)) throw new RangeError(`Cannot expect ${mean} goals`);
  const probabilities: number[] = [];
  let p = Math.exp(-mean);
  // Beyond twice the mean each term is less than half of the one before: the rest is less than p.
  for (let goals = 0; goals <= 2 * mean || p > 1e-12; goals++) {
    probabilities.push(p);
    p *= mean / (goals + 1);
  }
  return probabilities;
}
