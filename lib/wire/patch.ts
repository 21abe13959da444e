/**
 * The difference of two texts as pieces to copy and to insert: what a delta carries, PROTOCOL.md
 * section 8.
 *
 * Made for the JSON text of a publication and the one before it: a few values differ, a row has
 * come, another has gone. Not the shortest, but found in some 3 µs (odds) to 20 µs (4 KB).
 */

/**
 * Pieces, from a place in the base that is at first its begin. A text is written there over as many
 * units of the base. A number behind a text, or at first, copies so many units of the base. A number
 * behind a number passes over so many, or goes back when it is negative. Behind the last piece the
 * rest of the base follows. So `[6, "7", 9, 3, "x"]` copies 6 units, replaces one, copies 9, leaves 3
 * out and replaces one.
 *
 * Units are UTF-16 code units. No piece begins or ends within a surrogate pair of the text that comes out.
 */
export type Patch = readonly (number | string)[];

/** Fewer units than this in common are inserted anew: to name them costs as much. */
const MIN_MATCH = 8;
/** How many units may have come and gone before both texts are seen to go on side by side. */
const NEAR = 24;
/** Texts with so many units in common do go on side by side, and nothing better is searched for. */
const SURE = 64;
/** How much longer a match elsewhere must be than one side by side. */
const MARGIN = 32;
/** Length of what is searched for in the whole base, and how far behind a difference it is taken from. */
const PROBE = 16;
const REACH = 64;
/** Units of base searched through for one patch at most, about 1 ms. The rest is in proportion to the texts. */
const MAX_SEARCHED = 1 << 20;
/** What a piece costs beside its insertion, about. */
const PIECE_COST = 8;

/**
 * Finds what makes `text` of `base`.
 * @returns `undefined` when that would be about as long as `text`, or takes too long to find
 */
export function diff(base: string, text: string): Patch | undefined {
  const patch: (number | string)[] = [];
  const { run, next } = createMatcher(base, text);
  let from = 0;
  let to = 0;
  let cost = 0;
  for (;;) {
    const copy = run(from, to);
    from += copy;
    to += copy;
    if (from === base.length && to === text.length) return patch;
    const match = next(from, to);
    if (!match) return undefined;
    const insert = text.slice(to, match.to);
    const skip = match.from - from - insert.length;
    cost += insert.length + PIECE_COST;
    if (cost >= text.length) return undefined;
    patch.push(copy);
    if (skip !== 0) patch.push(skip);
    patch.push(insert);
    ({ from, to } = match);
  }
}

/** A place in the base and one in the text from where on they are alike. */
interface Match {
  readonly from: number;
  readonly to: number;
  readonly length: number;
}

interface Matcher {
  /** How long base and text are alike from these places on. */
  run(from: number, to: number): number;
  /** The best match at or behind a place in the text, when both were left here. */
  next(from: number, to: number): Match | undefined;
}

function createMatcher(base: string, text: string): Matcher {
  const tail = commonEnd();
  let searched = 0;

  // In the loops below no place is behind an end: the NaN that is there makes them five times slower.
  function isAlike(from: number, to: number): boolean {
    return base.charCodeAt(from) === text.charCodeAt(to);
  }

  function commonEnd(): number {
    const limit = Math.min(base.length, text.length);
    let length = 0;
    while (length < limit && isAlike(base.length - 1 - length, text.length - 1 - length)) length++;
    return length > 0 && splitsPair(text.length - length) ? length - 1 : length;
  }

  function splitsPair(to: number): boolean {
    const isLow = (text.charCodeAt(to) & 0xfc00) === 0xdc00;
    return isLow && (text.charCodeAt(to - 1) & 0xfc00) === 0xd800;
  }

  function run(from: number, to: number): number {
    const limit = Math.min(base.length - from, text.length - to);
    let length = 0;
    while (length < limit && isAlike(from + length, to + length)) length++;
    return length > 0 && splitsPair(to + length) ? length - 1 : length;
  }

  /** Side by side, after as few units as possible that have come, gone or changed. */
  function beside(from: number, to: number): Match | undefined {
    for (let distance = 1; distance <= NEAR; distance++) {
      for (let inserted = 0; inserted <= distance; inserted++) {
        const match = matchAt(from + distance - inserted, to + inserted);
        if (match) return match;
      }
    }
    return undefined;
  }

  function matchAt(from: number, to: number): Match | undefined {
    if (from >= base.length || to >= text.length) return undefined;
    if (!isAlike(from, to) || splitsPair(to)) return undefined;
    const length = run(from, to);
    const isLast = from + length === base.length && to + length === text.length;
    return length >= MIN_MATCH || isLast ? { from, to, length } : undefined;
  }

  /** The longest that a few probes find anywhere in the base: a row that has moved. */
  function elsewhere(from: number, to: number): Match | undefined {
    let best: Match | undefined;
    for (let at = to; at < to + REACH && at + PROBE <= text.length; at += PROBE) {
      const probe = text.slice(at, at + PROBE);
      searched += base.length;
      let found = base.indexOf(probe, from);
      if (found < 0) found = base.lastIndexOf(probe, from);
      if (found < 0) continue;
      let before = 0;
      const limit = Math.min(at - to, found);
      while (before < limit && isAlike(found - before - 1, at - before - 1)) before++;
      const match = matchAt(found - before, at - before);
      if (match && match.length > (best?.length ?? 0)) best = match;
    }
    return best;
  }

  function next(from: number, to: number): Match | undefined {
    for (let at = to; ; at = Math.min(at + REACH, text.length - tail)) {
      const rest = text.length - at;
      if (rest <= tail) return { from: base.length - rest, to: at, length: rest };
      const near = beside(from, at);
      if ((near && near.length >= SURE) || searched >= MAX_SEARCHED) return near;
      const far = elsewhere(from, at);
      if (!far && !near) continue;
      if (!far || !near) return near ?? far;
      // On about the same line, `near` leads there too, and by smaller pieces.
      const isShifted = Math.abs(far.from - far.to - (from - at)) > NEAR;
      return isShifted && gain(far) > gain(near) + MARGIN ? far : near;
    }
  }

  return { run, next };
}

/** What is copied less what is inserted before, but for a constant. */
function gain({ to, length }: Match): number {
  return length - to;
}
