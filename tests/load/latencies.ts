/** How long publications take from the hub to each reader. */

export interface Latencies {
  /** A reader has got a publication. @param at when it was published, as `performance.now()` shows it */
  add(number: number, at: number): void;
  /** This quantile of each second since the last time, ms; nothing is kept. */
  take(quantile: number): number[];
}

export function createLatencies(): Latencies {
  /** By the second in which it was published. */
  let seconds = new Map<number, number[]>();
  return {
    add(_, at) {
      const second = Math.floor(at / 1000);
      const values = seconds.get(second);
      const value = performance.now() - at;
      if (values) values.push(value);
      else seconds.set(second, [value]);
    },
    take(quantile) {
      const all = [...seconds.values()];
      seconds = new Map();
      return all.map((values) => quantileOf(values, quantile));
    },
  };
}

export function median(values: readonly number[]): number {
  return quantileOf([...values], 0.5);
}

function quantileOf(values: number[], quantile: number): number {
  values.sort((a, b) => a - b);
  return values[Math.min(values.length - 1, Math.floor(values.length * quantile))] ?? Number.NaN;
}
