/**
 * Publications out of deltas: of each key of a topic the text that came last is kept, for the next one
 * to be made of.
 *
 * @see PROTOCOL.md, section 8
 */

import type { Delta, Patch, PublicationMessage } from "./message.ts";

/** Most keys of a topic. One with more is ended when it is reset, since that can never be whole. */
export const MAX_KEYS = 10_000;

/** What a publication says. */
export type Item = Pick<PublicationMessage, "event" | "data" | "position">;

/** The texts that deltas of one topic are made against. */
export interface Bases {
  /** Notes a publication that came whole; one without a key is not part of this. */
  keep(message: PublicationMessage): void;
  /** The publication that a delta stands for; undefined when its base is not what the relay meant. */
  apply(delta: Delta): Item | undefined;
}

type Place = Pick<PublicationMessage, "position" | "sequence">;

interface Base {
  readonly key: string;
  readonly event: string;
  /** The JSON text of `data`. The value may have been changed by the application. */
  readonly text: string;
}

/** Makes an empty store. */
export function createBases(): Bases {
  const bases = new Map<number, Base>();
  /** Sequence by key, the one renewed longest ago first. */
  const sequences = new Map<string, number>();

  function drop(key: string): void {
    bases.delete(sequences.get(key) ?? -1);
    sequences.delete(key);
  }

  /** What a publication does not say of its sequence follows the colon of its position. */
  function put(
    base: Base,
    { position = "", sequence = Number(position.split(":")[1]) }: Place,
  ): void {
    drop(base.key);
    bases.set(sequence, base);
    sequences.set(base.key, sequence);
    if (sequences.size > MAX_KEYS) for (const oldest of sequences.keys()) return drop(oldest);
  }

  return {
    keep(message) {
      const { key = "", event, text } = message;
      // A copy: a slice would keep the whole frame it was cut from, for as long as this key rests.
      if (text) put({ key, event, text: JSON.parse(JSON.stringify(text)) }, message);
    },
    apply([, position, from, check, patch]) {
      const base = bases.get(from);
      if (!base) return undefined;
      try {
        const text = patchText(base.text, patch);
        if (checksum(text) !== check) return undefined;
        put({ ...base, text }, { position });
        return { event: base.event, data: JSON.parse(text), position };
      } catch {
        return undefined; // no patch at all
      }
    },
  };
}

/**
 * Makes a text of its base. What comes of a patch that is none is not said: the checksum tells.
 *
 * @throws TypeError or RangeError, possibly, when it is none.
 */
export function patchText(base: string, patch: Patch): string {
  let text = "";
  let at = 0;
  let isCopy = true;
  for (const piece of patch) {
    if (typeof piece === "string") text += piece;
    else if (isCopy) text += base.slice(at, at + piece);
    isCopy = typeof piece === "string";
    at += typeof piece === "string" ? piece.length : piece;
  }
  return text + base.slice(at);
}

/** FNV-1a over the code units of a text, as an unsigned 32-bit number. */
export function checksum(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  }
  return hash >>> 0;
}
