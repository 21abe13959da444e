/**
 * Private lanes: for whatever is not declared public, a connection to the origin of one client's
 * own, with its own credentials, over which its messages go both ways as they are.
 */

import type { Clock } from "../clock.ts";
import { messageOf } from "../errors.ts";
import type { Log } from "../log.ts";
import type { Dial } from "../socket.ts";
import type { Stats } from "../stats.ts";
import type { Close, HubMessage, HubProtocol, Raw } from "../wire/hub.ts";
import { type NegotiateResponse, parseNegotiateResponse } from "../wire/negotiate.ts";
import { type ClientRequest, withQuery } from "./client.ts";
import { type Connection, openConnection } from "./connection.ts";

export interface PrivateOptions {
  /** The hub's URL. */
  readonly url: string;
  readonly fetch: typeof fetch;
  readonly dial: Dial;
  readonly clock: Clock;
  readonly stats: Stats;
  readonly log: Log;
  readonly handshakeTimeoutMs: number;
  readonly keepAliveMs: number;
  readonly serverTimeoutMs: number;
  /** Largest message from the origin, bytes. */
  readonly maxMessageBytes: number;
  /** What may wait for a connection that is being opened, bytes. */
  readonly maxQueueBytes: number;
}

/** The origin's answer to a negotiation on a client's behalf. */
export type Negotiated =
  /** A connection is offered; `cookies` are the values of its `Set-Cookie`. */
  | {
      readonly type: "offered";
      readonly offer: Extract<NegotiateResponse, { connectionId: string }>;
      readonly cookies: readonly string[];
    }
  /** It refuses, or sends elsewhere: for the client as it is. */
  | { readonly type: "refused"; readonly response: Response }
  | { readonly type: "unavailable"; readonly reason: string };

export interface LaneListener {
  /** @param record the message as it came, without its framing */
  onMessage(message: HubMessage<Raw>, record: Raw): void;
  /** The connection has ended, with the origin's Close message if there was one. */
  onEnd(close: Omit<Close, "type"> | undefined): void;
  /** It could not be opened; these invocations wait for an answer. */
  onRefused(invocationIds: readonly string[], reason: string): void;
}

export interface Lane {
  /** Opens the connection now. Rejects when that is not possible. */
  open(): Promise<void>;
  /**
   * Sends one framed message; opens the connection first when it is not there.
   * @param invocationId of an invocation that wants an answer
   * @returns false when too much waits already
   */
  pass(framed: Raw, invocationId: string | undefined): boolean;
  readonly isOpen: boolean;
  close(): void;
}

export interface PrivateLanes {
  negotiate(client: ClientRequest): Promise<Negotiated>;
  /** @param token of a connection that was negotiated with `negotiate` */
  createLane(
    client: ClientRequest,
    protocol: HubProtocol<Raw>,
    token: string | undefined,
    listener: LaneListener,
  ): Lane;
}

export function createPrivateLanes(options: PrivateOptions): PrivateLanes {
  const { url, fetch, stats, handshakeTimeoutMs, maxQueueBytes } = options;
  return {
    async negotiate(client) {
      const target = new URL(withQuery(url, client.query));
      target.pathname = `${target.pathname.replace(/\/$/, "")}/negotiate`;
      target.searchParams.set("negotiateVersion", "1");
      try {
        const response = await fetch(target, {
          method: "POST",
          headers: client.headers,
          redirect: "manual",
          signal: AbortSignal.timeout(handshakeTimeoutMs),
        });
        if (response.status >= 500) {
          return { type: "unavailable", reason: `the origin answered ${response.status}` };
        }
        const body = await response.text();
        const answer = response.status === 200 ? parseNegotiateResponse(body) : undefined;
        if (answer && "connectionId" in answer) {
          return { type: "offered", offer: answer, cookies: response.headers.getSetCookie() };
        }
        const { status } = response;
        const headers = passedOn(response.headers);
        return { type: "refused", response: new Response(body, { status, headers }) };
      } catch (error) {
        return { type: "unavailable", reason: messageOf(error) };
      }
    },

    createLane(client, protocol, token, listener) {
      const stopping = new AbortController();
      let connection: Connection<Raw> | undefined;
      let opening: Promise<void> | undefined;
      let queue: { framed: Raw; invocationId: string | undefined }[] = [];
      let queuedBytes = 0;

      async function connect(): Promise<void> {
        await openConnection({
          ...options,
          url: withQuery(url, client.query),
          headers: client.headers,
          token,
          protocol,
          signal: stopping.signal,
          onLive(opened) {
            connection = opened;
            stats.privateConnections++;
            stats.privateConnects++;
            for (const { framed } of queue) opened.pass(framed);
            queue = [];
          },
          onHeard() {},
          onMessage: listener.onMessage,
          onClose({ close }) {
            connection = undefined;
            stats.privateConnections--;
            if (!stopping.signal.aborted) listener.onEnd(close);
          },
        });
      }

      function open(): Promise<void> {
        if (opening !== undefined) return opening;
        opening = connect();
        opening.catch((error) => {
          const ids = queue.flatMap((waiting) => waiting.invocationId ?? []);
          queue = [];
          queuedBytes = 0;
          opening = undefined; // the next call tries again
          if (!stopping.signal.aborted) listener.onRefused(ids, messageOf(error));
        });
        return opening;
      }

      return {
        open,
        pass(framed, invocationId) {
          if (connection) {
            connection.pass(framed);
            return true;
          }
          queuedBytes += framed.length;
          if (queuedBytes > maxQueueBytes) return false;
          queue.push({ framed, invocationId });
          void open();
          return true;
        },
        get isOpen() {
          return connection !== undefined;
        },
        close() {
          stopping.abort(new Error("The client has gone"));
        },
      };
    },
  };
}

/** Headers of the origin's answer that mean something to its client. */
function passedOn(headers: Headers): Headers {
  const passed = new Headers();
  for (const [name, value] of headers) {
    if (PASSED.has(name)) passed.append(name, value);
  }
  return passed;
}

const PASSED = new Set([
  "content-type",
  "location",
  "retry-after",
  "set-cookie",
  "www-authenticate",
]);
