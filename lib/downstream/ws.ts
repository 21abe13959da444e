/** The plain WebSocket protocol, PROTOCOL.md section 3: one session for each socket of `/ws`. */

import { CloseCode, messageOf, ProtocolError, Refusal } from "../errors.ts";
import type { Format } from "../fanout/format.ts";
import { byteLength, type Frame, type Socket, type SocketHandler } from "../socket.ts";
import type { Subscriptions } from "../subscriptions.ts";
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
  /** Whether the client has been admitted to the hub of this path. Absent: to all. */
  mayWatch?(hub: string): boolean;
  /** Whether it asked for deltas. */
  readonly delta?: boolean;
}

/** Serves one client. */
export function acceptWebSocket(
  context: Context,
  socket: Socket,
  { mayWatch = () => true, delta = false }: WebSocketOptions = {},
): SocketHandler {
  const { relay, sessions, stats, limits, wheel, heartbeatMs } = context;

  const subscriptions: Subscriptions = relay.subscriptions({
    sink: socket,
    format: delta ? wsDeltaFormat : wsFormat,
    maxTopics: limits.topicsPerConnection,
    onSlow,
  });
  const session: Session = {
    transport: "websocket",
    drain(retryMs) {
      socket.send(printDrain(retryMs));
      end(CloseCode.restart, `reconnect in ${retryMs} ms`);
    },
  };
  const heartbeat = wheel.every(heartbeatMs, () => socket.send(HEARTBEAT));
  sessions.add(session);

  let open = true;

  function onSlow(): void {
    stats.slowDisconnects++;
    end(CloseCode.tooSlow, "Too slow");
  }

  /** Who asks and does not read is slow, too. */
  function reply(frame: string): void {
    if (!socket.send(frame) && socket.bufferedBytes > limits.queueBytes) onSlow();
  }

  function leave(): void {
    open = false;
    heartbeat.cancel();
    subscriptions.closeAll();
    sessions.remove(session);
  }

  function end(code: number, reason: string): void {
    leave();
    socket.close(code, reason);
  }

  function refuse(error: Refusal, id: MessageId | undefined): void {
    stats.refusals++;
    reply(printError(error.code, error.message, { id, topic: error.topic }));
  }

  function handle(message: ClientMessage): void {
    switch (message.type) {
      case "subscribe":
        for (const { topic } of message.topics) {
          if (mayWatch(relay.find(topic).feed.spec.path)) continue;
          throw new Refusal("rejected", `The origin does not admit you to "${topic}"`, topic);
        }
        subscriptions.open(message.topics);
        return;
      case "unsubscribe": {
        const missing = message.topics.find((topic) => !subscriptions.has(topic));
        if (missing !== undefined) {
          throw new Refusal("not_subscribed", `Not subscribed to "${missing}"`, missing);
        }
        for (const topic of message.topics) {
          subscriptions.close(topic);
          const notice = { type: "unsubscribed", reason: "requested", error: undefined } as const;
          reply(printNotice({ ...notice, topic }));
        }
        return;
      }
      case "ping":
        reply(printPong(message.id));
    }
  }

  function onFrame(frame: Frame): void {
    if (!open) return; // it was told to close, and had more on the way
    const size = byteLength(frame);
    stats.receivedBytes += size;
    if (typeof frame !== "string") {
      end(CloseCode.unsupportedData, "Binary frames are not part of this protocol");
      return;
    }
    if (size > limits.messageBytes) {
      end(CloseCode.tooLarge, `Message is larger than ${limits.messageBytes} bytes`);
      return;
    }
    let message: ClientMessage | undefined;
    try {
      message = parseClientMessage(frame);
      handle(message);
    } catch (error) {
      if (error instanceof Refusal) {
        refuse(error, error instanceof InvalidMessage ? error.id : message?.id);
      } else if (error instanceof ProtocolError) {
        refuse(new Refusal("invalid_message", messageOf(error)), undefined);
        end(CloseCode.badMessage, "Cannot parse message");
      } else throw error;
    }
  }

  return { message: onFrame, close: leave };
}
