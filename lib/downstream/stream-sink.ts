/** A sink over a response body, for every transport that streams one. */

import type { Sink } from "../fanout/sink.ts";
import { type Cut, FAREWELL_MS } from "../socket.ts";
import type { Wheel } from "../wheel.ts";

export interface StreamSink extends Sink {
  readonly body: ReadableStream<Uint8Array>;
  /** Ends the body behind what was sent. */
  close(): void;
}

/**
 * @param onGone called once when the client has gone away, and not after `close`
 * @param ending for a client that may have stopped reading: of what waits for it at `close`, it is to
 * take all within `FAREWELL_MS`, or it is cut. Where a runtime has no `cut`, what waits is dropped, and
 * the runtime goes on waiting for its client
 */
export function createStreamSink(
  onGone: () => void,
  ending?: { readonly wheel: Wheel; readonly cut: Cut | undefined },
): StreamSink {
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
      if (!ending || (controller?.desiredSize ?? 0) >= 0) return;
      const drop = () => controller?.error(new Error("The client did not read to the end"));
      ending.wheel.after(FAREWELL_MS, ending.cut ?? drop);
    },
  };
}
