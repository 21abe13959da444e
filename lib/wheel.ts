/**
 * A timer wheel: any number of coarse timers on one timer of the runtime. Setting and cancelling
 * cost a constant time, which is what a hundred thousand connections with a heartbeat each need.
 *
 * @see Varghese and Lauck, "Hashed and Hierarchical Timing Wheels" (1987), scheme 6
 */

import type { Clock, Timer } from "./clock.ts";

export interface Wheel {
  /** Calls `run` once, after `delayMs` and at most one tick later. */
  after(delayMs: number, run: () => void): Timer;
  /** Calls `run` every `periodMs`, first after a random part of it, so that many spread out. */
  every(periodMs: number, run: () => void): Timer;
  stop(): void;
}

interface Entry {
  /** The tick at which it is due. */
  due: number;
  readonly run: () => void;
}

const SLOTS = 1024;

/** @param tickMs how coarse it is */
export function createWheel(
  clock: Clock,
  { tickMs = 100, random = Math.random }: { tickMs?: number; random?: () => number } = {},
): Wheel {
  const slots = Array.from({ length: SLOTS }, () => new Set<Entry>());
  const startedAt = clock.now();
  let tick = 0;

  function add(delayMs: number, entry: Entry): void {
    // From now, not from the last tick, and never in the slot that is being served.
    const due = Math.ceil((clock.now() - startedAt + delayMs) / tickMs);
    entry.due = Math.max(due, tick + 1);
    slots[entry.due % SLOTS]?.add(entry);
  }

  function remove(entry: Entry): void {
    slots[entry.due % SLOTS]?.delete(entry);
  }

  const timer = clock.every(tickMs, () => {
    // More than one when the runtime was busy; none is left out.
    for (const now = Math.floor((clock.now() - startedAt) / tickMs); tick < now; ) {
      tick++;
      const slot = slots[tick % SLOTS] as Set<Entry>;
      for (const entry of slot) {
        if (entry.due > tick) continue; // due in a later round
        slot.delete(entry);
        entry.run();
      }
    }
  });

  return {
    after(delayMs, run) {
      const entry = { due: 0, run };
      add(delayMs, entry);
      return { cancel: () => remove(entry) };
    },
    every(periodMs, run) {
      const entry = {
        due: 0,
        run() {
          add(periodMs, entry); // before the call, so that it may cancel
          run();
        },
      };
      add(random() * periodMs, entry);
      return { cancel: () => remove(entry) };
    },
    stop: () => timer.cancel(),
  };
}
