/** A byte stream as a transport may bring it. */

import { isUtf8 } from "node:buffer";
import fc from "fast-check";
import type { Frame } from "../../lib/socket.ts";

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** The stream cut anywhere, also inside characters; what is whole characters may come as text. */
export function pieces(bytes: Uint8Array): fc.Arbitrary<Frame[]> {
  const cut = fc.record({ at: fc.nat(bytes.length), isText: fc.boolean() });
  return fc.tuple(fc.array(cut, { maxLength: 8 }), fc.boolean()).map(([cuts, isText]) => {
    const ends = [...cuts].sort((a, b) => a.at - b.at);
    const frames: Frame[] = [];
    let start = 0;
    for (const end of [...ends, { at: bytes.length, isText }]) {
      const piece = bytes.subarray(start, end.at);
      frames.push(end.isText && isUtf8(piece) ? decoder.decode(piece) : piece);
      start = end.at;
    }
    return frames;
  });
}
