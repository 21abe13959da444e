/** A SignalR hub that says what the test tells it, byte for byte, and nothing else. */

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type WebSocket, WebSocketServer } from "ws";
import { createInbox, type Inbox } from "./inbox.ts";
import { RECORD_SEPARATOR } from "./signalr-client.ts";

/** An invocation (1), the start of a stream (4), or its cancellation (5, without a target). */
export interface Call {
  readonly type: 1 | 4 | 5;
  /** Absent when nobody waits for an answer. */
  readonly invocationId?: string;
  readonly target: string;
  readonly arguments: readonly unknown[];
}

export interface PuppetHub {
  readonly url: string;
  /** What was called, in order. */
  readonly calls: Inbox<Call>;
  /** Sends a record to everybody. @param record JSON text */
  send(record: string): void;
  /** Pushes to everybody. @param args JSON text of the arguments' array */
  push(target: string, args: string): void;
  stop(): Promise<void>;
}

/** @param answer the fields of the completion of an invocation; `undefined` to give none */
export async function startPuppetHub(
  answer: (call: Call) => { readonly result?: unknown; readonly error?: string } | undefined,
): Promise<PuppetHub> {
  const calls = createInbox<Call>();
  const live = new Set<WebSocket>();
  const server = createServer((_, response) => {
    const transports = [{ transport: "WebSockets", transferFormats: ["Text", "Binary"] }];
    const ids = { connectionId: "puppet", connectionToken: "puppet" };
    const body = { negotiateVersion: 1, ...ids, availableTransports: transports };
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(body));
  });
  const sockets = new WebSocketServer({ server });
  sockets.on("connection", (socket) => {
    socket.on("close", () => live.delete(socket));
    socket.on("message", (data) => {
      for (const record of String(data).split(RECORD_SEPARATOR).slice(0, -1)) {
        const message = JSON.parse(record) as Call & { readonly protocol?: string };
        if (message.protocol) {
          socket.send(`{}${RECORD_SEPARATOR}`);
          live.add(socket);
        }
        if (!(message.type === 1 || message.type === 4 || message.type === 5)) continue;
        calls.push(message);
        const { invocationId } = message;
        if (message.type !== 1 || invocationId === undefined) continue;
        const completion = answer(message);
        if (completion) write(socket, JSON.stringify({ type: 3, invocationId, ...completion }));
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo; // of a TCP server, never a string

  function write(socket: WebSocket, record: string): void {
    socket.send(record + RECORD_SEPARATOR);
  }
  function send(record: string): void {
    for (const socket of live) write(socket, record);
  }
  return {
    url: `http://127.0.0.1:${port}/hubs/puppet`,
    calls,
    send,
    push: (target, args) =>
      send(`{"type":1,"target":${JSON.stringify(target)},"arguments":${args}}`),
    async stop() {
      for (const socket of sockets.clients) socket.terminate();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
