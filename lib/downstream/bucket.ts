/** A token bucket: so many a second, and of those that were left, a second's worth at once. */

import type { Clock } from "../clock.ts";

export interface Bucket {
  /** @returns false when there is none left */
  take(): boolean;
}

/** @param perSecond 0 for any number */
export function createBucket(perSecond: number, clock: Pick<Clock, "monotonic">): Bucket {
  let tokens = perSecond;
  let filledAt = clock.monotonic();
  return {
    take() {
      if (perSecond === 0) return true;
      const now = clock.monotonic();
      tokens = Math.min(perSecond, tokens + ((now - filledAt) / 1000) * perSecond);
      filledAt = now;
      if (tokens < 1) return false;
      tokens--;
      return true;
    },
  };
}
