/** A sink that keeps what it is sent. */

import type { Sink } from "../../lib/fanout/sink.ts";
import type { Frame } from "../../lib/socket.ts";

export interface FakeSink extends Sink {
  /** Bytes that wait; while there are any, `send` says that the client does not keep up. */
  bufferedBytes: number;
  readonly frames: Frame[];
  /** The frames since the last time, as text. */
  take(): string[];
}

/** @param onSend called with each frame, after it was kept */
export function createSink(onSend: (frame: Frame) => void = () => {}): FakeSink {
  const frames: Frame[] = [];
  const decoder = new TextDecoder();
  return {
    bufferedBytes: 0,
    frames,
    send(frame) {
      frames.push(frame);
      onSend(frame);
      return this.bufferedBytes === 0;
    },
    take: () =>
      frames.splice(0).map((frame) => (typeof frame === "string" ? frame : decoder.decode(frame))),
  };
}
