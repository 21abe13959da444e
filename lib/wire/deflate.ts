/**
 * Deflate (RFC 1951) of one text after another, each behind a window that its readers have: whoever
 * has the same last bytes is sent the same block, so one encoding serves any number of streams.
 *
 * Of its own, because it must be synchronous and take a window on every runtime: Deno's `node:zlib`
 * ignores `dictionary` without a word. In the fixed code, because a text of JSON behind others of its
 * kind is mostly references, and a code table would cost more than it saves (`bench/bytes.ts`).
 *
 * @see https://www.rfc-editor.org/rfc/rfc1951
 */

import { printStored } from "./gzip.ts";

/** How far back a block may refer, bytes. A larger text is not worth the time: it is stored. */
export const MAX_WINDOW_BYTES = 32_768;

const MIN_MATCH = 3;
const MAX_MATCH = 258;
/** A match of the least length from farther away than this costs as much as its bytes. */
const FAR = 4_096;
/** A match this long is taken without a look whether the next byte begins a longer one. */
const LONG = 32;
/** Earlier places that are tried for one match. */
const MAX_TRIES = 32;

const HASH_BITS = 13;
const LITERAL_CODES = Uint16Array.from({ length: 288 }, (_, symbol) => literalCode(symbol));
const DISTANCE_CODES = Uint8Array.from({ length: 30 }, (_, symbol) => reverse(symbol, 5));

// Room for one call, made once: a window, and the text behind it.
const bytes = new Uint8Array(2 * MAX_WINDOW_BYTES);
/** By hash: the last place with it, plus one; 0 for none. */
const heads = new Uint16Array(1 << HASH_BITS);
/** By place: the one before with the same hash, plus one. */
const links = new Uint16Array(2 * MAX_WINDOW_BYTES);

/**
 * Writes a text as blocks that end on a byte, so that any may follow; none of them is the final one.
 * @param window the last bytes of what the readers have, at most `MAX_WINDOW_BYTES`
 */
export function deflate(text: Uint8Array, window: Uint8Array): Uint8Array {
  if (text.length > MAX_WINDOW_BYTES) return printStored(text);
  const start = window.length;
  const end = start + text.length;
  bytes.set(window);
  bytes.set(text, start);
  heads.fill(0);
  for (let at = 0; at < start; at++) remember(at, end);

  const out = new BitWriter(text.length);
  out.put(0b010, 3); // not the final block, in the fixed code
  let at = start;
  while (at < end) {
    let match = find(at, end);
    remember(at, end);
    if (match > 0 && lengthOf(match) < LONG) {
      const later = find(at + 1, end);
      if (later > 0 && lengthOf(later) > lengthOf(match)) {
        out.literal(bytes[at] as number);
        at++;
        remember(at, end);
        match = later;
      }
    }
    if (match === 0) {
      out.literal(bytes[at] as number);
      at++;
      continue;
    }
    out.match(lengthOf(match), distanceOf(match));
    for (const next = at + lengthOf(match); ++at < next; ) remember(at, end);
  }
  const block = out.end();
  return block.length < text.length ? block : printStored(text);
}

/** Length and distance in one number, because an object for each would be garbage; 0 for none. */
function matchOf(length: number, distance: number): number {
  return (length << 16) | distance;
}

function lengthOf(match: number): number {
  return match >> 16;
}

function distanceOf(match: number): number {
  return match & 0xffff;
}

/** The longest match for what stands at a place, among the last ones that begin alike. */
function find(at: number, end: number): number {
  const most = Math.min(MAX_MATCH, end - at);
  if (most < MIN_MATCH) return 0;
  let best = MIN_MATCH - 1;
  let match = 0;
  let place = heads[hash(at)] as number;
  for (let tries = MAX_TRIES; place > 0 && tries > 0; tries--, place = links[place - 1] as number) {
    const from = place - 1;
    const distance = at - from;
    if (distance > MAX_WINDOW_BYTES) break;
    if (bytes[from + best] !== bytes[at + best]) continue; // not longer than the best so far
    let length = 0;
    while (length < most && bytes[from + length] === bytes[at + length]) length++;
    if (length <= best || (length === MIN_MATCH && distance > FAR)) continue;
    best = length;
    match = matchOf(length, distance);
    if (length === most) break;
  }
  return match;
}

