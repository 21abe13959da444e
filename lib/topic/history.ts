/** The bounded run of a topic's recent publications, from which recovery is served. */

import type { Publication } from "./publication.ts";

export interface HistoryLimits {
  /** Publications kept; 0 keeps none, so that only who missed nothing recovers. */
  readonly size: number;
  /** Age at which a publication is forgotten, ms. */
  readonly ttlMs: number;
}

export interface History {
  /** `publication.sequence` MUST be above that of the one before. */
  append(publication: Publication): void;
  /**
   * Everything after a place, in order.
   * @returns `undefined` when something after it has been forgotten, or was never seen
   */
  since(sequence: number, now: number): readonly Publication[] | undefined;
  /** Forgets everything: publications up to `sequence` may be missing, so nobody recovers across it. */
  restart(sequence: number): void;
  readonly length: number;
}

/** @param floor sequence from which on nothing is missing */
export function createHistory({ size, ttlMs }: HistoryLimits, floor: number): History {
  // A list with a moving start instead of a ring: reading is one slice, and the forgotten front is
  // cut off once it is as long as the rest, so that an append costs constant time on average.
  let items: Publication[] = [];
  let start = 0;

  function forget(before: number): void {
    while (start < items.length) {
      const oldest = items[start] as Publication;
      if (items.length - start <= size && oldest.time >= before) break;
      floor = oldest.sequence;
      start++;
    }
    if (start * 2 > items.length) {
      items = items.slice(start);
      start = 0;
    }
  }

  return {
    append(publication) {
      items.push(publication);
      forget(publication.time - ttlMs);
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
    restart(sequence) {
      items = [];
      start = 0;
      floor = sequence;
    },
    get length() {
      return items.length - start;
    },
  };
}
