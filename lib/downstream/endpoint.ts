/**
 * The HTTP side of a SignalR hub: negotiation, the three transports, and the answers that ASP.NET
 * Core gives. What is said on a connection is left to whoever opens it.
 *
 * @see https://github.com/dotnet/aspnetcore/blob/main/src/SignalR/docs/specs/TransportProtocols.md
 */

import type { Cut, Frame, Upgrade } from "../socket.ts";
import type { Raw } from "../wire/hub.ts";
import type { AvailableTransport, TransportName } from "../wire/negotiate.ts";
import { empty, TEXT, text } from "./answer.ts";
import {
  type Connection,
  type Connections,
  type ConnectionsOptions,
  createConnections,
  type Identity,
} from "./connections.ts";
import { createForwarder, type Errand, type ForwarderOptions } from "./forward.ts";
import type { HubTransport, Serving } from "./hub.ts";
import { printHubEvent } from "./hub-format.ts";
import { openPolling, POLL_HEADERS, type PollingOptions } from "./polling.ts";
import { post, remove } from "./post.ts";
import { canReattach, createSockets, type SocketOptions } from "./reattach.ts";
import { queryOf, transportOf } from "./request.ts";
import { createStreamSink, type StreamSink } from "./stream-sink.ts";

/** Who asks for a transport, and with what. */
export interface Claim {
  /** What `identify` made of the token; `undefined` when there was none (a WebSocket without negotiation). */
  readonly identity: Identity | undefined;
  readonly request: Request;
  /** Of the client. */
  readonly address: string | undefined;
}

/** What the runtime gives beside a request. */
export interface Bindings {
  /** Present when the request asks for a WebSocket, as `asksForWebSocket` tells. */
  readonly upgrade: Upgrade | undefined;
  /** Of the client, where the runtime tells. */
  readonly address?: string | undefined;
  /** Absent where the runtime has no such thing. */
  readonly cut?: Cut | undefined;
}

export type EndpointLimits = ConnectionsOptions["limits"] &
  SocketOptions["limits"] &
  PollingOptions["limits"] & {
    /** Connections here, those included that have only posted so far; more are answered 503. */
    readonly connections: number;
  };

export interface EndpointOptions extends ConnectionsOptions {
  readonly limits: EndpointLimits;
  readonly transports: readonly TransportName[];
  /** Reads a token; `undefined` when it is none of ours. */
  identify(token: string): Promise<Identity | undefined>;
  /** @returns an answer instead, when the client must not connect */
  serve(claim: Claim): Serving | Response | Promise<Serving | Response>;
  /** Called before a client is turned away for want of room: throws what it is told beside 503. */
  onFull?(): void;
  /** Where there are other isolates that clients may reach. */
  readonly forwarding?: Pick<ForwarderOptions, "bus" | "name"> | undefined;
}

/** What is offered in a negotiation, in the order of preference. */
export const TRANSPORTS: readonly AvailableTransport[] = [
  { transport: "WebSockets", transferFormats: ["Text", "Binary"] },
  { transport: "ServerSentEvents", transferFormats: ["Text"] },
  { transport: "LongPolling", transferFormats: ["Text", "Binary"] },
];

export interface Endpoint {
  /** Answers `GET`, `POST` and `DELETE` of the hub's path. */
  handle(request: Request, bindings: Bindings): Promise<Response>;
}

