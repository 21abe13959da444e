/** A way on which messages take their time, and none overtakes another. */

import type { ManualClock } from "../../lib/clock.ts";

export interface Pipe {
  /** Sends something that takes so long, or as long as what is before it. */
  put(delayMs: number, arrive: () => void): void;
  /** What has been held back arrives. */
  release(): void;
  /** @returns what was on the way, and does not arrive any more */
  close(): readonly (() => void)[];
}

/** @param isHeld whether nothing gets through just now; `release` is called when that ends */
export function createPipe(clock: ManualClock, isHeld: () => boolean = () => false): Pipe {
  let onTheWay: (() => void)[] = [];
  let dueCount = 0;
  let lastAt = 0;

  function release(): void {
    while (dueCount > 0 && !isHeld()) {
      dueCount--;
      onTheWay.shift()?.();
    }
  }

  return {
    put(delayMs, arrive) {
      lastAt = Math.max(lastAt, clock.now() + delayMs);
      onTheWay.push(arrive);
      clock.after(lastAt - clock.now(), () => {
        dueCount++;
        release();
      });
    },
    release,
    close() {
      const left = onTheWay;
      onTheWay = [];
      return left;
    },
  };
}
