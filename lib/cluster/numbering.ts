/** What the owner's numbers are in the log, where more than publications and resets is numbered. */

export interface Numbering {
  /** The owner's next number, one above the one before, is this one in the log. */
  add(logged: number): void;
  /** The number in the log of one of the owner's; of one that is too long ago, one below it. */
  logged(own: number): number;
}

/** Numbers that are remembered: those of snapshots, which are asked for anew by and by. */
const CAPACITY = 65_536;

/** @param logged the newest number in the log when the owner's is 0 */
export function createNumbering(logged: number): Numbering {
  const ring = new Float64Array(CAPACITY);
  ring[0] = logged;
  let newest = 0;
  return {
    add(logged) {
      newest++;
      ring[newest % CAPACITY] = logged;
    },
    logged: (own) =>
      // The log's grow at least as fast, so that the sum is never above the right one.
      own > newest - CAPACITY ? (ring[own % CAPACITY] as number) : logged + own,
  };
}
