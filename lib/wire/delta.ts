/** Publications for clients that asked for deltas: PROTOCOL.md section 8. */

import type { Publication } from "../topic/publication.ts";
import { printData } from "./message.ts";
import { diff } from "./patch.ts";

/**
 * A publication against the one before of its key, as the JSON array
 * `[topic, position, base, check, patch]`: sequence of the one before, `checksum` of this one's data,
 * and the `Patch` between their data. As `printWhole` when there is none before, or it is not shorter.
 */
export function printDelta(publication: Publication): string {
  const { topic, position, previous } = publication;
  const whole = printWhole(publication, position);
  if (!previous) return whole;
  const data = printData(publication);
  const patch = diff(printData({ ...publication, ...previous }), data);
  if (!patch) return whole;
  const delta = JSON.stringify([topic, position, previous.sequence, checksum(data), patch]);
  return delta.length < whole.length ? delta : whole;
}

/**
 * A publication by itself, with what later ones need to name it as theirs: its sequence, which is
 * in the position if it has one, and its key. The data is last, so that its text can be cut out.
 * @param position absent behind a reset
 */
export function printWhole(publication: Publication, position?: string): string {
  const { topic, sequence, key, event } = publication;
  const at = position === undefined ? `"sequence":${sequence}` : `"position":"${position}"`;
  return `{"type":"publication","topic":${JSON.stringify(topic)},${at},"key":${JSON.stringify(key)},"event":${JSON.stringify(event)},"data":${printData(publication)}}`;
}

/**
 * FNV-1a over the text's UTF-16 code units, an unsigned 32-bit number. Sees every change of a single
 * unit for sure, any other but for one in four billion.
 * @see https://datatracker.ietf.org/doc/html/draft-eastlake-fnv
 */
export function checksum(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  }
  return hash >>> 0;
}
