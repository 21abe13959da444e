/** Time as an argument, so that tests can hold it still. */

/** A timer that has been set. Cancelling one that has fired, or twice, does nothing. */
export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Unix time, ms. */
  now(): number;
  /** Time since some moment, the same for all isolates of a machine, ms with fractions. */
  monotonic(): number;
  /** Calls `run` once, `delayMs` from now at the earliest. Does not keep a process alive. */
  after(delayMs: number, run: () => void): Timer;
  /** Calls `run` every `periodMs` until cancelled. Does not keep a process alive. */
  every(periodMs: number, run: () => void): Timer;
  /** Calls `run` once after what the runtime is reading now has been handled: the end of a tick. */
  soon(run: () => void): void;
}

/** The clock of the runtime. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.timeOrigin + performance.now(),
  after(delayMs, run) {
    const id = unref(setTimeout(run, delayMs));
    return { cancel: () => clearTimeout(id) };
  },
  every(periodMs, run) {
    const id = unref(setInterval(run, periodMs));
    return { cancel: () => clearInterval(id) };
  },
  // A macrotask, not a microtask: the runtimes hand over each WebSocket message in a task of its
  // own, and what one read of the upstream socket brought shall leave in one write.
  soon: (run) => void (immediate ? immediate(run) : setTimeout(run, 0)),
};

/** Not a web standard, but Bun, Deno and Node have it; a timer of 0 ms costs 1 ms or more. */
const immediate = (globalThis as { setImmediate?: (run: () => void) => unknown }).setImmediate;

/** Bun and Node hand out timer objects that keep the process alive until told not to. */
function unref<T>(timer: T): T {
  (timer as { unref?: () => void }).unref?.();
  return timer;
}

/** A clock that stands still until it is told to move. */
export interface ManualClock extends Clock {
  /** Moves time on, running what falls due, in order, and everything handed to `soon`. */
  advance(ms: number): void;
  /** Runs what was handed to `soon`, and what that hands to it, without moving time. */
  settle(): void;
  /** When the next timer falls due, Unix ms; `undefined` when none is set. */
  readonly dueAt: number | undefined;
}

/** @param startMs what `now()` says at first, Unix ms */
export function createManualClock(startMs = 0): ManualClock {
  let now = startMs;
  let order = 0;
  const due: { at: number; order: number; run: () => void; periodMs?: number }[] = [];
  let soon: (() => void)[] = [];

  function add(at: number, run: () => void, periodMs?: number): Timer {
    const entry = { at, order: order++, run, ...(periodMs === undefined ? {} : { periodMs }) };
    due.push(entry);
    return {
      cancel() {
        const index = due.indexOf(entry);
        if (index >= 0) due.splice(index, 1);
      },
    };
  }

  /** The timer that falls due first; of several at one time the one that was set first. */
  function first(): (typeof due)[number] | undefined {
    let first = due[0];
    for (const entry of due) {
      if (!first || entry.at > first.at) continue;
      if (entry.at < first.at || entry.order < first.order) first = entry;
    }
    return first;
  }

  function settle(): void {
    while (soon.length > 0) {
      const runs = soon;
      soon = [];
      for (const run of runs) run();
    }
  }

  return {
    now: () => now,
    monotonic: () => now - startMs,
    after: (delayMs, run) => add(now + delayMs, run),
    every: (periodMs, run) => add(now + periodMs, run, periodMs),
    soon: (run) => void soon.push(run),
    settle,
    get dueAt() {
      return first()?.at;
    },
    advance(ms) {
      const end = now + ms;
      settle();
      for (;;) {
        const next = first();
        if (!next || next.at > end) break;
        now = next.at;
        if (next.periodMs === undefined) due.splice(due.indexOf(next), 1);
        else next.at += next.periodMs;
        next.run();
        settle();
      }
      now = end;
    },
  };
}
