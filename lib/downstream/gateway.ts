/**
 * The SignalR endpoint of one hub: negotiation on the client's behalf or by ourselves, and behind
 * each connection the meaning of its messages and, where it has one, its private lane.
 */

import type { Hub } from "../relay.ts";
import { readClientRequest } from "../upstream/client.ts";
import type { Lane, LaneListener, PrivateLanes } from "../upstream/private.ts";
import type { HubProtocol, Raw } from "../wire/hub.ts";
import {
  parseNegotiateVersion,
  printNegotiateResponse,
  type TransportName,
} from "../wire/negotiate.ts";
import { type Admission, unavailableResponse } from "./admission.ts";
import type { Context } from "./context.ts";
import {
  type Bindings,
  type Claim,
  createEndpoint,
  type EndpointLimits,
  type Opened,
  queryOf,
  type Serving,
  TRANSPORTS,
} from "./endpoint.ts";
import { PROTOCOLS } from "./hub-format.ts";
import type { Session } from "./sessions.ts";
import { serveSignalR } from "./signalr.ts";
import type { Tokens } from "./token.ts";

export interface GatewayOptions {
  readonly context: Context;
  readonly hub: Hub;
  readonly lanes: PrivateLanes;
  readonly tokens: Tokens;
  /** Who may watch. */
  readonly admission: Admission;
  readonly limits: EndpointLimits;
  readonly transports: readonly TransportName[];
  /** Whether clients may agree on stateful reconnect. */
  readonly stateful: boolean;
}

export interface Gateway {
  /** Answers `{hub}/negotiate`. */
  negotiate(request: Request, bindings: Bindings): Promise<Response>;
  /** Answers `{hub}`. */
  handle(request: Request, bindings: Bindings): Promise<Response>;
}

const SESSION_TRANSPORTS = {
  websocket: "signalr-websocket",
  sse: "signalr-sse",
  polling: "signalr-polling",
} as const;

export function createGateway(options: GatewayOptions): Gateway {
  const { context, hub, lanes, tokens, admission, limits, transports } = options;
  const { stats, sessions, clock, wheel } = context;
  const isEager = hub.spec.privateLane === "eager";
  const isOff = hub.spec.privateLane === "off";
  const open = new Map<Opened, Session>();

  const endpoint = createEndpoint({
    clock,
    wheel,
    limits,
    protocols: Object.values(PROTOCOLS),
    transports,
    identify: tokens.read,
    serve,
    onOpened(connection) {
      const session: Session = {
        transport: SESSION_TRANSPORTS[connection.kind],
        // When to come back cannot be said; stock clients have their own delays.
        drain: () => connection.close({ allowReconnect: true }),
      };
      open.set(connection, session);
      sessions.add(session);
    },
    onClosed(connection) {
      const session = open.get(connection);
      if (session) sessions.remove(session);
      open.delete(connection);
    },
    onReceived(bytes) {
      stats.receivedBytes += bytes;
    },
  });

  async function negotiate(request: Request, { address }: Bindings): Promise<Response> {
    if (request.method !== "POST") {
      return new Response(null, { status: 405, headers: { "content-type": "text/plain" } });
    }
    const negotiateVersion = parseNegotiateVersion(queryOf(request, "negotiateVersion"));
    if (typeof negotiateVersion === "object") return json(JSON.stringify(negotiateVersion), []);
    const wanted = queryOf(request, "useStatefulReconnect");
    const stateful = options.stateful && wanted.length === 1 && wanted[0]?.toLowerCase() === "true";
    const admitted = await admit(request, address);
    if (admitted instanceof Response) return admitted;
    const { connectionId, origin, cookies } = admitted;
    const connectionToken = await tokens.issue({ stateful, origin });
    const body = printNegotiateResponse({
      negotiateVersion,
      // Version 0 knows no token: its clients put the id into the URL.
      connectionId: negotiateVersion === 0 ? connectionToken : connectionId,
      connectionToken,
      useStatefulReconnect: stateful,
      availableTransports: TRANSPORTS.filter(({ transport }) => transports.includes(transport)),
    });
    return json(body, cookies);
  }

  /** Has the origin judge a client: by a negotiation for its own connection, or by one for all like it. */
  async function admit(
    request: Request,
    address: string | undefined,
  ): Promise<
    Response | { connectionId: string; origin: string | undefined; cookies: readonly string[] }
  > {
    const client = readClientRequest(request, address);
    if (isEager) {
      const negotiated = await lanes.negotiate(client);
      if (negotiated.type === "refused") return negotiated.response;
      if (negotiated.type === "unavailable") return unavailableResponse();
      const { connectionId, connectionToken } = negotiated.offer;
      return { connectionId, origin: connectionToken ?? connectionId, cookies: negotiated.cookies };
    }
    const refusal = await admission.refuse(request);
    return refusal ?? { connectionId: createId(), origin: undefined, cookies: [] };
  }

  async function serve({ identity, request, address }: Claim): Promise<Serving | Response> {
    let origin = identity?.origin;
    if (!identity) {
      const admitted = await admit(request, address);
      if (admitted instanceof Response) return admitted;
      origin = admitted.origin;
    }
    const client = readClientRequest(request, address);
    let lane: Lane | undefined;
    // What comes over the private lane before the client's handshake has been answered.
    let listener: LaneListener | undefined;
    let early: ((listener: LaneListener) => void)[] = [];
    const tell = (event: (listener: LaneListener) => void) => {
      if (listener) event(listener);
      else early.push(event);
    };
    const createLane = (protocol: HubProtocol<Raw>) =>
      lanes.createLane(client, protocol, origin, {
        onMessage: (message, record) => tell((to) => to.onMessage(message, record)),
        onEnd: (close) => tell((to) => to.onEnd(close)),
        onRefused: (ids, reason) => tell((to) => to.onRefused(ids, reason)),
      });
    return {
      prepare(protocol) {
        if (!isEager) return undefined;
        lane = createLane(protocol);
        return lane.open();
      },
      abandon: () => lane?.close(),
      open(connection) {
        if (!isOff) lane ??= createLane(connection.protocol);
        const served = serveSignalR(context, hub, lane, connection);
        listener = served.lane;
        const events = early;
        early = [];
        // Behind the handshake's answer, and behind whatever its handler has to set up.
        queueMicrotask(() => {
          for (const event of events) event(served.lane);
        });
        return served.handler;
      },
    };
  }

  return { negotiate, handle: endpoint.handle };
}

function json(body: string, cookies: readonly string[]): Response {
  const headers = new Headers({ "content-type": "application/json" });
  for (const cookie of cookies) headers.append("set-cookie", cookie);
  return new Response(body, { headers });
}

/** 16 random bytes, base64url, as .NET makes them. */
function createId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replace(/=+$/, "");
}
