/** Shared calls: identical reads that are in flight or fresh become one call of the origin. */

import type { Clock } from "../clock.ts";
import type { Raw } from "../wire/hub.ts";

export interface Answer<R extends Raw> {
  readonly raw: R;
  /** The feed's sequence when the origin was asked. */
  readonly sequence: number;
  /** When it was asked, Unix ms. */
  readonly time: number;
}

export interface Calls<R extends Raw> {
  /**
   * The origin's answer to a call: one that is under way, or was asked for at most `maxAgeMs` ago; with
   * 0 it is asked in any case, and those who come after share that.
   * @returns rejects as `Source.invoke` does. Errors are shared by those who waited, and not kept
   */
  ask(method: string, args: readonly unknown[], maxAgeMs: number): Promise<Answer<R>>;
  /** Forgets all answers. */
  clear(): void;
}

interface Entry<R extends Raw> {
  readonly answer: Promise<Answer<R>>;
  /** When it was asked, Unix ms. */
  readonly time: number;
  inFlight: boolean;
}

/**
 * @param maxEntries answers kept; the one asked for longest ago goes first
 * @param keepMs how long an answer is kept at most: the longest for which anybody takes one
 */
export function createCalls<R extends Raw>(options: {
  invoke(method: string, args: readonly unknown[]): Promise<R>;
  /** The feed's sequence now. */
  sequence(): number;
  readonly clock: Clock;
  readonly maxEntries: number;
  readonly keepMs: number;
}): Calls<R> {
  const { invoke, sequence, clock, maxEntries, keepMs } = options;
  /** The one asked for longest ago first. */
  const entries = new Map<string, Entry<R>>();

  function start(key: string, method: string, args: readonly unknown[]): Entry<R> {
    const asked = { sequence: sequence(), time: clock.now() };
    const entry: Entry<R> = {
      answer: invoke(method, args).then(
        (raw) => {
          entry.inFlight = false;
          return { raw, ...asked };
        },
        (error) => {
          if (entries.get(key) === entry) entries.delete(key);
          throw error;
        },
      ),
      time: asked.time,
      inFlight: true,
    };
    entries.delete(key);
    entries.set(key, entry);
    for (const [oldest, { inFlight, time }] of entries) {
      const isOver = !inFlight && asked.time - time >= keepMs;
      if (!isOver && entries.size <= maxEntries) break;
      entries.delete(oldest);
    }
    return entry;
  }

  return {
    ask(method, args, maxAgeMs) {
      const key = `${method.toLowerCase()} ${JSON.stringify(args)}`;
      const entry = entries.get(key);
      const fresh =
        entry !== undefined &&
        maxAgeMs > 0 &&
        (entry.inFlight || clock.now() - entry.time < maxAgeMs);
      return (fresh ? entry : start(key, method, args)).answer;
    },
    clear: () => entries.clear(),
  };
}
