/** Limits of a fan-out, of which only what matters needs to be said. */

import type { FanoutLimits } from "../../lib/fanout/fanout.ts";

export function createLimits(limits: Partial<FanoutLimits> = {}): FanoutLimits {
  return {
    queueBytes: 1_000_000,
    conflateBytes: 50_000,
    totalQueueBytes: 100_000_000,
    stuckMs: 30_000,
    ...limits,
  };
}
