/** SignalR clients: the official one, and one that shows the records as they are. */

import {
  HttpTransportType,
  type HubConnection,
  HubConnectionBuilder,
  type IHttpConnectionOptions,
  LogLevel,
} from "@microsoft/signalr";
import { onTestFinished } from "vitest";
import { createInbox, type Inbox } from "./inbox.ts";
import { connectSocket } from "./ws-client.ts";

/** The official client, connected. It is stopped after the test. */
export async function connectHub(
  url: string,
  options: IHttpConnectionOptions & { readonly reconnect?: boolean } = {},
): Promise<HubConnection> {
  const { reconnect = false, ...http } = options;
  const builder = new HubConnectionBuilder()
    .withUrl(url, { transport: HttpTransportType.WebSockets, ...http })
    .configureLogging(LogLevel.None);
  if (reconnect) builder.withAutomaticReconnect();
  const connection = builder.build();
  onTestFinished(() => connection.stop());
  await connection.start();
  return connection;
}

/** The arguments of each push of a target. */
export function pushesOf(connection: HubConnection, target: string): Inbox<unknown[]> {
  const pushes = createInbox<unknown[]>();
  connection.on(target, (...args: unknown[]) => pushes.push(args));
  connection.onclose(() => pushes.end("The connection has closed"));
  return pushes;
}

/** What `invoke` was refused with, without what the client puts before it. */
export async function refusalOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  throw new Error("Not refused");
}

/** A connection on which records are read and written by hand. */
export interface RawHub {
  /** Records but for pings, without their separators. */
  readonly records: Inbox<string>;
  readonly pings: Inbox<string>;
  /** Sends records, each an object or its text, in one frame. */
  send(...records: readonly (object | string)[]): void;
  readonly closed: Promise<number>;
  /** Stops reading, and goes on. */
  pause(): void;
  resume(): void;
}

export const RECORD_SEPARATOR = "\u001e";

/** Connects without negotiating. Nothing is said yet, the handshake neither. */
export async function openRawHub(url: string): Promise<RawHub> {
  const socket = await connectSocket(url);
  const records = createInbox<string>();
  const pings = createInbox<string>();
  socket.on("message", (data) => {
    for (const record of String(data).split(RECORD_SEPARATOR).slice(0, -1)) {
      (record === '{"type":6}' ? pings : records).push(record);
    }
  });
  const closed = new Promise<number>((resolve) => socket.once("close", resolve));
  void closed.then((code) => {
    for (const inbox of [records, pings]) inbox.end(`Closed with ${code}`);
  });
  return {
    records,
    pings,
    send(...all) {
      const texts = all.map((one) => (typeof one === "string" ? one : JSON.stringify(one)));
      socket.send(texts.map((text) => text + RECORD_SEPARATOR).join(""));
    },
    closed,
    pause: () => socket.pause(),
    resume: () => socket.resume(),
  };
}
