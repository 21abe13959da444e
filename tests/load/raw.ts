/**
 * Clients made of bare TCP sockets: light enough for thousands in one process, and they can be cut at
 * any byte, or stop reading. They know frames and chunks, and nothing of what is in them.
 */

import { connect } from "node:net";

export interface RawListener {
  /** The relay has accepted. */
  onOpen(): void;
  /** One text frame, or one event of a stream without the empty line behind it. */
  onText(text: string): void;
  /** The relay has ended it, or refused it. Not called once it was cut. @param reason for a person */
  onEnd(reason: string): void;
}

export interface RawConnection {
  /** Sends a text frame; only on a WebSocket. */
  send(text: string): void;
  /** Resets the connection without a goodbye. */
  cut(): void;
  /** As `cut`, once so many more bytes have come; what is whole in them is still heard. */
  cutAfter(bytes: number, onCut: () => void): void;
  /** Stops reading, and goes on. */
  pause(): void;
  resume(): void;
}

/** What tests publish is ASCII, and cut anywhere it stays what it is. */
const ENCODING = "latin1";

/** Takes bytes as they come, cut anywhere. */
type Decoder = (bytes: Buffer) => void;

export interface RawOptions extends RawListener {
  /** With its query. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** @param url of the relay, http */
export function openRawSocket(url: string, options: RawOptions): RawConnection {
  const upgrade = {
    upgrade: "websocket",
    connection: "Upgrade",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
  };
  const headers = { ...upgrade, ...options.headers };
  return open(url, { ...options, headers, status: 101, decoder: createFrames });
}

/** An event stream. @param url of the relay, http */
export function openRawStream(url: string, options: RawOptions): RawConnection {
  const headers = { accept: "text/event-stream", ...options.headers };
  return open(url, { ...options, headers, status: 200, decoder: createChunks });
}

interface Peer {
  onText(text: string): void;
  onEnd(reason: string): void;
  /** Sends bytes back. */
  write(bytes: Buffer): void;
}

function open(
  url: string,
  options: RawOptions & {
    /** Of an answer that accepts. */
    readonly status: number;
    decoder(peer: Peer): Decoder;
  },
): RawConnection {
  const { path, headers, status, onOpen, onText } = options;
  const { hostname, port, host } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.setNoDelay(true);
  const fields = Object.entries({ host, ...headers }).map(([name, value]) => `${name}: ${value}`);
  socket.write(`GET ${path} HTTP/1.1\r\n${fields.join("\r\n")}\r\n\r\n`);

  let isOver = false;
  let budget = Number.POSITIVE_INFINITY;
  let onBudget: (() => void) | undefined;
  let read: Decoder = createHead;

  function end(reason: string): void {
    if (isOver) return;
    isOver = true;
    socket.destroy();
    options.onEnd(reason);
  }

  function cut(): void {
    isOver = true;
    socket.resetAndDestroy();
  }

  const peer: Peer = {
    onText(text) {
      if (!isOver) onText(text);
    },
    onEnd: end,
    write: (bytes) => void socket.write(bytes),
  };
  let head = "";
  /** Reads the answer's head, then hands over to the decoder. */
  function createHead(bytes: Buffer): void {
    const before = head.length;
    head += bytes.toString(ENCODING);
    const at = head.indexOf("\r\n\r\n");
    if (at < 0) return;
    if (!head.startsWith(`HTTP/1.1 ${status} `)) return end(`Refused: ${head.slice(9, at + 200)}`);
    read = options.decoder(peer);
    onOpen();
    read(bytes.subarray(at + 4 - before));
  }

  socket.on("data", (bytes) => {
    if (isOver) return;
    const mine = bytes.length > budget ? bytes.subarray(0, budget) : bytes;
    budget -= mine.length;
    read(mine);
    if (isOver || budget > 0) return;
    cut();
    onBudget?.();
  });
  socket.on("error", ({ message }) => end(message));
  socket.on("close", () => end("Closed by the relay"));
  return {
    send: (text) => void socket.write(frameOf(Buffer.from(text), TEXT)),
    cut,
    cutAfter(bytes, onCut) {
      budget = bytes;
      onBudget = onCut;
    },
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
  };
}

const TEXT = 1;
const CLOSE = 8;
const PING = 9;
const PONG = 10;

/** A frame with a mask of zeros, which leaves the bytes as they are. */
function frameOf(payload: Buffer, opcode: number): Buffer {
  const { length } = payload;
  const head = length < 126 ? Buffer.alloc(6) : Buffer.alloc(8);
  head[0] = 0x80 | opcode;
  head[1] = 0x80 | (length < 126 ? length : 126);
  if (length >= 126) head.writeUInt16BE(length, 2); // nothing longer is sent by a test
  return Buffer.concat([head, payload]);
}

/** RFC 6455 section 5.2, from a server that neither fragments nor compresses. */
function createFrames({ onText, onEnd, write }: Peer): Decoder {
  let rest: Buffer = Buffer.alloc(0);
  return (bytes) => {
    let buffer = rest.length === 0 ? bytes : Buffer.concat([rest, bytes]);
    for (;;) {
      if (buffer.length < 2) break;
      const [first, second] = [buffer.readUInt8(0), buffer.readUInt8(1)];
      const start = second < 126 ? 2 : second === 126 ? 4 : 10;
      if (buffer.length < start) break;
      const length =
        second < 126
          ? second
          : second === 126
            ? buffer.readUInt16BE(2)
            : Number(buffer.readBigUInt64BE(2));
      if (buffer.length < start + length) break;
      const payload = buffer.subarray(start, start + length);
      buffer = buffer.subarray(start + length);
      if (first === (0x80 | TEXT)) onText(payload.toString(ENCODING));
      else if (first === (0x80 | PING)) write(frameOf(payload, PONG));
      else if (first === (0x80 | CLOSE)) return onEnd(printClose(payload));
      else throw new Error(`A frame that begins with ${first}`);
    }
    rest = buffer;
  };
}

function printClose(payload: Buffer): string {
  return `Closed with ${payload.length < 2 ? 1005 : payload.readUInt16BE(0)} ${payload.subarray(2)}`;
}

/**
 * RFC 9112 section 7.1, and events that end with an empty line. What has come of a chunk is read at
 * once.
 */
function createChunks({ onText, onEnd }: Peer): Decoder {
  let rest: Buffer = Buffer.alloc(0);
  /** Bytes of the chunk that have not come. */
  let left = 0;
  /** Where the line with the next chunk's size begins: behind the end of the one before. */
  let from = 0;
  /** Text of an event that is not whole. */
  let event = "";
  return (bytes) => {
    let buffer = rest.length === 0 ? bytes : Buffer.concat([rest, bytes]);
    for (;;) {
      if (left === 0) {
        const at = buffer.indexOf("\r\n", from);
        if (at < 0) break;
        left = Number.parseInt(buffer.toString(ENCODING, from, at), 16);
        if (left === 0) return onEnd("The stream has ended");
        from = 2;
        buffer = buffer.subarray(at + 2);
      }
      if (buffer.length === 0) break;
      const part = buffer.subarray(0, left);
      left -= part.length;
      buffer = buffer.subarray(part.length);
      const events = (event + part.toString(ENCODING)).split("\n\n");
      event = events.pop() ?? "";
      for (const whole of events) onText(whole);
    }
    rest = buffer;
  };
}
