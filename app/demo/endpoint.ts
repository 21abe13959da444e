/**
 * Where connections to a hub begin: negotiate, the upgrade, and the refusals of ASP.NET Core. WebSockets
 * only. What is said on a connection is left to whoever opens it.
 *
 * @see https://github.com/dotnet/aspnetcore/blob/main/src/SignalR/docs/specs/TransportProtocols.md
 */
import type { Clock, Timer } from "../../lib/clock.ts";
import {
  createHubReceiver,
  type HubConnection,
  type HubHandler,
  type HubLimits,
  type HubTransport,
} from "../../lib/downstream/hub.ts";
import type { Upgrade } from "../../lib/socket.ts";
import { createWheel } from "../../lib/wheel.ts";
import type { HubProtocol, Raw } from "../../lib/wire/hub.ts";
import { parseNegotiateVersion, printNegotiateResponse } from "../../lib/wire/negotiate.ts";

export interface EndpointOptions {
  readonly clock: Clock;
  readonly limits: HubLimits;
  readonly protocols: readonly HubProtocol<Raw>[];
  /** Connections and negotiated ids at one time; more are answered 503. */
  readonly maxConnections: number;
  /** Called after each good handshake. @returns who listens to the connection from then on */
  open(connection: HubConnection<Raw>): HubHandler<Raw>;
}

/** Answers requests; they may come under any path. */
export interface Endpoint {
  /** `POST {hub}/negotiate`. */
  negotiate(request: Request): Response;
  /** `GET {hub}`: makes the request a connection by means of `upgrade`, or refuses it. */
  connect(request: Request, upgrade: Upgrade): Response;
  /** Sends everybody a Close that invites to reconnect, and takes nobody any more. */
  stop(): void;
}

/** A negotiated id that nobody claims is forgotten after this. */
const CLAIM_TIMEOUT_MS = 15_000;
/** A connection with more than this unsent is ended: its reader does not keep up. */
const MAX_BUFFERED_BYTES = 8 * 1024 * 1024;

export function createEndpoint(options: EndpointOptions): Endpoint {
  const { clock, limits, protocols, maxConnections, open } = options;
  const wheel = createWheel(clock);
  /** Negotiated tokens that nobody has claimed yet. */
  const offers = new Map<string, Timer>();
  /** How to send away each open socket, by its token. */
  const sockets = new Map<string, () => void>();
  let stopped = false;

  function isFull(): boolean {
    return stopped || sockets.size + offers.size >= maxConnections;
  }

  function offer(token: string): void {
    const timer = wheel.after(CLAIM_TIMEOUT_MS, () => offers.delete(token));
    offers.set(token, timer);
  }

  function withdraw(token: string): void {
    offers.get(token)?.cancel();
    offers.delete(token);
  }

  function negotiate(request: Request): Response {
    if (request.method !== "POST") return refusal(405);
    const version = parseNegotiateVersion(queryOf(request, "negotiateVersion"));
    if (typeof version === "object") return json(JSON.stringify(version));
    if (isFull()) return refusal(503, "No more connections");
    const connectionId = randomId();
    const connectionToken = version === 0 ? connectionId : randomId();
    offer(connectionToken);
    return json(
      printNegotiateResponse({
        negotiateVersion: version,
        connectionId,
        connectionToken,
        useStatefulReconnect: false,
        availableTransports: [{ transport: "WebSockets", transferFormats: ["Text", "Binary"] }],
      }),
    );
  }

  function connect(request: Request, upgrade: Upgrade): Response {
    if (request.method !== "GET") return refusal(405);
    const ids = queryOf(request, "id");
    const [token = ""] = ids;
    const isSocket = request.headers.get("upgrade")?.toLowerCase() === "websocket";
    if (token === "") {
      if (!isSocket) return refusal(400, "Connection ID required");
      // The client has skipped the negotiation.
      if (isFull()) return refusal(503, "No more connections");
      return accept(randomId(), upgrade);
    }
    const known = ids.length === 1 && (offers.has(token) || sockets.has(token));
    if (!known) return refusal(404, "No Connection with that ID");
    if (!isSocket) {
      const events = request.headers.get("accept")?.includes("text/event-stream");
      const transport = events ? "ServerSentEvents" : "LongPolling";
      return refusal(404, `${transport} transport not supported by this end point type`);
    }
    if (sockets.has(token)) return refusal(409);
    withdraw(token);
    return accept(token, upgrade);
  }

  function accept(token: string, upgrade: Upgrade): Response {
    return upgrade((socket) => {
      const transport: HubTransport = {
        kind: "websocket",
        sink: {
          send(frame) {
            const kept = socket.send(frame);
            if (!kept && socket.bufferedBytes > MAX_BUFFERED_BYTES) {
              receiver.close({ error: "Connection closed with an error.", allowReconnect: true });
            }
            return kept;
          },
          get bufferedBytes() {
            return socket.bufferedBytes;
          },
        },
        wrap: (messages) => messages,
        close() {
          sockets.delete(token);
          socket.close(1000);
        },
      };
      const receiver = createHubReceiver({
        transport,
        protocols,
        wheel,
        now: clock.now,
        limits,
        open,
      });
      sockets.set(token, () => receiver.close({ allowReconnect: true }));
      if (stopped) sockets.get(token)?.();
      return {
        message: (frame) => receiver.receive(frame),
        close() {
          sockets.delete(token);
          receiver.gone();
        },
      };
    });
  }

  function stop(): void {
    stopped = true;
    for (const token of offers.keys()) withdraw(token);
    for (const sendAway of sockets.values()) sendAway();
    wheel.stop();
  }

  return { negotiate, connect, stop };
}

/** All values of a query parameter, whose name may be written in any case. */
function queryOf(request: Request, name: string): string[] {
  const parameters = [...new URL(request.url).searchParams];
  return parameters.flatMap(([key, value]) =>
    key.toLowerCase() === name.toLowerCase() ? [value] : [],
  );
}

function refusal(status: number, text = ""): Response {
  return new Response(text, { status, headers: { "content-type": "text/plain" } });
}

function json(body: string): Response {
  return new Response(body, { headers: { "content-type": "application/json" } });
}

/** 128 random bits in the alphabet of URLs, into which clients put them unescaped. */
function randomId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const text = btoa(String.fromCharCode(...bytes));
  return text.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
