/** The heap that an isolate lives in: all that runs there, until it freezes or dies. */

import type { Clock, ManualClock, Timer } from "../../lib/clock.ts";

export interface Heap {
  /** What runs in the heap takes its time from here. */
  readonly clock: Clock;
  readonly isAlive: boolean;
  /** Frozen, or not through yet with what has waited since. */
  readonly isFrozen: boolean;
  /** When it was thawed last, Unix ms; 0: never. */
  readonly thawedAt: number;
  /** Runs a task of this heap: now, once it is thawed, or never. */
  run(task: () => void): void;
  /** Nothing runs from here on; what falls due waits. */
  freeze(): void;
  /** What has waited runs, in the order in which it fell due, before anything else does. */
  thaw(): void;
  kill(): void;
}

/** @param skewMs how far its clock is ahead of all others */
export function createHeap(clock: ManualClock, skewMs = 0): Heap {
  let isAlive = true;
  let isFrozen = false;
  let thawedAt = 0;
  let waiting: (() => void)[] = [];

  function run(task: () => void): void {
    if (!isAlive) return;
    // Also behind those that wait to be run after a thaw.
    if (isFrozen || waiting.length > 0) waiting.push(task);
    else task();
  }

  /** One at a time, as an event loop does: promises have their turn between two of them. */
  function runNext(): void {
    if (!isAlive || isFrozen) return;
    waiting.shift()?.();
    if (waiting.length > 0) clock.after(0, runNext);
  }

  function setTimer(
    set: (run: () => void) => Timer,
    { task, isOnce }: { readonly task: () => void; readonly isOnce: boolean },
  ): Timer {
    let isCancelled = false;
    let isDue = false;
    const timer = set(() => {
      if (!isAlive) return timer.cancel();
      if (isDue) return; // an interval that fell due several times runs once
      isDue = true;
      run(() => {
        isDue = isOnce;
        if (!isCancelled) task();
      });
    });
    return {
      cancel() {
        isCancelled = true;
        timer.cancel();
      },
    };
  }

  return {
    clock: {
      now: () => clock.now() + skewMs,
      monotonic: () => clock.monotonic() + skewMs,
      after: (delayMs, task) =>
        setTimer((run) => clock.after(delayMs, run), { task, isOnce: true }),
      every: (periodMs, task) =>
        setTimer((run) => clock.every(periodMs, run), { task, isOnce: false }),
      soon: (task) => clock.soon(() => run(task)),
    },
    get isAlive() {
      return isAlive;
    },
    get isFrozen() {
      return isFrozen || waiting.length > 0;
    },
    run,
    freeze() {
      isFrozen = true;
    },
    get thawedAt() {
      return thawedAt;
    },
    thaw() {
      if (isFrozen) thawedAt = clock.now();
      isFrozen = false;
      if (waiting.length > 0) clock.after(0, runNext);
    },
    kill() {
      isAlive = false;
      waiting = [];
    },
  };
}
