/** Publications at an even pace. */

import type { NumberingHub } from "./hub.ts";

const TICK_MS = 10;

/**
 * Publishes until it is told that it is over; what a busy machine was late with follows at once.
 * @param pick the topic of the next one
 * @param more fields of the next one
 * @returns how many
 */
export async function publishSteadily(
  hub: NumberingHub,
  options: {
    readonly perSecond: number;
    isOver(): boolean;
    pick(): string;
    more?(): Readonly<Record<string, unknown>>;
  },
): Promise<number> {
  const { perSecond, isOver, pick, more } = options;
  const startedAt = performance.now();
  let count = 0;
  while (!isOver()) {
    await new Promise((resolve) => setTimeout(resolve, TICK_MS));
    const due = Math.floor(((performance.now() - startedAt) * perSecond) / 1000);
    for (; count < due; count++) hub.publish(pick(), more?.());
  }
  return count;
}