function remember(at: number, end: number): void {
  if (at + MIN_MATCH > end) return;
  const key = hash(at);
  links[at] = heads[key] as number;
  heads[key] = at + 1;
}

/** Of the three bytes from here; the factor is 2^32 over the golden ratio, as Knuth has it. */
function hash(at: number): number {
  const three =
    (bytes[at] as number) | ((bytes[at + 1] as number) << 8) | ((bytes[at + 2] as number) << 16);
  return Math.imul(three, 0x9e3779b1) >>> (32 - HASH_BITS);
}

/** Packs bits into bytes, the lowest first, with the symbols of the fixed code. */
class BitWriter {
  readonly #bytes: Uint8Array;
  #length = 0;
  #bits = 0;
  #count = 0;

  constructor(textBytes: number) {
    // At most 9 bits a byte, and at the two ends what a block has beside its symbols.
    this.#bytes = new Uint8Array(textBytes + (textBytes >> 3) + 8);
  }

  /** @param width at most 13 */
  put(value: number, width: number): void {
    this.#bits |= value << this.#count;
    this.#count += width;
    while (this.#count >= 8) {
      this.#bytes[this.#length++] = this.#bits;
      this.#bits >>>= 8;
      this.#count -= 8;
    }
  }

  literal(byte: number): void {
    this.put(LITERAL_CODES[byte] as number, byte < 144 ? 8 : 9);
  }

  /** Both are written as a symbol for a range, and the place in it: RFC 1951 section 3.2.5. */
  match(length: number, distance: number): void {
    const l = length - MIN_MATCH;
    if (length === MAX_MATCH) this.#lengthSymbol(285);
    else if (l < 8) this.#lengthSymbol(257 + l);
    else {
      const extra = 29 - Math.clz32(l); // ranges come in fours, as wide as a power of two
      this.#lengthSymbol(261 + 4 * extra + ((l >> extra) & 3));
      this.put(l & ((1 << extra) - 1), extra);
    }
    const d = distance - 1;
    if (d < 2) this.put(DISTANCE_CODES[d] as number, 5);
    else {
      const extra = 30 - Math.clz32(d); // and here in pairs
      this.put(DISTANCE_CODES[2 + 2 * extra + ((d >> extra) & 1)] as number, 5);
      this.put(d & ((1 << extra) - 1), extra);
    }
  }

  #lengthSymbol(symbol: number): void {
    this.put(LITERAL_CODES[symbol] as number, symbol < 280 ? 7 : 8);
  }

  /** Ends the block, and goes on to the next byte by an empty stored block. */
  end(): Uint8Array {
    this.put(0, 7); // end of block
    this.put(0b000, 3);
    if (this.#count > 0) this.put(0, 8 - this.#count);
    this.put(0, 8);
    this.put(0, 8);
    this.put(0xff, 8);
    this.put(0xff, 8);
    return this.#bytes.slice(0, this.#length);
  }
}

/** RFC 1951 section 3.2.6; codes go out with their highest bit first, so they are kept reversed. */
function literalCode(symbol: number): number {
  if (symbol < 144) return reverse(0x30 + symbol, 8);
  if (symbol < 256) return reverse(0x190 + symbol - 144, 9);
  if (symbol < 280) return reverse(symbol - 256, 7);
  return reverse(0xc0 + symbol - 280, 8);
}

function reverse(code: number, width: number): number {
  let reversed = 0;
  for (let bit = 0; bit < width; bit++) reversed = (reversed << 1) | ((code >> bit) & 1);
  return reversed;
}
