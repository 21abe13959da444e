/** Two transcripts of one script, line against line. */

import type { HeadEntry, Transcript } from "./transcript.ts";

/** What is not compared. */
export interface Masks {
  /** Header fields, in lower case. */
  readonly headers: ReadonlySet<string>;
  /** How a body that is not empty is delimited. */
  readonly framing: boolean;
}

/** A transcript as lines, an answer's head as one for its status and one for each field. */
export function linesOf({ entries }: Transcript, masks: Masks): string[] {
  return entries.flatMap((entry) =>
    typeof entry === "string" ? [entry] : headLines(entry, masks),
  );
}

function headLines({ status, headers, framing }: HeadEntry, masks: Masks): string[] {
  const isMasked = masks.framing && !framing.endsWith("empty");
  return [
    isMasked ? status : `${status} (${framing})`,
    ...headers
      .filter(([name]) => !masks.headers.has(name))
      .map(([name, value]) => `${name}: ${value}`),
  ];
}

/**
 * The shortest way from one list of lines to another.
 * @returns lines to take out, with `-` before them, and to put in, with `+`, in order; empty when
 * the lists are equal
 */
export function diff(from: readonly string[], to: readonly string[]): string[] {
  // Length of the longest common subsequence of what is left behind each pair of places.
  const left = Array.from({ length: from.length + 1 }, () => new Uint16Array(to.length + 1));
  const at = (i: number, j: number) => left[i]?.[j] ?? 0;
  for (let i = from.length - 1; i >= 0; i--) {
    for (let j = to.length - 1; j >= 0; j--) {
      const row = left[i] as Uint16Array; // one was made for each line
      row[j] = from[i] === to[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const changes: string[] = [];
  for (let i = 0, j = 0; i < from.length || j < to.length; ) {
    if (i < from.length && j < to.length && from[i] === to[j]) {
      i++;
      j++;
    } else if (j === to.length || (i < from.length && at(i + 1, j) >= at(i, j + 1))) {
      changes.push(`-${from[i++]}`);
    } else changes.push(`+${to[j++]}`);
  }
  return changes;
}
