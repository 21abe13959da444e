/**
 * The HTTP side of a SignalR hub: negotiation, the three transports, and the answers that ASP.NET
 * Core gives. What is said on a connection is left to whoever opens it.
 *
 * @see https://github.com/dotnet/aspnetcore/blob/main/src/SignalR/docs/specs/TransportProtocols.md
 */

import type { Clock, Timer } from "../clock.ts";
import type { Sink } from "../fanout/sink.ts";
import type { Frame, Socket, SocketHandler, Upgrade } from "../socket.ts";
import type { Wheel } from "../wheel.ts";
import type { HubProtocol, Raw } from "../wire/hub.ts";
import type { AvailableTransport, TransportName } from "../wire/negotiate.ts";
import { empty, TEXT, text } from "./answer.ts";
import {
  createHubReceiver,
  type HubClose,
  type HubLimits,
  type HubReceiver,
  type HubReceiverOptions,
  type HubTransport,
} from "./hub.ts";
import { wrapFor } from "./hub-format.ts";
import { createPollSink, POLL_HEADERS, type PollSink } from "./polling.ts";
import { queryOf, transportOf } from "./request.ts";
import { createStatefulBuffer, type StatefulBuffer } from "./stateful.ts";
import { createStreamSink } from "./stream-sink.ts";

/** Who asks for a transport, and with what. */
export interface Claim {
  /** What `identify` made of the token; `undefined` when there was none (a WebSocket without negotiation). */
  readonly identity: Identity | undefined;
  readonly request: Request;
  /** Of the client. */
  readonly address: string | undefined;
}

/** What a connection token says. */
export interface Identity {
  /** Names the connection here. */
  readonly id: string;
  /** When it was negotiated, Unix ms. */
  readonly issuedAt: number;
  /** Whether stateful reconnect was agreed on. */
  readonly stateful: boolean;
  /** The origin's own token, when the client's negotiation was the origin's. */
  readonly origin: string | undefined;
}

/** Who listens to a new connection. */
export type Serving = Pick<HubReceiverOptions, "prepare" | "abandon" | "open">;

/** What the runtime gives beside a request. */
export interface Bindings {
  /** Present when the request asks for a WebSocket, as `asksForWebSocket` tells. */
  readonly upgrade: Upgrade | undefined;
  /** Of the client, where the runtime tells. */
  readonly address?: string | undefined;
}

export interface EndpointLimits extends HubLimits {
  /** Connections here, those included that have only posted so far; more are answered 503. */
  readonly connections: number;
  /** A poll is answered without data after this; 90,000 ms. */
  readonly pollTimeoutMs: number;
  /** An unclaimed negotiation, a missing poll and a lost stateful socket are given up after this; 15,000 ms. */
  readonly disconnectTimeoutMs: number;
  /** How long an old socket may take to go when its client has come back on another; 5,000 ms. */
  readonly closeTimeoutMs: number;
  /** What may be kept for a stateful client that has not acknowledged it, bytes. */
  readonly statefulBytes: number;
}

export interface EndpointOptions {
  readonly clock: Clock;
  readonly wheel: Wheel;
  readonly limits: EndpointLimits;
  readonly protocols: readonly HubProtocol<Raw>[];
  readonly transports: readonly TransportName[];
  /** Reads a token; `undefined` when it is none of ours. */
  identify(token: string): Promise<Identity | undefined>;
  /** @returns an answer instead, when the client must not connect */
  serve(claim: Claim): Serving | Response | Promise<Serving | Response>;
  onOpened(connection: Opened): void;
  onClosed(connection: Opened): void;
  /** Bytes came from a client. */
  onReceived(bytes: number): void;
}

/** A client that has a transport. */
export interface Opened {
  readonly kind: HubTransport["kind"];
  close(close: HubClose): void;
}

/** What is offered in a negotiation, in the order of preference. */
export const TRANSPORTS: readonly AvailableTransport[] = [
  { transport: "WebSockets", transferFormats: ["Text", "Binary"] },
  { transport: "ServerSentEvents", transferFormats: ["Text"] },
  { transport: "LongPolling", transferFormats: ["Text", "Binary"] },
];

