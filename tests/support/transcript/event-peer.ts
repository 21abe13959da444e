/** The client's end of an event stream. */

import { readChunk } from "./http.ts";
import type { End, Tcp } from "./tcp.ts";
import { show, type Transcript } from "./transcript.ts";

export interface EventPeer {
  readonly tcp: Tcp;
  /** Writes down so many events. Hub pings are not counted. */
  take(count: number): Promise<void>;
  pings(count: number): Promise<void>;
  /** Writes down everything up to the end of the body. */
  ended(): Promise<void>;
}

/** @param tcp what comes on it is a chunked body */
export function createEventPeer(tcp: Tcp, transcript: Transcript): EventPeer {
  let pending = Buffer.alloc(0);

  /** The next event, the opening comment, or how the body ended. */
  async function next(): Promise<{ event: Buffer } | { end: End | "end of the body" }> {
    for (;;) {
      const isComment = pending[0] === 0x3a;
      const mark = isComment ? "\r\n" : "\r\n\r\n";
      const at = pending.indexOf(mark);
      if (at >= 0) {
        const event = pending.subarray(0, at + mark.length);
        pending = pending.subarray(at + mark.length);
        return { event };
      }
      const chunk = await readChunk(tcp);
      if (typeof chunk === "string") return { end: chunk };
      if (chunk.value.length === 0) return { end: "end of the body" };
      pending = Buffer.concat([pending, chunk.value]);
    }
  }

  async function take(count: number, countsPings: boolean): Promise<boolean> {
    for (let seen = 0; seen < count; ) {
      const read = await next();
      if ("end" in read) {
        if (pending.length > 0) transcript.add(`${show(pending)} (not whole)`);
        transcript.add(read.end);
        return false;
      }
      const line = show(read.event);
      const isPing = line.startsWith('data: {"type":6}␞');
      if (isPing && !countsPings) continue;
      transcript.add(line);
      if (isPing === countsPings) seen++;
    }
    return true;
  }

  return {
    tcp,
    take: async (count) => void (await take(count, false)),
    pings: async (count) => void (await take(count, true)),
    async ended() {
      while (await take(1, false));
    },
  };
}
