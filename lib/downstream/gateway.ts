/**
 * The SignalR endpoint of one hub: negotiation on the client's behalf or by ourselves, and behind
 * each connection the meaning of its messages and, where it has one, its private lane.
 */

import type { Bus } from "../bus/bus.ts";
import { HubError, messageOf } from "../errors.ts";
import { isShared } from "../feed/spec.ts";
import type { Hub } from "../relay.ts";
import { readClientRequest } from "../upstream/client.ts";
import type { Lane, PrivateLanes } from "../upstream/private.ts";
import type { HubProtocol, Raw } from "../wire/hub.ts";
import type { TransportName } from "../wire/negotiate.ts";
import { type Admission, refusedResponse, unavailableResponse } from "./admission.ts";
import { CUT, isRelay, until } from "./below.ts";
import type { Opened } from "./connections.ts";
import type { Context } from "./context.ts";
import { type Bindings, type Claim, createEndpoint, type EndpointLimits } from "./endpoint.ts";
import type { Serving } from "./hub.ts";
import { PROTOCOLS } from "./hub-format.ts";
import { type Admitted, answerNegotiation, createConnectionId } from "./negotiation.ts";
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
  /**
   * Where the other isolates are, whose clients may come here and ours go there. Its id MUST be the
   * owner that `tokens` write, and all MUST share their secret. None where there is one isolate.
   */
  readonly bus?: Bus | undefined;
}

export interface Gateway {
  /** Answers `{hub}/negotiate`. */
  negotiate(request: Request, bindings: Bindings): Promise<Response>;
  /** Answers `{hub}`. */
  handle(request: Request, bindings: Bindings): Promise<Response>;
}

export function createGateway(options: GatewayOptions): Gateway {
  const { context, hub, lanes, tokens, admission, limits, transports, bus } = options;
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
    onFull: sessions.turnAway,
    forwarding: bus && { bus, name: hub.spec.path },
    onOpened(connection) {
      const session = new HubSession(connection);
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

  /** Has the origin judge a client: by a negotiation for its own connection, or by one for all like it. */
  async function admit(
    request: Request,
    address: string | undefined,
  ): Promise<Response | Admitted> {
    const client = readClientRequest(request, address);
    if (isEager) {
      const negotiated = await lanes.negotiate(client);
      if (negotiated.type === "refused") return negotiated.response;
      if (negotiated.type === "unavailable") return unavailableResponse();
      const { connectionId, connectionToken } = negotiated.offer;
      return { connectionId, origin: connectionToken ?? connectionId, cookies: negotiated.cookies };
    }
    const verdict = await admission.judge(request);
    if (verdict.type === "refused") return refusedResponse(verdict);
    if (verdict.type === "unavailable") return unavailableResponse();
    return { connectionId: createConnectionId(), origin: undefined, cookies: [] };
  }

  async function serve({ identity, request, address }: Claim): Promise<Serving | Response> {
    let origin = identity?.origin;
    if (!identity) {
      const admitted = await admit(request, address);
      if (admitted instanceof Response) return admitted;
      origin = admitted.origin;
    }
    const client = readClientRequest(request, address);
    const isBelow = isRelay(request);
    let isAbandoned = false;
    let lane: Lane | undefined;
    const prepare = async (protocol: HubProtocol<Raw>): Promise<void> => {
      if (isBelow) await reachOrigin(protocol, () => isAbandoned);
      if (!isEager || isAbandoned) return;
      lane = lanes.createLane({ client, protocol, token: origin });
      await lane.open().catch((error: unknown) => {
        // The origin's own words are for its client; what else went wrong is not.
        if (error instanceof HubError) throw error;
        context.log.debug({ hub: hub.spec.path, error: messageOf(error) }, "no private lane");
        throw new Error("Cannot connect to the origin");
      });
    };
    return {
      prepare: (protocol) => (isEager || isBelow ? prepare(protocol) : undefined),
      abandon() {
        isAbandoned = true;
        lane?.close();
      },
      open(connection) {
        const { protocol } = connection;
        if (!isOff) lane ??= lanes.createLane({ client, protocol, token: origin });
        return serveSignalR(context, hub, lane, connection, { isBelow });
      },
    };
  }

  /** A relay below takes the end of its handshake for the origin's being there. */
  async function reachOrigin(protocol: HubProtocol<Raw>, isOver: () => boolean): Promise<void> {
    if (!isShared(hub.spec)) return;
    const { line } = hub[protocol.name];
    line.start();
    const isThere = () => line.connected || isOver();
    if (!(await until(clock, isThere, hub.spec.openTimeoutMs))) throw new Error(CUT.error);
  }

  return {
    negotiate: (request, { address }) =>
      answerNegotiation(request, {
        tokens,
        transports,
        stateful: options.stateful,
        admit: () => admit(request, address),
      }),
    handle: endpoint.handle,
  };
}

const SESSION_TRANSPORTS = {
  websocket: "signalr-websocket",
  sse: "signalr-sse",
  polling: "signalr-polling",
} as const;

/** A class, as there is one for each connection. */
class HubSession implements Session {
  readonly #connection: Opened;

  constructor(connection: Opened) {
    this.#connection = connection;
  }

  get transport(): Session["transport"] {
    return SESSION_TRANSPORTS[this.#connection.kind];
  }

  /** When to come back cannot be said; stock clients have their own delays. */
  drain(): void {
    this.#connection.close({ allowReconnect: true });
  }
}
