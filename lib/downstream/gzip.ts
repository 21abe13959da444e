/**
 * A compressed response body whose work is done once for all: what many streams are sent at once is
 * deflated once, behind what they were sent before.
 *
 * Each stream is a gzip stream of its own. Deflate refers back to the last bytes of a stream, so one
 * block may serve all streams that have the same last bytes, however they began. Two streams of a
 * cohort have the same ones since the later of them began; who has just come, or was told something
 * by itself, is given a block that reaches less far back. So no stream keeps a compressor: it knows
 * its last frame, and how much of what went before is also the others'.
 */

import { deflate, MAX_WINDOW_BYTES } from "../wire/deflate.ts";
import {
  type Addend,
  add,
  addendOf,
  HEAD,
  printFiller,
  printStored,
  printTail,
} from "../wire/gzip.ts";
import type { StreamSink } from "./stream-sink.ts";

/** What blocks refer back to, bytes: more costs time, and saves little (`bench/bytes.ts`). */
const WINDOW_BYTES = 8_192;
/** As far reaches a block for those who do not share a whole window yet, but more than one frame. */
const PART_BYTES = 1_024;

/** Encodings of one frame at most; for streams of which none fits it is deflated by itself. */
const MAX_ENCODINGS = 12;
/** As long as there are fewer, one is also made for a last frame that no other stream had. */
const MAX_SINGLE_ENCODINGS = 4;

/** A frame with what was made of it for its readers. */
interface Shared {
  readonly id: number;
  readonly frame: Uint8Array;
  readonly addend: Addend;
  /** Streams that were sent it. */
  readers: number;
  /** The last frame of its readers before it; where they differ, the one that most had. */
  before: { readonly id: number; readonly readers: number };
  /** The last bytes of those readers, with this frame. */
  window: Uint8Array;
  readonly encodings: Encoding[];
}

interface Encoding {
  /** Made for those with this last frame, of whose window it knows so much. */
  readonly last: number;
  readonly reach: number;
  readonly block: Uint8Array;
}

const NOTHING = { id: 0, readers: 0 };
const NO_BYTES = new Uint8Array(0);

const shared = new WeakMap<Uint8Array, Shared>();
let lastId = 0;

/**
 * Compresses what goes to a stream of events. Frames with messages in them are shared with all sinks
 * that are sent the same object. Others are this stream's own, and go as they are: they are few, and
 * padding shall keep its size. A comment, while the stream has other things to say, is padding that
 * decodes to nothing, so that it does not come between frames.
 *
 * What is waiting is counted as text: limits mean the same with and without compression.
 *
 * @param stream to be used by this sink only
 */
export function createGzipSink(stream: StreamSink): StreamSink {
  const sum = { crc: 0, size: 0 };
  /** The last frame, if it was a shared one, and the one before it. */
  let last: Shared | undefined;
  let before = NOTHING.id;
  /** Of the last bytes of this stream, those that are also in the window of `last`. */
  let run = 0;
  let hasSpoken = false;
  /** What waits, as text; and as blocks when it was last seen. */
  let waitingText = 0;
  let waiting = 0;

  function encode(frame: Uint8Array): Uint8Array {
    const next = sharedOf(frame);
    // Its other readers came from elsewhere: of what they have, this stream has the frame alone.
    if (last && last.before.id !== before) run = last.frame.length;
    const reach = last ? reachOf(last, run) : 0;
    lead(next, last);
    const block = blockOf(next, last, reach);
    next.readers++;
    add(sum, next.addend);
    before = last?.id ?? NOTHING.id;
    run += frame.length;
    last = next;
    hasSpoken = true;
    return block;
  }

  function encodeOwn(frame: Uint8Array): Uint8Array {
    const isComment = frame[0] === COLON;
    if (isComment && hasSpoken) {
      hasSpoken = false;
      return printFiller(frame.length);
    }
    hasSpoken = false;
    add(sum, addendOf(frame));
    last = undefined;
    run = 0;
    return printStored(frame);
  }

  stream.send(HEAD);
  return {
    body: stream.body,
    send(frame, messages = 0) {
      const text = typeof frame === "string" ? new TextEncoder().encode(frame) : frame;
      const block = messages > 0 ? encode(text) : encodeOwn(text);
      if (stream.send(block)) {
        waiting = 0;
        return true;
      }
      const now = stream.bufferedBytes;
      settle(now - block.length);
      waitingText += text.length;
      waiting = now;
      return false;
    },
    get bufferedBytes() {
      settle(stream.bufferedBytes);
      return Math.ceil(waitingText);
    },
    close() {
      stream.send(printTail(sum));
      stream.close();
    },
  };

  /** Of what waited, so much is left. */
  function settle(left: number): void {
    waitingText = waiting > 0 ? (waitingText * left) / waiting : 0;
    waiting = left;
  }
}

const COLON = 0x3a;

function sharedOf(frame: Uint8Array): Shared {
  let found = shared.get(frame);
  if (!found) {
    const addend = addendOf(frame);
    const id = ++lastId;
    found = { id, frame, addend, readers: 0, before: NOTHING, window: NO_BYTES, encodings: [] };
    shared.set(frame, found);
  }
  return found;
}

/** How much of the window a block may refer to for a stream that has the last `run` bytes of it. */
function reachOf({ frame, window }: Shared, run: number): number {
  if (run >= window.length) return window.length;
  return run >= PART_BYTES ? PART_BYTES : Math.min(frame.length, window.length);
}

/** Lets a frame go on from a reader's last one, when it is the first or that had more readers. */
function lead(next: Shared, last: Shared | undefined): void {
  const { id, readers } = last ?? NOTHING;
  if (next.readers > 0 && readers <= next.before.readers) return;
  next.before = { id, readers };
  next.window = windowAfter(last?.window ?? NO_BYTES, next.frame);
}

function windowAfter(window: Uint8Array, frame: Uint8Array): Uint8Array {
  if (frame.length >= WINDOW_BYTES) return frame.subarray(-MAX_WINDOW_BYTES);
  const kept = window.subarray(-(WINDOW_BYTES - frame.length));
  const after = new Uint8Array(kept.length + frame.length);
  after.set(kept);
  after.set(frame, kept.length);
  return after;
}

/** A frame for those who had `last` before, and know the last `reach` bytes of its window. */
function blockOf(next: Shared, last: Shared | undefined, reach: number): Uint8Array {
  const { encodings } = next;
  const id = reach > 0 && last ? last.id : NOTHING.id;
  const found = encodings.find((one) => one.last === id && one.reach === reach);
  if (found) return found.block;
  if (last && reach > 0) {
    const most = last.readers > 1 ? MAX_ENCODINGS : MAX_SINGLE_ENCODINGS;
    if (encodings.length >= most) return blockOf(next, undefined, 0);
  }
  const window = last && reach > 0 ? last.window.subarray(-reach) : NO_BYTES;
  const block = deflate(next.frame, window);
  encodings.push({ last: id, reach, block });
  return block;
}
