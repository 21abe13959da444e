/**
 * Long polling: a connection keeps what is sent between polls, and the poll that waits for it.
 *
 * @see https://github.com/dotnet/aspnetcore/blob/main/src/SignalR/docs/specs/TransportProtocols.md#long-polling-server-to-client-only
 */

import type { Clock, Timer } from "../clock.ts";
import type { Sink } from "../fanout/sink.ts";
import type { Frame } from "../socket.ts";
import type { Wheel } from "../wheel.ts";
import type { Raw } from "../wire/hub.ts";
import { DATA, empty, TEXT } from "./answer.ts";
import type { Connection, Connections } from "./connections.ts";
import type { HubTransport } from "./hub.ts";

/** On every answer to a poll. */
export const POLL_HEADERS = {
  "cache-control": "no-cache, no-store",
  expires: "Thu, 01 Jan 1970 00:00:00 GMT",
  pragma: "no-cache",
} as const;

export interface PollingOptions {
  readonly connections: Connections;
  readonly clock: Clock;
  readonly wheel: Wheel;
  readonly limits: {
    /** A poll is answered without data after this; 90,000 ms. */
    readonly pollTimeoutMs: number;
  };
}

/** Opens a connection, and answers the poll that opens it: at once, and with nothing. */
export function openPolling(connection: Connection, options: PollingOptions): Response {
  const { connections } = options;
  const sink = new PollSink(connection, options);
  connection.poll = sink;
  connections.start(connection, sink);
  connections.expire(connection);
  return empty(200, { ...POLL_HEADERS, ...DATA });
}

interface Poll {
  readonly signal: AbortSignal;
  readonly timer: Timer;
  onAbort(): void;
  resolve(response: Response): void;
}

/** What carries a connection that polls. A class, as there is one for each. */
export class PollSink implements HubTransport, Sink {
  readonly kind = "polling";
  readonly #connection: Connection;
  readonly #options: PollingOptions;
  #outbox: Uint8Array[] = [];
  #bytes = 0;
  #isFinished = false;
  #waiting: Poll | undefined;

  constructor(connection: Connection, options: PollingOptions) {
    this.#connection = connection;
    this.#options = options;
  }

  get sink(): Sink {
    return this;
  }

  get bufferedBytes(): number {
    return this.#bytes;
  }

  wrap(messages: Raw): Frame {
    return messages;
  }

  send(frame: Frame): boolean {
    const piece = typeof frame === "string" ? encoder.encode(frame) : frame;
    this.#outbox.push(piece);
    this.#bytes += piece.length;
    this.#deliver();
    return this.#bytes === 0;
  }

  /** Nothing more will be sent: what is left is delivered, then polls are answered 204. */
  close(): void {
    this.#options.connections.close(this.#connection);
    this.#isFinished = true;
    this.#deliver();
  }

  /** Answers a poll: with what is there, or as soon as something is, or empty after a while. */
  poll(signal: AbortSignal): Promise<Response> | Response {
    // To a client it means that the connection is over: only one that has gone polls twice.
    if (this.#waiting) this.#answer(this.#waiting, empty(204, { ...TEXT, ...POLL_HEADERS }));
    this.#options.connections.keep(this.#connection);
    if (this.#bytes === 0 && !this.#isFinished) return this.#wait(signal);
    const response = this.#take();
    this.#expire();
    return response;
  }

  #wait(signal: AbortSignal): Promise<Response> {
    const { wheel, limits } = this.#options;
    return new Promise((resolve) => {
      const answer = (response: Response) => this.#answer(poll, response);
      const onAbort = () => answer(empty(499, POLL_HEADERS)); // its client has gone: nobody reads it
      const timer = wheel.after(limits.pollTimeoutMs, () =>
        answer(empty(200, { ...POLL_HEADERS, ...TEXT })),
      );
      const poll: Poll = { signal, timer, onAbort, resolve };
      this.#waiting = poll;
      signal.addEventListener("abort", onAbort, { once: true });
    });
  }

  /** Answers the poll that waits, if one does; what one tick brings goes in one answer. */
  #deliver(): void {
    const poll = this.#waiting;
    if (!poll) return;
    this.#options.clock.soon(() => {
      if (this.#waiting === poll) this.#answer(poll, this.#take());
    });
  }

  #answer(poll: Poll, response: Response): void {
    this.#waiting = undefined;
    poll.timer.cancel();
    poll.signal.removeEventListener("abort", poll.onAbort);
    this.#expire();
    poll.resolve(response);
  }

  /** The next poll should come. */
  #expire(): void {
    const { connections } = this.#options;
    if (connections.get(this.#connection.identity.id)) connections.expire(this.#connection);
  }

  #take(): Response {
    if (this.#bytes === 0 && this.#isFinished) {
      this.#options.connections.retire(this.#connection);
      return empty(204, { ...TEXT, ...POLL_HEADERS });
    }
    const body = new Uint8Array(this.#bytes);
    let at = 0;
    for (const piece of this.#outbox) {
      body.set(piece, at);
      at += piece.length;
    }
    this.#outbox = [];
    this.#bytes = 0;
    return new Response(body, { headers: { ...POLL_HEADERS, ...DATA } });
  }
}

const encoder = new TextEncoder();
