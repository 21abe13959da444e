/**
 * An origin that numbers the publications of each of its topics and keeps the books: what was
 * published, when nobody could have heard it, and how many joins waited at one time.
 */

import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { type WebSocket, WebSocketServer } from "ws";
import { RECORD_SEPARATOR } from "../support/signalr-client.ts";

/** A topic was not joined for a while. */
export interface Absence {
  /** Whether the relay left it, or the connection was lost. */
  readonly cause: "leave" | "break";
  /** The topic's newest number when it began, and when it ended; `undefined` while it lasts. */
  readonly from: number;
  to: number | undefined;
}

/** Since the origin was started last. */
export interface JoinCount {
  /** Answered. */
  total: number;
  /** Not answered yet. */
  open: number;
  /** Most that were open at one time. */
  most: number;
}

export interface NumberingHub {
  readonly url: string;
  readonly joins: JoinCount;
  /** Publishes the next number of a topic `{kind}/{id}`. @param more fields beside `id` and `number` */
  publish(topic: string, more?: Readonly<Record<string, unknown>>): void;
  /** The newest number of a topic; 0 before the first. */
  number(topic: string): number;
  /** When nobody heard a topic, from its first join on. */
  absences(topic: string): readonly Absence[];
  /** Cuts every connection without a goodbye. */
  cut(): void;
  /** Cuts every connection and listens no more. Numbers go on. */
  stop(): Promise<void>;
  /** Listens again, at the same port. */
  start(): Promise<void>;
}

interface Topic {
  number: number;
  readonly joined: Set<WebSocket>;
  readonly absences: Absence[];
}

interface Call {
  readonly type: number;
  readonly protocol?: string;
  readonly invocationId?: string;
  readonly target: string;
  readonly arguments: readonly unknown[];
}

/** Below the 30 s after which a relay gives a silent origin up. */
const PING_MS = 10_000;

/**
 * Starts an origin with the methods `Join(kind, id)`, `Leave(kind, id)` and `State(kind, id)`, which
 * returns `{"number"}`. It pushes `{"id", "number"}` with the kind for a target.
 * @param joinMs how long a join takes
 */
export async function startNumberingHub({ joinMs = 0 } = {}): Promise<NumberingHub> {
  const topics = new Map<string, Topic>();
  const joins: JoinCount = { total: 0, open: 0, most: 0 };
  let server: Server;
  let sockets: WebSocketServer;
  let port = 0;

  function topicOf(name: string): Topic {
    let topic = topics.get(name);
    if (!topic) {
      topic = { number: 0, joined: new Set(), absences: [] };
      topics.set(name, topic);
    }
    return topic;
  }

  async function join(socket: WebSocket, topic: Topic): Promise<void> {
    joins.most = Math.max(joins.most, ++joins.open);
    await new Promise((resolve) => setTimeout(resolve, joinMs));
    if (socket.readyState !== socket.OPEN) return; // it is not among the open ones any more
    joins.open--;
    joins.total++;
    const absence = topic.absences.at(-1);
    if (absence) absence.to ??= topic.number;
    topic.joined.add(socket);
  }

  function leave(socket: WebSocket, topic: Topic, cause: Absence["cause"]): void {
    if (!topic.joined.delete(socket) || topic.joined.size > 0) return;
    topic.absences.push({ cause, from: topic.number, to: undefined });
  }

  async function answer(socket: WebSocket, call: Call): Promise<void> {
    const topic = topicOf(call.arguments.join("/"));
    let result = "null";
    if (call.target === "Join") await join(socket, topic);
    else if (call.target === "Leave") leave(socket, topic, "leave");
    else result = `{"number":${topic.number}}`;
    write(socket, `{"type":3,"invocationId":"${call.invocationId}","result":${result}}`);
  }

  function accept(socket: WebSocket): void {
    const pings = setInterval(() => write(socket, '{"type":6}'), PING_MS);
    socket.on("error", () => {}); // a close follows
    socket.on("close", () => {
      clearInterval(pings);
      joins.open = 0; // the relay has one connection
      for (const topic of topics.values()) leave(socket, topic, "break");
    });
    socket.on("message", (data) => {
      for (const record of String(data).split(RECORD_SEPARATOR).slice(0, -1)) {
        const message = JSON.parse(record) as Call; // of our own relay
        if (message.protocol) write(socket, "{}");
        else if (message.type === 1) void answer(socket, message);
      }
    });
  }

  async function start(): Promise<void> {
    Object.assign(joins, { total: 0, open: 0, most: 0 });
    server = createServer((_, response) => {
      const id = crypto.randomUUID();
      const transports = [{ transport: "WebSockets", transferFormats: ["Text", "Binary"] }];
      const ids = { connectionId: id, connectionToken: id };
      const body = { negotiateVersion: 1, ...ids, availableTransports: transports };
      response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(body));
    });
    sockets = new WebSocketServer({ server, perMessageDeflate: false });
    sockets.on("connection", accept);
    await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
    ({ port } = server.address() as AddressInfo); // of a TCP server, never a string
  }

  function cut(): void {
    for (const socket of sockets.clients) socket.terminate();
  }

  await start();
  return {
    url: `http://127.0.0.1:${port}/hubs/load`,
    joins,
    publish(name, more = {}) {
      const topic = topicOf(name);
      const [kind, id] = name.split("/");
      const argument = JSON.stringify({ id: Number(id), number: ++topic.number, ...more });
      for (const socket of topic.joined) {
        write(socket, `{"type":1,"target":"${kind}","arguments":[${argument}]}`);
      }
    },
    number: (name) => topics.get(name)?.number ?? 0,
    absences: (name) => topics.get(name)?.absences ?? [],
    cut,
    start,
    async stop() {
      cut();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function write(socket: WebSocket, record: string): void {
  socket.send(record + RECORD_SEPARATOR);
}