/** One connection: everything between its first request and its end. */
interface Connection {
  readonly identity: Identity;
  kind: HubTransport["kind"] | undefined;
  receiver: HubReceiver | undefined;
  opened: Opened | undefined;
  /** What was posted before there was a transport. */
  early: Uint8Array[];
  earlyBytes: number;
  /** Posts are taken one after the other. */
  posts: Promise<unknown>;
  /** Gives it up when nobody comes. */
  expiry: Timer | undefined;
  poll: PollSink | undefined;
  link: Link | undefined;
}

export interface Endpoint {
  /** Answers `GET`, `POST` and `DELETE` of the hub's path. */
  handle(request: Request, bindings: Bindings): Promise<Response>;
}

const EARLY_BYTES = 65_536;

export function createEndpoint(options: EndpointOptions): Endpoint {
  const { clock, wheel, limits, identify, transports } = options;
  const connections = new Map<string, Connection>();
  /** Connections that are over, until their token is too old to be claimed again. */
  const retired = new Set<string>();

  async function handle(request: Request, bindings: Bindings): Promise<Response> {
    const { method } = request;
    if (method !== "GET" && method !== "POST" && method !== "DELETE") return empty(405, TEXT);
    const { upgrade, address } = bindings;
    const wanted = method === "GET" ? transportOf(request, upgrade !== undefined) : undefined;
    const headers = wanted === "LongPolling" ? { ...TEXT, ...POLL_HEADERS } : TEXT;
    const ids = queryOf(request, "id");
    if (ids.length === 0 || (ids.length === 1 && ids[0] === "")) {
      if (wanted !== "WebSockets" || !upgrade) return text(400, "Connection ID required", headers);
      if (!transports.includes(wanted)) return unsupported(wanted, headers);
      const serving = await options.serve({ identity: undefined, request, address });
      if (serving instanceof Response) return serving;
      return openSocket(createConnection(undefined), serving, upgrade);
    }
    const identity = ids.length === 1 ? await identify(ids[0] as string) : undefined;
    const known = identity && connections.get(identity.id);
    const claimable =
      identity !== undefined &&
      !retired.has(identity.id) &&
      clock.now() - identity.issuedAt < limits.disconnectTimeoutMs;
    if (!known && !claimable) {
      return text(404, "No Connection with that ID", wanted === "WebSockets" ? {} : headers);
    }
    if (!known && connections.size >= limits.connections) return empty(503, TEXT);
    if (method === "POST") return post(known ?? createConnection(identity), request);
    if (method === "DELETE") return remove(known);
    if (!wanted) return empty(405, TEXT);
    if (!transports.includes(wanted)) return unsupported(wanted, headers);
    const kind = KINDS[wanted];
    if (known?.kind && known.kind !== kind) {
      return text(400, "Cannot change transports mid-connection", headers);
    }
    if (known?.kind) {
      // Before its first poll has been answered there is none to follow.
      if (kind === "polling") return known.poll?.poll(request.signal) ?? empty(409, TEXT);
      if (known.link && canReattach(known) && upgrade) {
        return reattach(known, known.link, upgrade);
      }
      return empty(409, TEXT);
    }
    const connection = known ?? createConnection(identity);
    connection.kind = kind; // at once: a second request meanwhile must not open it twice
    const serving = await options.serve({ identity, request, address });
    if (serving instanceof Response) {
      retire(connection);
      return serving;
    }
    if (kind === "polling") return openPolling(connection, serving);
    if (kind === "sse") return openEvents(connection, serving);
    return upgrade ? openSocket(connection, serving, upgrade) : empty(405, TEXT);
  }

  function createConnection(identity: Identity | undefined): Connection {
    const connection: Connection = {
      identity: identity ?? {
        id: crypto.randomUUID(),
        issuedAt: clock.now(),
        stateful: false,
        origin: undefined,
      },
      kind: undefined,
      receiver: undefined,
      opened: undefined,
      early: [],
      earlyBytes: 0,
      posts: Promise.resolve(),
      expiry: undefined,
      poll: undefined,
      link: undefined,
    };
    connections.set(connection.identity.id, connection);
    expire(connection);
    return connection;
  }

  /** Gives a connection up unless somebody comes for it in time. */
  function expire(connection: Connection): void {
    connection.expiry?.cancel();
    connection.expiry = wheel.after(limits.disconnectTimeoutMs, () => give(connection));
  }

  function retire(connection: Connection): void {
    const { id, issuedAt } = connection.identity;
    connection.expiry?.cancel();
    if (!connections.delete(id)) return;
    const leftMs = issuedAt + limits.disconnectTimeoutMs - clock.now();
    if (leftMs <= 0) return;
    retired.add(id);
    wheel.after(leftMs, () => retired.delete(id));
  }

  /** Puts a receiver behind a transport, and gives it what was posted before. */
  function start(
    connection: Connection,
    serving: Serving,
    transport: HubTransport,
    stateful?: StatefulBuffer,
  ): HubReceiver {
    const { kind } = transport;
    const receiver = createHubReceiver({
      transport,
      protocols: options.protocols,
      wheel,
      now: clock.now,
      limits,
      stateful,
      ...serving,
    });
    connection.receiver = receiver;
    connection.kind = kind;
    connection.expiry?.cancel();
    connection.opened = { kind, close: receiver.close };
    options.onOpened(connection.opened);
    const { early } = connection;
    connection.early = [];
    for (const chunk of early) receiver.receive(chunk);
    return receiver;
  }

  function closed(connection: Connection): void {
    const { opened } = connection;
    connection.opened = undefined;
    if (opened) options.onClosed(opened);
  }

  /** Its client has gone without a word. */
  function give(connection: Connection): void {
    connection.receiver?.gone();
    retire(connection);
    closed(connection);
  }

  function receive(connection: Connection, chunk: Frame): void {
    options.onReceived(chunk.length);
    connection.receiver?.receive(chunk);
  }

  // WebSockets

  function openSocket(connection: Connection, serving: Serving, upgrade: Upgrade): Response {
    return upgrade((socket) => {
      const { identity } = connection;
      const buffer = identity.stateful
        ? createStatefulBuffer({ maxBytes: limits.statefulBytes })
        : undefined;
      const link: Link = { socket, buffer, onGone: undefined };
      connection.link = link;
      const sink: Sink = {
        send(frame, messages = 0) {
          if (buffer && messages > 0 && connection.receiver?.isStateful) {
            if (!buffer.append(frame, messages)) overflow(connection, link, buffer);
          }
          return link.socket?.send(frame) ?? true;
        },
        get bufferedBytes() {
          return link.socket?.bufferedBytes ?? 0;
        },
      };
      const transport: HubTransport = {
        kind: "websocket",
        sink,
        wrap: wrapFor("websocket"),
        close() {
          // Retired first: a stateful client that is told to come back must not find the old one.
          retire(connection);
          closed(connection);
          link.socket?.close(1000);
        },
      };
      start(connection, serving, transport, buffer);
      return handlerOf(connection, link, socket);
    });
  }

  /** More is kept for a stateful client than may be. */
  function overflow(connection: Connection, link: Link, buffer: StatefulBuffer): void {
    // Whether one that is there keeps up is seen at its socket: all it loses is its way back.
    if (link.socket) buffer.forget();
    else give(connection);
  }

  function handlerOf(connection: Connection, link: Link, socket: Socket): SocketHandler {
    return {
      message(frame) {
        if (link.socket === socket) receive(connection, frame);
      },
      close(code) {
        if (link.socket !== socket) return; // another one has taken its place
        link.socket = undefined;
        if (link.onGone) return link.onGone(code);
        if (!connections.has(connection.identity.id)) return;
        // A socket that was closed was meant to be; one that broke may come back.
        if (code === BROKEN && canReattach(connection)) expire(connection);
        else give(connection);
      },
    };
  }

  /** A client has lost its socket, and comes back with another. */
  async function reattach(connection: Connection, link: Link, upgrade: Upgrade): Promise<Response> {
    link.onGone?.(undefined); // of two that wait, the client means the last
    const old = link.socket;
    if (old) {
      const code = await new Promise<number | undefined>((resolve) => {
        link.onGone = resolve;
        old.close(1000);
        wheel.after(limits.closeTimeoutMs, () => resolve(BROKEN));
      });
      if (code === undefined) return empty(409, TEXT);
      link.onGone = undefined;
      link.socket = undefined;
      // Whoever was there to answer has closed on purpose: that was the end of the connection.
      if (code !== BROKEN) {
        give(connection);
        return empty(404, TEXT);
      }
    }
    return upgrade((socket) => {
      connection.expiry?.cancel();
      link.socket = socket;
      connection.receiver?.resume();
      return handlerOf(connection, link, socket);
    });
  }

  // Server-Sent Events

  function openEvents(connection: Connection, serving: Serving): Response {
    const sink = createStreamSink(() => give(connection));
    const transport: HubTransport = {
      kind: "sse",
      sink,
      wrap: wrapFor("sse"),
      close() {
        retire(connection);
        closed(connection);
        sink.close();
      },
    };
    sink.send(":\r\n"); // at once: makes EventSource open
    start(connection, serving, transport);
    return new Response(sink.body, {
      headers: {
        "content-type": "text/event-stream",
        "cache-control": "no-cache,no-store",
        "content-encoding": "identity",
        pragma: "no-cache",
        "x-accel-buffering": "no", // nginx buffers unless it is told not to
      },
    });
  }

  // Long polling

  function openPolling(connection: Connection, serving: Serving): Response {
    const sink = createPollSink({
      clock,
      wheel,
      pollTimeoutMs: limits.pollTimeoutMs,
      onPoll: () => connection.expiry?.cancel(),
      onAnswered() {
        if (connections.has(connection.identity.id)) expire(connection);
      },
      onEnd: () => retire(connection),
    });
    connection.poll = sink;
    const transport: HubTransport = {
      kind: "polling",
      sink,
      wrap: wrapFor("polling"),
      close() {
        closed(connection);
        sink.finish();
      },
    };
    start(connection, serving, transport);
    expire(connection);
    return empty(200, { ...POLL_HEADERS, "content-type": "application/octet-stream" });
  }

  // What clients send on requests of their own

  function post(connection: Connection, request: Request): Promise<Response> | Response {
    if (connection.kind === "websocket") {
      return text(405, "POST requests are not allowed for WebSocket connections.", TEXT);
    }
    const answer = connection.posts.then(async () => {
      try {
        for await (const chunk of request.body ?? []) {
          if (connection.receiver) receive(connection, chunk);
          else if (!keep(connection, chunk)) return empty(413, TEXT);
        }
      } catch {
        return empty(400, TEXT); // the body broke off; what came before counts
      }
      return empty(200, TEXT);
    });
    connection.posts = answer;
    return answer;
  }

  function keep(connection: Connection, chunk: Uint8Array): boolean {
    connection.earlyBytes += chunk.length;
    if (connection.earlyBytes > EARLY_BYTES) return false;
    connection.early.push(chunk.slice()); // the runtime may use its buffer again
    return true;
  }

  function remove(connection: Connection | undefined): Response {
    if (connection?.kind !== "polling" || !connection.receiver) {
      return text(400, "Cannot terminate this connection using the DELETE endpoint.", TEXT);
    }
    connection.receiver.close({ allowReconnect: true });
    // A poll that waits is told so; without one there is nobody left to tell.
    clock.soon(() => retire(connection));
    return empty(202, TEXT);
  }

  return { handle };
}

/** The socket of a WebSocket connection; a stateful one may change it. */
interface Link {
  socket: Socket | undefined;
  /** Of a connection that may change it. */
  readonly buffer: StatefulBuffer | undefined;
  /**
   * Set while a newer socket waits for the old one to go; called with its close code, or without
   * one when an even newer socket waits.
   */
  onGone: ((code: number | undefined) => void) | undefined;
}

function canReattach({ receiver, link }: Connection): boolean {
  return receiver?.isStateful === true && link?.buffer?.canResend === true;
}

/** The code of a socket that went without a close frame. */
const BROKEN = 1006;

const KINDS: Readonly<Record<TransportName, HubTransport["kind"]>> = {
  WebSockets: "websocket",
  ServerSentEvents: "sse",
  LongPolling: "polling",
};

function unsupported(transport: TransportName, headers: Record<string, string>): Response {
  return text(404, `${transport} transport not supported by this end point type`, headers);
}
