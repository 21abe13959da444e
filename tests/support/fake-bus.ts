/** A bus within one isolate: in order, at the end of the tick, and with losses when a test wants them. */

import type { Bus } from "../../lib/bus/bus.ts";
import type { Clock } from "../../lib/clock.ts";

export interface FakeBus {
  join(id: string): Bus;
  /** Asked of each message for each receiver. */
  isLost: (from: string, to: string) => boolean;
}

/** @param soon as a clock's */
export function createFakeBus(soon: Clock["soon"]): FakeBus {
  const places = new Map<string, Set<(from: string, message: unknown) => void>>();
  const bus: FakeBus = {
    isLost: () => false,
    join(id) {
      const listeners = new Set<(from: string, message: unknown) => void>();
      places.set(id, listeners);
      return {
        id,
        post(message) {
          const copy = structuredClone(message);
          const receivers = [...places].filter(([to]) => to !== id && !bus.isLost(id, to));
          soon(() => {
            for (const [, listeners] of receivers) for (const hear of listeners) hear(id, copy);
          });
        },
        listen(listener) {
          listeners.add(listener);
          return () => listeners.delete(listener);
        },
      };
    },
  };
  return bus;
}
