/** The chance in the demo: a small seeded generator, so that a match-day can be played again. */

/**
 * A stream of random numbers.
 *
 * Every method uses up exactly one number of the stream. None uses a transcendental function, whose
 * last digit differs between engines: one seed plays the same match-day on every runtime.
 */
export interface Random {
  /** Next number, at least 0 and below 1, a multiple of 2^-32. */
  next(): number;
  /** True with this probability. */
  chance(probability: number): boolean;
  /** A whole number from `low` to `high`, both included. */
  integer(low: number, high: number): number;
  /** An item of a list. @throws RangeError when the list is empty. */
  pick<T>(list: readonly T[]): T;
}

/**
 * Makes a generator: sfc32 by Chris Doty-Humphrey, seeded as in PractRand (`sfc32::seed(Uint64)`).
 *
 * @param seed low 32 bits of the seed; more are cut off
 * @param stream high 32 bits: streams of one seed are independent of each other
 * @see https://pracrand.sourceforge.net/
 */
export function createRandom(seed: number, stream: number = 0): Random {
  let a = 0;
  let b = seed | 0;
  let c = stream | 0;
  let counter = 1;

  function word(): number {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }

  // The state starts with few bits set; these rounds mix it, as the author's seeding does.
  for (let round = 0; round < 12; round++) word();

  function next(): number {
    return word() / 2 ** 32;
  }

  function integer(low: number, high: number): number {
    return low + Math.floor(next() * (high - low + 1));
  }

  return {
    next,
    chance: (probability) => next() < probability,
    integer,
    pick(list) {
      const item = list[integer(0, list.length - 1)];
      if (item === undefined) throw new RangeError("Cannot pick from an empty list");
      return item;
    },
  };
}
