/** Chance from a seed: the same seed, the same course of things. */

export interface Chance {
  /** From 0 to below 1, as `Math.random`. */
  next(): number;
  /** A whole number from 0 to below a bound. */
  below(bound: number): number;
  /** Whether something happens that happens with this probability. */
  hits(probability: number): boolean;
  /** One of these; there MUST be one. */
  pick<T>(all: readonly T[]): T;
}

/** @param seed a whole number. @see https://github.com/bryc/code/blob/master/jshash/PRNGs.md#mulberry32 */
export function createChance(seed: number): Chance {
  let state = seed | 0;
  function next(): number {
    state = (state + 0x6d2b79f5) | 0;
    let bits = Math.imul(state ^ (state >>> 15), 1 | state);
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits;
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
  }
  const below = (bound: number) => Math.floor(next() * bound);
  return {
    next,
    below,
    hits: (probability) => next() < probability,
    pick: <T>(all: readonly T[]) => all[below(all.length)] as T, // there is one
  };
}
