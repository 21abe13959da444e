/** The newest publication of each key of a topic: what a newcomer is given at once. */

import type { Publication } from "./publication.ts";

export interface Latest {
  /** Keeps it in place of the one before with the same key. */
  put(publication: Publication): void;
  /** All that are newer than a sequence, oldest first. */
  after(sequence: number): Publication[];
}

/** @param maxKeys the key that was renewed longest ago goes when there would be more */
export function createLatest(maxKeys: number): Latest {
  const byKey = new Map<string, Publication>();
  return {
    put(publication) {
      byKey.delete(publication.key); // a Map keeps the order of insertion: renewed goes last
      byKey.set(publication.key, publication);
      if (byKey.size <= maxKeys) return;
      const oldest = byKey.keys().next();
      if (!oldest.done) byKey.delete(oldest.value);
    },
    after: (sequence) => [...byKey.values()].filter((item) => item.sequence > sequence),
  };
}
