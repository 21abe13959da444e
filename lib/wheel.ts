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

const SLOTS = 1024;

type Slots = readonly Set<Entry>[];

/** A class, because there are several for each connection. */
class Entry implements Timer {
  readonly #slots: Slots;
  readonly #run: () => void;
  /** Of one that is due again and again, ms. */
  readonly periodMs: number | undefined;
  /** The tick at which it is due. */
  due = 0;

  constructor(slots: Slots, run: () => void, periodMs?: number) {
    this.#slots = slots;
    this.#run = run;
    this.periodMs = periodMs;
  }

  run(): void {
    this.#run();
  }

  cancel(): void {
    this.#slots[this.due % SLOTS]?.delete(this);
  }
}

/** @param tickMs how coarse it is */
export function createWheel(
  clock: Clock,
  { tickMs = 100, random = Math.random }: { tickMs?: number; random?: () => number } = {},
): Wheel {
  const slots: Slots = Array.from({ length: SLOTS }, () => new Set<Entry>());
  const startedAt = clock.now();
  let tick = 0;

  function add(delayMs: number, entry: Entry): Entry {
    // From now, not from the last tick, and never in the slot that is being served.
    const due = Math.ceil((clock.now() - startedAt + delayMs) / tickMs);
    entry.due = Math.max(due, tick + 1);
    slots[entry.due % SLOTS]?.add(entry);
    return entry;
  }

  const timer = clock.every(tickMs, () => {
    // More than one when the runtime was busy; none is left out.
    for (const now = Math.floor((clock.now() - startedAt) / tickMs); tick < now; ) {
      tick++;
      const slot = slots[tick % SLOTS] as Set<Entry>;
      for (const entry of slot) {
        if (entry.due > tick) continue; // due in a later round
        slot.delete(entry);
        // Before the call, so that it may cancel.
        if (entry.periodMs !== undefined) add(entry.periodMs, entry);
        entry.run();
      }
    }
  });

  return {
    after: (delayMs, run) => add(delayMs, new Entry(slots, run)),
    every: (periodMs, run) => add(random() * periodMs, new Entry(slots, run, periodMs)),
    stop: () => timer.cancel(),
  };
}
