/**
 * Messages that may be larger than what carries them.
 *
 * A piece is one byte, 1 for a first piece plus 2 for a last one, and a part of the message.
 */

const FIRST = 1;
const LAST = 2;

/** @param maxBytes of a piece, at least 2 */
export function cut(message: Uint8Array, maxBytes: number): Uint8Array[] {
  const size = maxBytes - 1;
  const count = Math.max(1, Math.ceil(message.length / size));
  return Array.from({ length: count }, (_, i) => {
    const part = message.subarray(i * size, (i + 1) * size);
    const piece = new Uint8Array(part.length + 1);
    piece[0] = (i === 0 ? FIRST : 0) | (i === count - 1 ? LAST : 0);
    piece.set(part, 1);
    return piece;
  });
}

export interface Joiner {
  /** @returns the message that ends with this piece; nothing when its beginning was not seen */
  add(piece: Uint8Array): Uint8Array | undefined;
  /** Forgets a message that has only begun. */
  clear(): void;
}

export function createJoiner(): Joiner {
  let parts: Uint8Array[] = [];
  let isWhole = false;

  return {
    add(piece) {
      const flags = piece[0] ?? 0;
      if (flags & FIRST) {
        parts = [];
        isWhole = true;
      }
      // A copy: what came off a socket is part of something larger, which it would keep alive.
      parts.push(piece.slice(1));
      if (!(flags & LAST)) return undefined;
      const message = parts.length === 1 ? parts[0] : concat(parts);
      const result = isWhole ? message : undefined;
      parts = [];
      isWhole = false;
      return result;
    },
    clear() {
      parts = [];
      isWhole = false;
    },
  };
}

/** All parts in one. */
export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let length = 0;
  for (const part of parts) {
    whole.set(part, length);
    length += part.length;
  }
  return whole;
}
