/** What all histories together may keep. When it is more, the oldest goes first, whosever it is. */

import type { History } from "./history.ts";

export interface HistoryBudget {
  /** Bytes that are kept now. */
  readonly bytes: number;
  /** To be told by each history of every change of its size. It may be made to forget in return. */
  change(history: History, bytes: number): void;
}

/** The span of time that is remembered is shortened by this part at a time. */
const STEP = 1 / 16;

/** @param maxBytes of publications, as the origin wrote them */
export function createHistoryBudget(maxBytes: number): HistoryBudget {
  /** Those that keep anything. */
  const histories = new Set<History>();
  let bytes = 0;
  let isEvicting = false;

  function evict(): void {
    let from = Number.POSITIVE_INFINITY;
    let to = 0;
    for (const { span } of histories) {
      from = Math.min(from, span?.from ?? from);
      to = Math.max(to, span?.to ?? to);
    }
    const before = from + Math.max(1, (to - from) * STEP); // each round takes something
    for (const history of [...histories]) history.forget(before);
  }

  return {
    get bytes() {
      return bytes;
    },
    change(history, by) {
      if (by === 0) return;
      bytes += by;
      if (history.bytes > 0) histories.add(history);
      else histories.delete(history);
      if (isEvicting) return;
      isEvicting = true;
      while (bytes > maxBytes && histories.size > 0) evict();
      isEvicting = false;
    },
  };
}
