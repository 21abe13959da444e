/** What came in and was not taken yet, in order. A wait that is in vain says what came instead. */
export interface Inbox<T> {
  push(value: T): void;
  /** Nothing more will come: waits fail at once with this reason, after what is there was taken. */
  end(reason: string): void;
  /** What could be taken now. */
  readonly waiting: readonly T[];
  /** Takes the next one. */
  next(): Promise<T>;
  /** Takes so many. */
  take(count: number): Promise<T[]>;
  /** Takes everything up to and with the first one that fits. */
  until(fits: (value: T) => boolean): Promise<T[]>;
}

/** @param timeoutMs how long a wait for one value may take */
export function createInbox<T>(timeoutMs = 10_000): Inbox<T> {
  const waiting: T[] = [];
  let ended: string | undefined;
  let wake: (() => void) | undefined;
  let last: T | undefined;

  function fail(reason: string): Error {
    return new Error(`${reason}; the last one taken was ${JSON.stringify(last)}`);
  }

  async function next(): Promise<T> {
    if (waiting.length === 0 && ended === undefined) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, timeoutMs);
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      wake = undefined;
    }
    if (waiting.length === 0) throw fail(ended ?? `Nothing came for ${timeoutMs} ms`);
    last = waiting.shift() as T; // there is one
    return last;
  }

  return {
    waiting,
    push(value) {
      waiting.push(value);
      wake?.();
    },
    end(reason) {
      ended ??= reason;
      wake?.();
    },
    next,
    async take(count) {
      const taken: T[] = [];
      while (taken.length < count) taken.push(await next());
      return taken;
    },
    async until(fits) {
      const taken: T[] = [];
      do taken.push(await next());
      while (!fits(taken.at(-1) as T)); // one was pushed just now
      return taken;
    },
  };
}
