/** A sink over a response body, for every transport that streams one. */

import type { Sink } from "../fanout/sink.ts";

export interface StreamSink extends Sink {
  readonly body: ReadableStream<Uint8Array>;
  /** Ends the body. */
  close(): void;
}

/** @param onGone called once when the client has gone away, and not after `close` */
export function createStreamSink(onGone: () => void): StreamSink {
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  let open = true;
  const body = new ReadableStream<Uint8Array>(
    {
      start(created) {
        controller = created;
      },
      cancel() {
        if (!open) return;
        open = false;
        onGone();
      },
    },
    // Counted in bytes, from nothing: what has not been read yet is what is missing from 0.
    new ByteLengthQueuingStrategy({ highWaterMark: 0 }),
  );
  return {
    body,
    send(frame) {
      if (!open || !controller) return true;
      controller.enqueue(typeof frame === "string" ? new TextEncoder().encode(frame) : frame);
      return (controller.desiredSize ?? 0) >= 0;
    },
    get bufferedBytes() {
      return open ? -(controller?.desiredSize ?? 0) : 0;
    },
    close() {
      if (!open) return;
      open = false;
      controller?.close();
    },
  };
}
