/** WebSocket frames, also those that no library would send. */

import type { End, Tcp } from "./tcp.ts";

export const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

export interface WireFrame {
  readonly fin: boolean;
  /** The three reserved bits as a number. */
  readonly rsv: number;
  readonly opcode: number;
  readonly payload: Buffer;
}

/** Fields that ask for a WebSocket; the key is the one of RFC 6455, so that answers are always the same. */
export const UPGRADE = {
  Connection: "Upgrade",
  Upgrade: "websocket",
  "Sec-WebSocket-Version": "13",
  "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
} as const;

const MASK = Buffer.from([0x11, 0x22, 0x33, 0x44]);

/** Writes a client's frame: whole and masked, unless it is said. */
export function printFrame(
  opcode: number,
  payload: string | Uint8Array = "",
  { fin = true, rsv = 0, masked = true }: { fin?: boolean; rsv?: number; masked?: boolean } = {},
): Buffer {
  const bytes = Buffer.from(payload as string); // either of its overloads
  const head = Buffer.alloc(10);
  let size = 2;
  head[0] = (fin ? 0x80 : 0) | (rsv << 4) | opcode;
  if (bytes.length < 126) head[1] = bytes.length;
  else if (bytes.length < 65_536) {
    head[1] = 126;
    size += head.writeUInt16BE(bytes.length, 2) - 2;
  } else {
    head[1] = 127;
    size += head.writeBigUInt64BE(BigInt(bytes.length), 2) - 2;
  }
  if (!masked) return Buffer.concat([head.subarray(0, size), bytes]);
  head[1] = (head[1] ?? 0) | 0x80;
  const hidden = bytes.map((byte, at) => byte ^ (MASK[at % 4] ?? 0));
  return Buffer.concat([head.subarray(0, size), MASK, hidden]);
}

/** Reads a server's frame, which is not masked. */
export function readFrame(
  tcp: Tcp,
  timeoutMs?: number,
): Promise<{ readonly value: WireFrame } | End> {
  return tcp.read((bytes) => {
    if (bytes.length < 2) return undefined;
    const first = bytes.readUInt8(0);
    const code = bytes.readUInt8(1) & 0x7f;
    const start = code === 126 ? 4 : code === 127 ? 10 : 2;
    if (bytes.length < start) return undefined;
    const length =
      code === 126 ? bytes.readUInt16BE(2) : code === 127 ? Number(bytes.readBigUInt64BE(2)) : code;
    if (bytes.length < start + length) return undefined;
    const value = {
      fin: (first & 0x80) !== 0,
      rsv: (first >> 4) & 7,
      opcode: first & 0x0f,
      payload: Buffer.from(bytes.subarray(start, start + length)),
    };
    return { value, size: start + length };
  }, timeoutMs);
}
