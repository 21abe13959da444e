/** A bus between heaps, as bad as real ones may be. */

import type { Bus } from "../../lib/bus/bus.ts";
import type { ManualClock } from "../../lib/clock.ts";
import type { Chance } from "./chance.ts";
import type { Heap } from "./heap.ts";

/** What the bus does to messages. */
export interface Faults {
  /** Part of the messages that are lost, for each receiver by itself. */
  lost: number;
  /** The most that one takes, ms. */
  delayMs: number;
  /** Part of the messages that come twice, and whether one may overtake another. */
  doubled: number;
  isOrdered: boolean;
}

/** Everything arrives, at once. */
export const NO_FAULTS: Faults = { lost: 0, delayMs: 0, doubled: 0, isOrdered: true };

export interface SimulatedBus {
  faults: Faults;
  /** An isolate that is on the bus until its heap dies. */
  join(id: string, heap: Heap): Bus;
  /** When a message of one isolate last reached another, Unix ms; 0: never. */
  reachedAt(from: string, to: string): number;
}

interface Place {
  readonly heap: Heap;
  readonly listeners: Set<(from: string, message: unknown) => void>;
  /** By sender: when its last message arrives, so that the next one does not overtake it. */
  readonly arrivals: Map<string, number>;
  /** By sender: when a message of it was last handed over. */
  readonly reached: Map<string, number>;
}

export function createBus(clock: ManualClock, chance: Chance): SimulatedBus {
  const places = new Map<string, Place>();

  function send(from: string, message: unknown, place: Place): void {
    const { lost, delayMs, isOrdered } = bus.faults;
    if (chance.hits(lost)) return;
    let at = clock.now() + chance.below(delayMs + 1);
    if (isOrdered) at = Math.max(at, place.arrivals.get(from) ?? 0);
    place.arrivals.set(from, at);
    clock.after(at - clock.now(), () =>
      place.heap.run(() => {
        place.reached.set(from, clock.now());
        for (const hear of [...place.listeners]) hear(from, message);
      }),
    );
  }

  const bus: SimulatedBus = {
    faults: NO_FAULTS,
    reachedAt: (from, to) => places.get(to)?.reached.get(from) ?? 0,
    join(id, heap) {
      const listeners: Place["listeners"] = new Set();
      places.set(id, { heap, listeners, arrivals: new Map(), reached: new Map() });
      return {
        id,
        post(message) {
          // One copy for all: nobody may change what it was told.
          const copy = freeze(structuredClone(message));
          for (const [to, place] of places) {
            if (!place.heap.isAlive) places.delete(to);
            else if (to !== id) {
              send(id, copy, place);
              if (chance.hits(bus.faults.doubled)) send(id, copy, place);
            }
          }
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

function freeze<T>(value: T): T {
  if (typeof value === "object" && value !== null)
    for (const part of Object.values(value)) freeze(part);
  return Object.freeze(value);
}
