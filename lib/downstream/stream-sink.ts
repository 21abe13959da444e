/** A sink over a response body, for every transport that streams one. */

import type { Sink } from "../fanout/sink.ts";
import { type Cut, FAREWELL_MS, type Frame } from "../socket.ts";
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
  return new BodySink(onGone, ending?.wheel, ending?.cut);
}

/** Counted in bytes, from nothing: what has not been read yet is what is missing from 0. */
const FROM_NOTHING = new ByteLengthQueuingStrategy({ highWaterMark: 0 });

/** A class, and the source of its body: there is one for each stream. */
class BodySink implements StreamSink {
  readonly body: ReadableStream<Uint8Array>;
  readonly #onGone: () => void;
  readonly #wheel: Wheel | undefined;
  readonly #cut: Cut | undefined;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  #open = true;

  constructor(onGone: () => void, wheel: Wheel | undefined, cut: Cut | undefined) {
    this.#onGone = onGone;
    this.#wheel = wheel;
    this.#cut = cut;
    this.body = new ReadableStream(this, FROM_NOTHING);
  }

  start(controller: ReadableStreamDefaultController<Uint8Array>): void {
    this.#controller = controller;
  }

  cancel(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#onGone();
  }

  send(frame: Frame): boolean {
    const controller = this.#controller;
    if (!this.#open || !controller) return true;
    controller.enqueue(typeof frame === "string" ? new TextEncoder().encode(frame) : frame);
    return (controller.desiredSize ?? 0) >= 0;
  }

  get bufferedBytes(): number {
    return this.#open ? -(this.#controller?.desiredSize ?? 0) : 0;
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    const controller = this.#controller;
    controller?.close();
    if (!this.#wheel || (controller?.desiredSize ?? 0) >= 0) return;
    const drop = () => controller?.error(new Error("The client did not read to the end"));
    this.#wheel.after(FAREWELL_MS, this.#cut ?? drop);
  }
}
