/** A bus within one isolate: in order, at the end of the tick, and with losses when a test wants them. */

import { type Bus, isFor, machineOf } from "../../lib/bus/bus.ts";
import type { Clock } from "../../lib/clock.ts";

export interface FakeBus {
  /** @param id `{machine}.{isolate}` on a bus that joins machines, where each hears only what is for it */
  join(id: string): Bus;
  /** Whether machines reach each other. */
  isConnected: boolean;
  /** Asked of each message for each receiver. */
  isLost: (from: string, to: string) => boolean;
}

/** @param soon as a clock's */
export function createFakeBus(soon: Clock["soon"]): FakeBus {
  const places = new Map<string, Set<(from: string, message: unknown) => void>>();
  const bus: FakeBus = {
    isConnected: true,
    isLost: () => false,
    join(id) {
      const own = machineOf(id);
      const joinsMachines = own !== id;
      const reaches = (other: string) => bus.isConnected || machineOf(other) === own;
      const listeners = new Set<(from: string, message: unknown) => void>();
      places.set(id, listeners);
      return {
        id,
        ...(joinsMachines && {
          machines: {
            own,
            get connected() {
              return bus.isConnected;
            },
          },
        }),
        post(message, to) {
          const copy = structuredClone(message);
          const receivers = [...places].filter(
            ([other]) =>
              other !== id &&
              (!joinsMachines || (isFor(to, other) && reaches(other))) &&
              !bus.isLost(id, other),
          );
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
