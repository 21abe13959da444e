/** Updates of a topic as an async iterator, over a queue that cannot grow without bound. */

import type { Update } from "./update.ts";

/** A place among those who receive a topic's updates. */
export interface Attachment {
  /** Asks for the topic's state anew: nothing is delivered here before the next reset. */
  refresh(): void;
  /** Leaves; nothing is delivered any more. */
  detach(): void;
}

/** Takes a place. `finish` is called once when no more will come, be it at once. */
export type Attach<T> = (push: (update: Update<T>) => void, finish: () => void) => Attachment;

/**
 * Makes the iterator. It attaches with the first `next()`, so one that is never used costs nothing.
 *
 * When the loop falls `maxPending` updates behind, those are dropped, and with its next step it
 * gets the topic's state in a reset (`overflow`) instead. Asked for only then, so that a loop
 * which hangs does not make the relay send states that nobody reads.
 */
export function iterate<T>(
  attach: Attach<T>,
  maxPending: number,
): AsyncIterableIterator<Update<T>, undefined> {
  type Result = IteratorResult<Update<T>, undefined>;
  const pending: Update<T>[] = [];
  const waiting: ((result: Result) => void)[] = [];
  let attachment: Attachment | undefined;
  let finished = false;
  let behind: "no" | "dropped" | "refreshing" = "no";

  function push(update: Update<T>): void {
    if (update.type === "reset" && behind !== "no") {
      behind = "no";
      update = { ...update, reason: "overflow" };
    }
    if (behind === "dropped" && update.type !== "end") return;
    const resolve = waiting.shift();
    if (resolve) resolve({ done: false, value: update });
    else if (pending.length < maxPending) pending.push(update);
    else {
      pending.length = 0;
      if (update.type === "end") pending.push(update);
      else behind = "dropped";
    }
  }

  function finish(): void {
    finished = true;
    for (const resolve of waiting.splice(0)) resolve({ done: true, value: undefined });
  }

  // Written out, since return() of an async generator would wait for the next update.
  return {
    next() {
      if (!finished) attachment ??= attach(push, finish);
      if (behind === "dropped" && !finished) {
        behind = "refreshing";
        attachment?.refresh();
      }
      const value = pending.shift();
      if (value) return Promise.resolve<Result>({ done: false, value });
      if (finished) return Promise.resolve<Result>({ done: true, value: undefined });
      return new Promise<Result>((resolve) => waiting.push(resolve));
    },
    return() {
      pending.length = 0;
      attachment?.detach();
      finish();
      return Promise.resolve<Result>({ done: true, value: undefined });
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
