/**
 * Long polling: a sink that keeps what is sent between polls, and the poll that waits for it.
 *
 * @see https://github.com/dotnet/aspnetcore/blob/main/src/SignalR/docs/specs/TransportProtocols.md#long-polling-server-to-client-only
 */

import type { Clock } from "../clock.ts";
import type { Sink } from "../fanout/sink.ts";
import type { Wheel } from "../wheel.ts";
import { DATA, empty, TEXT } from "./answer.ts";

export interface PollSink extends Sink {
  /** Answers a poll: with what is there, or as soon as something is, or empty after a while. */
  poll(signal: AbortSignal): Promise<Response> | Response;
  /** Nothing more will be sent: what is left is delivered, then polls are answered 204. */
  finish(): void;
}

/** On every answer to a poll. */
export const POLL_HEADERS = {
  "cache-control": "no-cache, no-store",
  expires: "Thu, 01 Jan 1970 00:00:00 GMT",
  pragma: "no-cache",
} as const;

export function createPollSink(options: {
  readonly clock: Clock;
  readonly wheel: Wheel;
  /** A poll is answered without data after this, ms. */
  readonly pollTimeoutMs: number;
  /** A poll has come: its client is there. */
  onPoll(): void;
  /** A poll has been answered, and the next one should come. */
  onAnswered(): void;
  /** All has been delivered, after `finish`. */
  onEnd(): void;
}): PollSink {
  const { clock, wheel, pollTimeoutMs, onPoll, onAnswered, onEnd } = options;
  let outbox: Uint8Array[] = [];
  let bytes = 0;
  let finished = false;
  let waiting: { deliver(): void; supersede(): void } | undefined;

  function take(): Response {
    if (bytes === 0 && finished) {
      onEnd();
      return empty(204, { ...TEXT, ...POLL_HEADERS });
    }
    const body = new Uint8Array(bytes);
    let at = 0;
    for (const piece of outbox) {
      body.set(piece, at);
      at += piece.length;
    }
    outbox = [];
    bytes = 0;
    return new Response(body, { headers: { ...POLL_HEADERS, ...DATA } });
  }

  function wait(signal: AbortSignal): Promise<Response> {
    return new Promise((resolve) => {
      const finish = (response: Response) => {
        if (waiting !== own) return;
        waiting = undefined;
        timer.cancel();
        signal.removeEventListener("abort", abort);
        onAnswered();
        resolve(response);
      };
      const abort = () => finish(empty(499, POLL_HEADERS)); // its client has gone: nobody reads it
      const own = {
        // What one tick brings goes in one answer.
        deliver: () =>
          clock.soon(() => {
            if (waiting === own) finish(take());
          }),
        // To a client it means that the connection is over: only one that has gone polls twice.
        supersede: () => finish(empty(204, { ...TEXT, ...POLL_HEADERS })),
      };
      waiting = own;
      const timer = wheel.after(pollTimeoutMs, () =>
        finish(empty(200, { ...POLL_HEADERS, ...TEXT })),
      );
      signal.addEventListener("abort", abort, { once: true });
    });
  }

  return {
    send(frame) {
      const piece = typeof frame === "string" ? encoder.encode(frame) : frame;
      outbox.push(piece);
      bytes += piece.length;
      waiting?.deliver();
      return bytes === 0;
    },
    get bufferedBytes() {
      return bytes;
    },
    poll(signal) {
      waiting?.supersede();
      onPoll();
      if (bytes === 0 && !finished) return wait(signal);
      const response = take();
      onAnswered();
      return response;
    },
    finish() {
      finished = true;
      waiting?.deliver();
    },
  };
}

const encoder = new TextEncoder();
