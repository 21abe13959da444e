/** A histogram of fixed buckets: an observation is two additions, and allocates nothing. */

export interface Histogram {
  /** Upper bounds of the buckets, rising; a value equal to one belongs below it. */
  readonly bounds: readonly number[];
  /** By bucket, and behind them what is above the last bound. */
  readonly counts: Float64Array;
  /** Of all values, each as often as it was counted. */
  readonly sum: number;
  /**
   * Counts a value.
   * @param value below 0 counts as 0, so that the sum never falls
   * @param weight how often it counts: a whole number, such as the clients that one write was for
   */
  observe(value: number, weight: number): void;
}

/** @param bounds at least one, rising */
export function createHistogram(bounds: readonly number[]): Histogram {
  const counts = new Float64Array(bounds.length + 1); // whole numbers up to 2 ** 53
  const last = bounds.length;
  let sum = 0;
  return {
    bounds,
    counts,
    get sum() {
      return sum;
    },
    observe(value, weight) {
      let bucket = 0;
      // From below, where most values are.
      while (bucket < last && value > (bounds[bucket] as number)) bucket++;
      counts[bucket] = (counts[bucket] as number) + weight;
      if (value > 0) sum += value * weight;
    },
  };
}
