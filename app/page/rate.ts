/** How fast a counter rises, seen over a sliding window: a single second would flicker. */
export interface Rate {
  /**
   * Takes the counter's value at a time in milliseconds, and returns its rise per second over the
   * window; undefined until two readings are there. A counter that fell has started anew.
   */
  read(value: number | undefined, nowMs: number): number | undefined;
}

/** @param windowMs how far back a reading counts; 5 s unless told */
export function createRate(windowMs = 5_000): Rate {
  let readings: { readonly value: number; readonly atMs: number }[] = [];
  return {
    read(value, nowMs) {
      const last = readings.at(-1);
      if (value === undefined || (last !== undefined && value < last.value)) readings = [];
      if (value === undefined) return undefined;
      readings = readings.filter((reading) => nowMs - reading.atMs <= windowMs);
      readings.push({ value, atMs: nowMs });
      const first = readings[0]!;
      return nowMs > first.atMs ? ((value - first.value) * 1000) / (nowMs - first.atMs) : undefined;
    },
  };
}
