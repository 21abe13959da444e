/** Bounds of the wait before a reconnect, and its chance. */
export interface BackoffOptions {
  /** Longest wait before the first attempt, ms. */
  readonly minMs: number;
  /** Longest wait before any attempt, ms. */
  readonly maxMs: number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

/**
 * Milliseconds to wait before attempt number `attempt` (from 0): uniform between 0 and a bound that
 * doubles with each attempt up to `maxMs`. "Full jitter" spreads a crowd that lost one relay best.
 *
 * @see https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
 */
export function backoff(attempt: number, { minMs, maxMs, random }: BackoffOptions): number {
  return Math.floor(random() * Math.min(maxMs, minMs * 2 ** attempt));
}
