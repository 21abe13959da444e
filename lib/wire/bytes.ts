/**
 * Raw pieces of MessagePack: where a value begins and ends, without decoding it.
 *
 * @see https://github.com/msgpack/msgpack/blob/master/spec.md
 */

import { ProtocolError } from "../errors.ts";

/** Arrays and maps in each other that are taken; what .NET takes from senders it does not trust. */
const MAX_DEPTH = 500;

export type Kind = "array" | "map" | "string" | "integer" | "boolean" | "nil" | "other";

/** What a value is, by its first byte. */
export function kindOf(raw: Uint8Array): Kind {
  const [head = 0xc1] = raw;
  if (head < 0x80 || head >= 0xe0 || (head >= 0xcc && head <= 0xd3)) return "integer";
  if (head < 0x90 || head >= 0xde) return "map";
  if (head < 0xa0 || head >= 0xdc) return "array";
  if (head < 0xc0 || head >= 0xd9) return "string";
  if (head === 0xc2 || head === 0xc3) return "boolean";
  return head === 0xc0 ? "nil" : "other";
}

/**
 * The elements of an array, or the keys and values of a map in turn, each as its raw bytes.
 * @param raw an array or a map; what stands behind it is not looked at
 * @param max of them that are looked at
 * @returns views of `raw`
 * @throws {ProtocolError} when one of them is cut off, is not MessagePack, or is nested too deep
 */
export function elements(raw: Uint8Array, max: number = Number.POSITIVE_INFINITY): Uint8Array[] {
  const { inside, end } = head(raw, 0);
  const found: Uint8Array[] = [];
  for (let at = end; found.length < Math.min(inside, max); ) {
    const next = endOfValue(raw, at);
    found.push(raw.subarray(at, next));
    at = next;
  }
  return found;
}

/**
 * @returns index behind the value that begins at `at`
 * @throws {ProtocolError} as `elements`
 */
function endOfValue(bytes: Uint8Array, at: number): number {
  // A stack of our own: a call for each level would let a sender exhaust that of the runtime.
  const around: number[] = [];
  /** Values still to come in the innermost array or map. */
  let left = 1;
  for (;;) {
    const { inside, end } = head(bytes, at);
    at = end;
    left--;
    if (inside > 0) {
      if (around.length === MAX_DEPTH) {
        throw new ProtocolError(`Cannot read MessagePack: it is nested deeper than ${MAX_DEPTH}`);
      }
      around.push(left);
      left = inside;
    }
    while (left === 0) {
      const outer = around.pop();
      if (outer === undefined) return at;
      left = outer;
    }
  }
}

/** Of the types 0xc0 to 0xdf: bytes of the length that follows. */
const LENGTH_BYTES = [
  0, 0, 0, 0, 1, 2, 4, 1, 2, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 4, 2, 4, 2, 4,
];
/** And bytes that always follow besides: numbers, and what stands before an extension's data. */
const FIXED_BYTES = [
  0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 4, 8, 1, 2, 4, 8, 1, 2, 4, 8, 2, 3, 5, 9, 17, 0, 0, 0, 0, 0, 0, 0,
];

/**
 * Reads what a value itself has.
 * @returns how many values are `inside` it, which begin at `end`; of all others the end is there
 */
function head(bytes: Uint8Array, at: number): { readonly inside: number; readonly end: number } {
  const type = bytes[at] ?? 0xc0;
  let inside = 0;
  let end = at + 1;
  if (type >= 0x80 && type < 0x90) inside = 2 * (type & 0x0f);
  else if (type >= 0x90 && type < 0xa0) inside = type & 0x0f;
  else if (type >= 0xa0 && type < 0xc0) end += type & 0x1f;
  else if (type >= 0xc0 && type < 0xe0) {
    const lengthBytes = LENGTH_BYTES[type - 0xc0] ?? 0;
    let length = 0;
    for (let i = 0; i < lengthBytes; i++) length = length * 256 + (bytes[end++] ?? 0);
    end += FIXED_BYTES[type - 0xc0] ?? 0;
    if (type < 0xdc) end += length;
    else inside = type < 0xde ? length : 2 * length;
  }
  if (type === 0xc1) throw new ProtocolError("Cannot read MessagePack: 0xc1 is no type");
  if (end > bytes.length) {
    throw new ProtocolError(`Cannot read MessagePack: it is cut off at ${bytes.length} bytes`);
  }
  return { inside, end };
}
