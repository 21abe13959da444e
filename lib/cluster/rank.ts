/** Who goes first when an owner is needed: another machine for each feed, the same for all who look. */

/**
 * Rendezvous hashing: each machine draws a number for the feed, the highest goes first.
 * @returns how many of the others go before this one
 */
export function rankOf(self: string, others: Iterable<string>, feed: string): number {
  const own = draw(feed, self);
  let rank = 0;
  for (const other of others) if (other !== self && draw(feed, other) > own) rank++;
  return rank;
}

/** FNV-1a, then mixed: alike names shall not draw alike numbers. @returns 32 bits */
function draw(feed: string, machine: string): number {
  let hash = 0x811c9dc5;
  for (const char of `${feed} ${machine}`) {
    hash = Math.imul(hash ^ char.charCodeAt(0), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
