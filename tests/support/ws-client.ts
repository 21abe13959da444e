/** A client of `/ws`. */

import { onTestFinished } from "vitest";
import { WebSocket } from "ws";
import { createInbox, type Inbox } from "./inbox.ts";

/** A message of the relay, its fields as they came. */
export interface Message {
  readonly type: string;
  readonly data?: unknown;
  readonly [field: string]: unknown;
}

export interface Closed {
  readonly code: number;
  readonly reason: string;
}

export interface WsClient {
  /** Frames as they came. */
  readonly frames: string[];
  /** Messages but for heartbeats. */
  readonly messages: Inbox<Message>;
  readonly heartbeats: Inbox<Message>;
  /** An object goes out as JSON, text and bytes as they are. */
  send(message: object | string | Uint8Array): void;
  /** Subscribes, and takes everything up to the end of the opening of all. */
  subscribe(...topics: readonly (string | { topic: string; since: string })[]): Promise<Message[]>;
  readonly closed: Promise<Closed>;
  /** Stops reading, and goes on. */
  pause(): void;
  resume(): void;
  close(): void;
}

/** Connects; the connection ends with the test at the latest. */
export async function openWs(url: string, headers: Record<string, string> = {}): Promise<WsClient> {
  const socket = await connectSocket(url, headers);
  const messages = createInbox<Message>();
  const heartbeats = createInbox<Message>();
  const frames: string[] = [];
  socket.on("message", (data) => {
    const frame = String(data);
    frames.push(frame);
    for (const line of frame.split("\n")) {
      const message = JSON.parse(line) as Message; // a message of the relay has a type
      (message.type === "heartbeat" ? heartbeats : messages).push(message);
    }
  });
  const closed = new Promise<Closed>((resolve) => {
    socket.once("close", (code, reason) => resolve({ code, reason: reason.toString() }));
  });
  void closed.then(({ code, reason }) => {
    for (const inbox of [messages, heartbeats]) inbox.end(`Closed with ${code} "${reason}"`);
  });
  const send: WsClient["send"] = (message) => {
    const isFrame = typeof message === "string" || message instanceof Uint8Array;
    socket.send(isFrame ? message : JSON.stringify(message));
  };
  return {
    frames,
    messages,
    heartbeats,
    send,
    subscribe(...topics) {
      send({ type: "subscribe", topics });
      let open = 0;
      return messages.until(({ type }) => {
        if (type === "error") throw new Error("The subscription was refused");
        return type === "subscribed" && ++open === topics.length;
      });
    },
    closed,
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    close: () => socket.close(1000),
  };
}

/**
 * Opens a bare WebSocket that is cut after the test.
 * @param url http or ws
 * @throws Error when the upgrade is refused
 */
export async function connectSocket(
  url: string,
  headers: Record<string, string> = {},
): Promise<WebSocket> {
  const socket = new WebSocket(url.replace(/^http/, "ws"), {
    headers,
    perMessageDeflate: false,
    maxPayload: 64 * 1024 * 1024,
  });
  onTestFinished(() => socket.terminate());
  await new Promise<void>((resolve, reject) => {
    socket.once("open", resolve);
    socket.once("error", reject);
  });
  socket.on("error", () => {}); // a close follows
  return socket;
}
