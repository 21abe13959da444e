/** How long to wait before the next attempt. */

export interface BackoffLimits {
  /** Upper bound of the first wait, ms; doubles with each attempt. */
  readonly minMs: number;
  /** Upper bound of any wait, ms. */
  readonly maxMs: number;
}

/**
 * Full jitter: anything between nothing and the bound, so that a thousand relays which lost one
 * origin at one moment do not come back at one moment.
 * @param attempt 0 for the first
 * @param random a number from 0 to below 1
 * @returns milliseconds
 * @see https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
 */
export function backoffMs(
  attempt: number,
  random: number,
  { minMs, maxMs }: BackoffLimits,
): number {
  return Math.floor(random * Math.min(maxMs, minMs * 2 ** Math.min(attempt, 30)));
}
