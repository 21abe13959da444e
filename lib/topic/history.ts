/** The bounded run of a topic's recent publications, from which recovery is served. */

import type { HistoryBudget } from "./budget.ts";
import type { Publication } from "./publication.ts";

export interface HistoryLimits {
  /** Publications kept; 0 keeps none, so that only who missed nothing recovers. */
  readonly size: number;
  /** Age at which a publication is forgotten, ms. */
  readonly ttlMs: number;
  /** Size of what is kept, as the origin wrote it, bytes. */
  readonly bytes: number;
}

export interface History {
  /** `publication.sequence` MUST be above that of the one before. */
  append(publication: Publication): void;
  /**
   * Everything after a place, in order.
   * @returns `undefined` when something after it has been forgotten, or was never seen
   */
  since(sequence: number, now: number): readonly Publication[] | undefined;
  /** All that is kept, in order: everything after `floor`, which it may move. */
  all(now: number): readonly Publication[];
  /** Forgets everything: publications up to `sequence` may be missing, so nobody recovers across it. */
  restart(sequence: number): void;
  /** Forgets what is older than a time, Unix ms. */
  forget(before: number): void;
  /** Sequence from which on nothing is missing. */
  readonly floor: number;
  readonly length: number;
  readonly bytes: number;
  /** When the oldest and the newest that are kept came, Unix ms. */
  readonly span: { readonly from: number; readonly to: number } | undefined;
}

/**
 * @param floor sequence from which on nothing is missing
 * @param budget what it shares with the other histories
 */
export function createHistory(
  { size, ttlMs, bytes: maxBytes }: HistoryLimits,
  floor: number,
  budget: HistoryBudget,
): History {
  // A list with a moving start instead of a ring: reading is one slice, and the forgotten front is
  // cut off once it is as long as the rest, so that an append costs constant time on average.
  let items: Publication[] = [];
  let start = 0;
  let bytes = 0;

  /** @param added bytes that came just now */
  function forget(before: number, added = 0): void {
    const bytesBefore = bytes - added;
    while (start < items.length) {
      const oldest = items[start] as Publication;
      const fits = items.length - start <= size && bytes <= maxBytes;
      if (fits && oldest.time >= before) break;
      floor = oldest.sequence;
      bytes -= oldest.raw.length;
      start++;
    }
    if (start * 2 > items.length) {
      items = items.slice(start);
      start = 0;
    }
    budget.change(history, bytes - bytesBefore);
  }

  const history: History = {
    append(publication) {
      items.push(publication);
      bytes += publication.raw.length;
      forget(publication.time - ttlMs, publication.raw.length);
    },
    since(sequence, now) {
      forget(now - ttlMs);
      if (sequence < floor) return undefined;
      let low = start;
      for (let high = items.length; low < high; ) {
        const middle = (low + high) >>> 1;
        if ((items[middle] as Publication).sequence <= sequence) low = middle + 1;
        else high = middle;
      }
      return items.slice(low);
    },
    all(now) {
      forget(now - ttlMs);
      return items.slice(start);
    },
    restart(sequence) {
      const bytesBefore = bytes;
      items = [];
      start = 0;
      bytes = 0;
      floor = sequence;
      budget.change(history, -bytesBefore);
    },
    forget: (before) => forget(before),
    get floor() {
      return floor;
    },
    get length() {
      return items.length - start;
    },
    get bytes() {
      return bytes;
    },
    get span() {
      const [oldest, newest] = [items[start], items.at(-1)];
      return oldest && newest && { from: oldest.time, to: newest.time };
    },
  };
  return history;
}
