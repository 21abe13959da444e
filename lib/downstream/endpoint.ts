/**
 * The HTTP side of a SignalR hub: negotiation, the three transports, and the answers that ASP.NET
 * Core gives. What is said on a connection is left to whoever opens it.
 *
 * @see https://github.com/dotnet/aspnetcore/blob/main/src/SignalR/docs/specs/TransportProtocols.md
 */

import type { Upgrade } from "../socket.ts";
import type { AvailableTransport, TransportName } from "../wire/negotiate.ts";
import { DATA, empty, TEXT, text } from "./answer.ts";
import {
  type Connection,
  type ConnectionsOptions,
  createConnections,
  type Identity,
  type Serving,
} from "./connections.ts";
import { createForwarder, type Errand, type ForwarderOptions } from "./forward.ts";
import type { HubTransport } from "./hub.ts";
import { wrapFor } from "./hub-format.ts";
import { createPollSink, POLL_HEADERS } from "./polling.ts";
import { post, remove } from "./post.ts";
import { canReattach, createSockets, type SocketOptions } from "./reattach.ts";
import { queryOf, transportOf } from "./request.ts";
import { createStreamSink } from "./stream-sink.ts";

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
}

export type EndpointLimits = ConnectionsOptions["limits"] &
  SocketOptions["limits"] & {
    /** Connections here, those included that have only posted so far; more are answered 503. */
    readonly connections: number;
    /** A poll is answered without data after this; 90,000 ms. */
    readonly pollTimeoutMs: number;
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

  const forwarder =
    options.forwarding &&
    createForwarder({ ...options.forwarding, ...options, connections, answer, missing, turnAway });

  async function handle(request: Request, bindings: Bindings): Promise<Response> {
    const { method, signal } = request;
    if (method !== "GET" && method !== "POST" && method !== "DELETE") return empty(405, TEXT);
    const { upgrade, address } = bindings;
    const wanted = method === "GET" ? transportOf(request, upgrade !== undefined) : undefined;
    const ids = queryOf(request, "id");
    if (ids.length === 0 || (ids.length === 1 && ids[0] === "")) {
      if (wanted !== "WebSockets" || !upgrade) {
        return text(400, "Connection ID required", headersFor(wanted));
      }
      if (!transports.includes(wanted)) return unsupported(wanted);
      const serving = await options.serve({ identity: undefined, request, address });
      if (serving instanceof Response) return serving;
      return sockets.open(connections.create(undefined), serving, upgrade);
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
    if (kind === "polling") return openPolling(connection, serving);
    if (kind === "sse") return openEvents(connection, serving);
    return upgrade ? sockets.open(connection, serving, upgrade) : empty(405, TEXT);
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

  function openEvents(connection: Connection, serving: Serving): Response {
    const sink = createStreamSink(() => connections.give(connection));
    const transport: HubTransport = {
      kind: "sse",
      sink,
      wrap: wrapFor("sse"),
      close() {
        connections.retire(connection);
        connections.close(connection);
        sink.close();
      },
    };
    sink.send(":\r\n"); // at once: makes EventSource open
    connections.start(connection, serving, transport);
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

  function openPolling(connection: Connection, serving: Serving): Response {
    const sink = createPollSink({
      clock,
      wheel,
      pollTimeoutMs: limits.pollTimeoutMs,
      onPoll: () => connection.expiry?.cancel(),
      onAnswered() {
        if (connections.get(connection.identity.id)) connections.expire(connection);
      },
      onEnd: () => connections.retire(connection),
    });
    connection.poll = sink;
    const transport: HubTransport = {
      kind: "polling",
      sink,
      wrap: wrapFor("polling"),
      close() {
        connections.close(connection);
        sink.finish();
      },
    };
    connections.start(connection, serving, transport);
    connections.expire(connection);
    return empty(200, { ...POLL_HEADERS, ...DATA });
  }

  return { handle };
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
