/** The pen of a feed's owner: what it writes stands in the log in this order, or not at all. */

import type { Clock } from "../clock.ts";
import { encode, type LogEvent } from "./message.ts";
import { cut } from "./pieces.ts";
import type { Log } from "./port.ts";

export interface Writer {
  /** Number of the newest entry, once all that was written is stored. */
  readonly number: number;
  /** When the newest entry that is stored was handed over, on the monotonic clock, ms. */
  readonly storedAt: number;
  /** @returns the number that it gets. Once the log is lost nothing is written any more */
  write(subject: string, event: LogEvent): number;
  /** Waits until all that was written so far is stored. Rejects when it could not be. */
  stored(): Promise<void>;
  close(): void;
}

/** Entries that wait for the log's answer. It is some seconds' worth; an owner does not last longer. */
const MAX_WAITING = 16_384;

/** @param options.after number of the newest entry: the one that made it the owner */
export function createWriter(
  log: Log,
  options: {
    readonly after: number;
    /** When that one was handed over, on the monotonic clock, ms. */
    readonly storedAt: number;
    readonly maxBytes: number;
    readonly clock: Clock;
    /** Something could not be stored, or is not known to be: called once. */
    onLost(error: unknown): void;
  },
): Writer {
  const { maxBytes, clock, onLost } = options;
  let number = options.after;
  let { storedAt } = options;
  let waiting = 0;
  let isClosed = false;
  let newest: Promise<void> = Promise.resolve();

  function lose(error: unknown): void {
    if (isClosed) return;
    isClosed = true;
    onLost(error);
  }

  function append(subject: string, piece: Uint8Array): void {
    const sentAt = clock.monotonic();
    waiting++;
    newest = log.append(subject, piece, number++).then(() => {
      waiting--;
      storedAt = Math.max(storedAt, sentAt);
    });
    newest.catch(lose);
  }

  return {
    get number() {
      return number;
    },
    get storedAt() {
      return storedAt;
    },
    write(subject, event) {
      if (isClosed) return number;
      if (waiting >= MAX_WAITING) {
        // Not at once: whoever writes is in the middle of something.
        clock.soon(() => lose(new Error("The log does not keep up")));
        return number;
      }
      for (const piece of cut(encode(event), maxBytes)) append(subject, piece);
      return number;
    },
    // Each stands only behind the one before, so the newest speaks for all.
    stored: () => (isClosed ? Promise.reject(new Error("The log is lost")) : newest),
    close() {
      isClosed = true;
    },
  };
}
