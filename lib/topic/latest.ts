/** The newest publication of each key of a topic: what newcomers, and those who lag, are given. */

import type { Publication } from "./publication.ts";

export interface Latest {
  /** Keeps it in place of the one before with the same key. */
  put(publication: Publication): void;
  get(key: string): Publication | undefined;
  /** All that are newer than a sequence, oldest first. */
  after(sequence: number): Publication[];
  clear(): void;
  /** Sequence up to which keys have been left out, because there were too many; −1 at first. */
  readonly forgotten: number;
}

/** @param maxKeys the key that was renewed longest ago goes when there would be more */
export function createLatest(maxKeys: number): Latest {
  const byKey = new Map<string, Publication>();
  let forgotten = -1;
  return {
    put(publication) {
      byKey.delete(publication.key); // a Map keeps the order of insertion: renewed goes last
      byKey.set(publication.key, publication);
      if (byKey.size <= maxKeys) return;
      const [oldest = publication] = byKey.values();
      forgotten = oldest.sequence;
      byKey.delete(oldest.key);
    },
    get: (key) => byKey.get(key),
    after: (sequence) => [...byKey.values()].filter((item) => item.sequence > sequence),
    clear() {
      byKey.clear();
      forgotten = -1;
    },
    get forgotten() {
      return forgotten;
    },
  };
}
