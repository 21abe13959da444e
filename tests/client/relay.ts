/** A relay that does what the test says: real sockets, real streams, no logic of its own. */

import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import type { AddressInfo, Socket as TcpSocket } from "node:net";
import { onTestFinished } from "vitest";
import { type WebSocket, WebSocketServer } from "ws";
import type { ServerMessage } from "../../lib/client/message.ts";
import { createQueue } from "./queue.ts";

/** A message as its text. */
export type Line = string;

function print(message: ServerMessage | Line): Line {
  return typeof message === "string" ? message : JSON.stringify(message);
}

/** A client's socket, seen from the relay. */
export interface Peer {
  readonly url: URL;
  /** The next message of the client. */
  next(): Promise<unknown>;
  /** Answers the client's first ping, which proves that the socket passes something on. */
  answer(): Promise<void>;
  /** Sends the messages as one frame. */
  send(...messages: readonly (ServerMessage | Line)[]): void;
  close(code: number, reason?: string): void;
  /** Cuts the connection without a goodbye. */
  cut(): void;
  /** The client has gone. */
  readonly gone: Promise<void>;
}

/** A client's request for a stream, seen from the relay. Nothing is answered before a method is called. */
export interface Stream {
  readonly url: URL;
  readonly headers: IncomingHttpHeaders;
  /** Starts the stream with this text. */
  open(text?: string): void;
  write(text: string): void;
  /** Sends each message as an event. */
  send(...messages: readonly (ServerMessage | Line)[]): void;
  end(): void;
  refuse(status: number, body: unknown, headers?: Record<string, string>): void;
  /** The client has gone, or the stream has ended. */
  readonly gone: Promise<void>;
}

/** A scripted relay. */
export interface ScriptedRelay {
  readonly url: string;
  /** What becomes of an upgrade: `ignore` leaves it without an answer. */
  upgrades: "accept" | "refuse" | "ignore";
  /** Paths asked for, in order. */
  readonly seen: string[];
  nextPeer(): Promise<Peer>;
  nextStream(): Promise<Stream>;
}

/** Starts a relay that ends with the test. */
export async function startRelay(
  upgrades: ScriptedRelay["upgrades"] = "accept",
): Promise<ScriptedRelay> {
  const peers = createQueue<Peer>();
  const streams = createQueue<Stream>();
  const seen: string[] = [];
  const tcp = new Set<TcpSocket>();
  const upgrader = new WebSocketServer({ noServer: true });

  const server = createServer((request, response) => {
    const url = new URL(request.url ?? "/", "http://relay");
    seen.push(url.pathname);
    streams.push(createStream(url, request.headers, response));
  });
  server.on("connection", (socket) => {
    tcp.add(socket);
    socket.on("close", () => tcp.delete(socket));
  });
  server.on("upgrade", (request, socket, head) => {
    const url = new URL(request.url ?? "/", "http://relay");
    seen.push(url.pathname);
    if (relay.upgrades === "refuse")
      socket.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    if (relay.upgrades !== "accept") return;
    upgrader.handleUpgrade(request, socket, head, (accepted) => {
      peers.push(createPeer(url, accepted));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(async () => {
    for (const socket of tcp) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });

  const { port } = server.address() as AddressInfo; // of a TCP server, never a string
  const relay: ScriptedRelay = {
    url: `http://127.0.0.1:${port}`,
    upgrades,
    seen,
    nextPeer: () => peers.next(),
    nextStream: () => streams.next(),
  };
  return relay;
}

function createPeer(url: URL, socket: WebSocket): Peer {
  const messages = createQueue<unknown>();
  socket.on("message", (data) => messages.push(JSON.parse(String(data))));
  return {
    url,
    next: () => messages.next(),
    async answer() {
      await messages.next();
      socket.send('{"type":"pong"}');
    },
    send: (...all) => socket.send(all.map(print).join("\n")),
    close: (code, reason) => socket.close(code, reason),
    cut: () => socket.terminate(),
    gone: new Promise((resolve) => socket.on("close", () => resolve())),
  };
}

function createStream(url: URL, headers: IncomingHttpHeaders, response: ServerResponse): Stream {
  return {
    url,
    headers,
    open(text = ":\n\n") {
      response.writeHead(200, { "Content-Type": "text/event-stream" }).write(text);
    },
    write: (text) => response.write(text),
    send(...all) {
      response.write(all.map((message) => `data: ${print(message)}\n\n`).join(""));
    },
    end: () => response.end(),
    refuse(status, body, extra) {
      response.writeHead(status, extra).end(typeof body === "string" ? body : JSON.stringify(body));
    },
    gone: new Promise((resolve) => response.on("close", () => resolve())),
  };
}
