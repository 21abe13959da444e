/** Messages of the MessagePack hub protocol on the wire: each stands behind its length. */

import { encode } from "@msgpack/msgpack";

/** @returns the message with its length, 7 bits a byte, the lowest first */
export function printPacked(message: readonly unknown[]): Buffer {
  const body = encode(message);
  const prefix: number[] = [];
  for (let length = body.length; ; length >>= 7) {
    if (length < 0x80) {
      prefix.push(length);
      return Buffer.concat([Buffer.from(prefix), body]);
    }
    prefix.push((length & 0x7f) | 0x80);
  }
}

/** Cuts a frame of whole messages into them, without their lengths. */
export function* cutPacked(frame: Buffer): Iterable<Buffer> {
  let at = 0;
  while (at < frame.length) {
    let length = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = frame.readUInt8(at++);
      length |= (byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    yield frame.subarray(at, at + length);
    at += length;
  }
}