export function createEndpoint(options: EndpointOptions): Endpoint {
  const { clock, wheel, limits, identify, transports } = options;
  const connections = createConnections(options);
  const sockets = createSockets({ connections, wheel, limits });
  const polling: PollingOptions = { connections, clock, wheel, limits };

  const forwarder =
    options.forwarding &&
    createForwarder({ ...options.forwarding, ...options, connections, answer, missing, turnAway });

  async function handle(request: Request, bindings: Bindings): Promise<Response> {
    const { method, signal } = request;
    if (method !== "GET" && method !== "POST" && method !== "DELETE") return empty(405, TEXT);
    const { upgrade, address, cut } = bindings;
    const wanted = method === "GET" ? transportOf(request, upgrade !== undefined) : undefined;
    const ids = queryOf(request, "id");
    if (ids.length === 0 || (ids.length === 1 && ids[0] === "")) {
      if (wanted !== "WebSockets" || !upgrade) {
        return text(400, "Connection ID required", headersFor(wanted));
      }
      if (!transports.includes(wanted)) return unsupported(wanted);
      const serving = await options.serve({ identity: undefined, request, address });
      if (serving instanceof Response) return serving;
      const connection = connections.create(undefined);
      connection.serving = serving;
      return sockets.open(connection, upgrade);
    }
    const identity = ids.length === 1 ? await identify(ids[0] as string) : undefined;
    if (!identity) return missing(wanted);
    const body = request.body ?? undefined;
    const bodyBytes = Number(request.headers.get("content-length") ?? Number.NaN);
    const errand: Errand = { identity, method, wanted, body, bodyBytes, upgrade, signal };
    const answered = await forwarder?.forward(errand);
    if (answered) return answered;
    const known = connections.get(identity.id);
    if (!known && !connections.isClaimable(identity)) return missing(wanted);
    if (!known && connections.size >= limits.connections) return turnAway();
    if (!wanted || known?.kind || !transports.includes(wanted)) return answer(errand, known);
    const connection = known ?? connections.create(identity);
    const kind = KINDS[wanted];
    connection.kind = kind; // at once: a second request meanwhile must not open it twice
    const serving = await options.serve({ identity, request, address });
    if (serving instanceof Response) {
      connections.retire(connection);
      return serving;
    }
    connection.serving = serving;
    if (kind === "polling") return openPolling(connection, polling);
    if (kind === "sse") return openEvents(connection, cut);
    return upgrade ? sockets.open(connection, upgrade) : empty(405, TEXT);
  }

  /** Answers all but the GET that opens a connection. */
  function answer(
    { identity, method, wanted, body, upgrade, signal }: Errand,
    known: Connection | undefined,
  ): Promise<Response> | Response {
    if (method === "POST") return post(connections, known ?? connections.create(identity), body);
    if (method === "DELETE") return remove(connections, known, clock);
    if (!wanted || !transports.includes(wanted)) return unsupported(wanted);
    if (known?.kind !== KINDS[wanted]) {
      return text(400, "Cannot change transports mid-connection", headersFor(wanted));
    }
    // Before its first poll has been answered there is none to follow.
    if (known.kind === "polling") return known.poll?.poll(signal) ?? empty(409, TEXT);
    return upgrade && canReattach(known) ? sockets.reattach(known, upgrade) : empty(409, TEXT);
  }

  function turnAway(): Response {
    options.onFull?.();
    return empty(503, TEXT);
  }

  function openEvents(connection: Connection, cut: Cut | undefined): Response {
    const sink = createStreamSink(() => connections.give(connection), { wheel, cut });
    sink.send(":\r\n"); // at once: makes EventSource open
    connections.start(connection, new EventStream(connections, connection, sink));
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

  return { handle };
}

/** What carries a connection over Server-Sent Events. A class, as there is one for each. */
class EventStream implements HubTransport {
  readonly kind = "sse";
  readonly sink: StreamSink;
  readonly #connections: Connections;
  readonly #connection: Connection;

  constructor(connections: Connections, connection: Connection, sink: StreamSink) {
    this.#connections = connections;
    this.#connection = connection;
    this.sink = sink;
  }

  wrap(messages: Raw): Frame {
    return printHubEvent(messages);
  }

  close(): void {
    this.#connections.retire(this.#connection);
    this.#connections.close(this.#connection);
    this.sink.close();
  }
}

const KINDS: Readonly<Record<TransportName, HubTransport["kind"]>> = {
  WebSockets: "websocket",
  ServerSentEvents: "sse",
  LongPolling: "polling",
};

function headersFor(wanted: TransportName | undefined): Record<string, string> {
  return wanted === "LongPolling" ? { ...TEXT, ...POLL_HEADERS } : TEXT;
}

function missing(wanted: TransportName | undefined): Response {
  return text(404, "No Connection with that ID", wanted === "WebSockets" ? {} : headersFor(wanted));
}

function unsupported(wanted: TransportName | undefined): Response {
  const reason = `${wanted} transport not supported by this end point type`;
  return text(404, reason, headersFor(wanted));
}
