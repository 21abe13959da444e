/** The plain WebSocket protocol, PROTOCOL.md section 3: one session for each socket of `/ws`. */

import type { Timer } from "../clock.ts";
import { CloseCode, messageOf, ProtocolError, Refusal } from "../errors.ts";
import type { Format } from "../fanout/format.ts";
import { byteLength, type Frame, type Socket, type SocketHandler } from "../socket.ts";
import type { Subscriptions, SubscriptionsOptions } from "../subscriptions.ts";
import { printDelta, printWhole } from "../wire/delta.ts";
import {
  type ClientMessage,
  HEARTBEAT,
  InvalidMessage,
  type MessageId,
  parseClientMessage,
  printDrain,
  printError,
  printNotice,
  printPong,
  printPublication,
} from "../wire/message.ts";
import type { Context } from "./context.ts";
import type { Session } from "./sessions.ts";

/** One JSON object a line. */
export const wsFormat: Format = {
  name: "ws",
  stateful: true,
  kept: true,
  publication: (publication) => printPublication(publication, publication.position),
  notice: printNotice,
  frame: (lines) => (lines.length === 1 ? (lines[0] as string) : lines.join("\n")),
};

/** As `wsFormat`, for clients that asked for deltas: PROTOCOL.md section 8. */
export const wsDeltaFormat: Format = {
  ...wsFormat,
  name: "ws-delta",
  publication: printDelta,
  whole: (publication) => printWhole(publication, publication.position),
  notice: (notice) =>
    notice.type === "value" ? printWhole(notice.publication) : printNotice(notice),
};

export interface WebSocketOptions {
  /** Paths of the hubs that the client has been admitted to. Absent: all. */
  readonly hubs?: ReadonlySet<string>;
  /** Whether it asked for deltas. */
  readonly delta?: boolean;
}

/** Serves one client. */
export function acceptWebSocket(
  context: Context,
  socket: Socket,
  options: WebSocketOptions = {},
): SocketHandler {
  return new WebSocketSession(context, socket, options);
}

/** A class: there is one for each connection, and closures would take several times the memory. */
class WebSocketSession implements SocketHandler, Session, SubscriptionsOptions {
  readonly transport = "websocket";
  readonly sink: Socket;
  readonly format: Format;
  readonly maxTopics: number;
  readonly #context: Context;
  readonly #hubs: ReadonlySet<string> | undefined;
  readonly #subscriptions: Subscriptions;
  readonly #heartbeat: Timer;
  #open = true;

  constructor(context: Context, socket: Socket, { hubs, delta }: WebSocketOptions) {
    this.sink = socket;
    this.format = delta ? wsDeltaFormat : wsFormat;
    this.maxTopics = context.limits.topicsPerConnection;
    this.#context = context;
    this.#hubs = hubs;
    this.#subscriptions = context.relay.subscriptions(this);
    this.#heartbeat = context.wheel.every(context.heartbeatMs, () => socket.send(HEARTBEAT));
    context.sessions.add(this);
  }

  message(frame: Frame): void {
    if (!this.#open) return; // it was told to close, and had more on the way
    const { stats, limits } = this.#context;
    const size = byteLength(frame);
    stats.receivedBytes += size;
    if (typeof frame !== "string") {
      this.#end(CloseCode.unsupportedData, "Binary frames are not part of this protocol");
      return;
    }
    if (size > limits.messageBytes) {
      this.#end(CloseCode.tooLarge, `Message is larger than ${limits.messageBytes} bytes`);
      return;
    }
    let message: ClientMessage | undefined;
    try {
      message = parseClientMessage(frame);
      this.#handle(message);
    } catch (error) {
      if (error instanceof Refusal) {
        this.#refuse(error, error instanceof InvalidMessage ? error.id : message?.id);
      } else if (error instanceof ProtocolError) {
        this.#refuse(new Refusal("invalid_message", messageOf(error)), undefined);
        this.#end(CloseCode.badMessage, "Cannot parse message");
      } else throw error;
    }
  }

  close(): void {
    this.#open = false;
    this.#heartbeat.cancel();
    this.#subscriptions.closeAll();
    this.#context.sessions.remove(this);
  }

  drain(retryMs: number): void {
    this.sink.send(printDrain(retryMs));
    this.#end(CloseCode.restart, `reconnect in ${retryMs} ms`);
  }

  onSlow(): void {
    this.#context.stats.slowDisconnects++;
    this.#end(CloseCode.tooSlow, "Too slow");
  }

  /** Who asks and does not read is slow, too. */
  #reply(frame: string): void {
    const { sink } = this;
    if (!sink.send(frame) && sink.bufferedBytes > this.#context.limits.queueBytes) this.onSlow();
  }

  #end(code: number, reason: string): void {
    this.close();
    this.sink.close(code, reason);
  }

  #refuse(error: Refusal, id: MessageId | undefined): void {
    this.#context.stats.refusals++;
    this.#reply(printError(error.code, error.message, { id, topic: error.topic }));
  }

  #handle(message: ClientMessage): void {
    switch (message.type) {
      case "subscribe":
        for (const { topic } of message.topics) this.#assertAdmitted(topic);
        this.#subscriptions.open(message.topics);
        return;
      case "unsubscribe": {
        const missing = message.topics.find((topic) => !this.#subscriptions.has(topic));
        if (missing !== undefined) {
          throw new Refusal("not_subscribed", `Not subscribed to "${missing}"`, missing);
        }
        for (const topic of message.topics) {
          this.#subscriptions.close(topic);
          const notice = { type: "unsubscribed", reason: "requested", error: undefined } as const;
          this.#reply(printNotice({ ...notice, topic }));
        }
        return;
      }
      case "ping":
        this.#reply(printPong(message.id));
    }
  }

  #assertAdmitted(topic: string): void {
    const { path } = this.#context.relay.find(topic).feed.spec;
    if (this.#hubs?.has(path) !== false) return;
    throw new Refusal("rejected", `The origin does not admit you to "${topic}"`, topic);
  }
}
