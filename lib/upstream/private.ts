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

/** Its names are long, so that who listens to a client may listen to its lane, too. */
export interface LaneListener {
  /** @param record the message as it came, without its framing */
  onLaneMessage(message: HubMessage<Raw>, record: Raw): void;
  /** The connection has ended, with the origin's Close message if there was one. */
  onLaneEnd(close: Omit<Close, "type"> | undefined): void;
  /** It could not be opened; these invocations wait for an answer. */
  onLaneRefused(invocationIds: readonly string[], reason: string): void;
}

export interface Lane {
  /** Says who is told what comes, soon also of what came before. To be called once. */
  listen(listener: LaneListener): void;
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

export interface LaneOptions {
  readonly client: ClientRequest;
  readonly protocol: HubProtocol<Raw>;
  /** Of a connection that was negotiated with `negotiate`. */
  readonly token: string | undefined;
}

export interface PrivateLanes {
  negotiate(client: ClientRequest): Promise<Negotiated>;
  createLane(options: LaneOptions): Lane;
}

export function createPrivateLanes(options: PrivateOptions): PrivateLanes {
  const { url, fetch, handshakeTimeoutMs } = options;
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

    createLane: (lane) => new PrivateLane(lane, options),
  };
}

/** What waits for a connection that is being opened. */
interface Waiting {
  readonly framed: Raw;
  readonly invocationId: string | undefined;
}

/** A class: most clients have one, and few of those ever open it. */
class PrivateLane implements Lane {
  readonly #lane: LaneOptions;
  readonly #options: PrivateOptions;
  #listener: LaneListener | undefined;
  /** What there is to tell while nobody listens. */
  #early: ((listener: LaneListener) => void)[] | undefined;
  #stopping: AbortController | undefined;
  #connection: Connection<Raw> | undefined;
  #opening: Promise<void> | undefined;
  #queue: Waiting[] | undefined;
  #queuedBytes = 0;

  constructor(lane: LaneOptions, options: PrivateOptions) {
    this.#lane = lane;
    this.#options = options;
  }

  get isOpen(): boolean {
    return this.#connection !== undefined;
  }

  listen(listener: LaneListener): void {
    this.#listener = listener;
    const early = this.#early;
    if (!early) return;
    this.#early = undefined;
    // Behind whatever the listener has to set up.
    queueMicrotask(() => {
      for (const event of early) event(listener);
    });
  }

  open(): Promise<void> {
    if (this.#opening !== undefined) return this.#opening;
    this.#stopping ??= new AbortController();
    const { signal } = this.#stopping;
    this.#opening = this.#connect(signal);
    this.#opening.catch((error) => {
      const ids = (this.#queue ?? []).flatMap((waiting) => waiting.invocationId ?? []);
      this.#queue = undefined;
      this.#queuedBytes = 0;
      this.#opening = undefined; // the next call tries again
      if (signal.aborted) return;
      this.#tell((listener) => listener.onLaneRefused(ids, messageOf(error)));
    });
    return this.#opening;
  }

  pass(framed: Raw, invocationId: string | undefined): boolean {
    if (this.#connection) {
      this.#connection.pass(framed);
      return true;
    }
    this.#queuedBytes += framed.length;
    if (this.#queuedBytes > this.#options.maxQueueBytes) return false;
    this.#queue ??= [];
    this.#queue.push({ framed, invocationId });
    void this.open();
    return true;
  }

  close(): void {
    this.#stopping ??= new AbortController();
    this.#stopping.abort(new Error("The client has gone"));
  }

  #connect(signal: AbortSignal): Promise<void> {
    const { url, stats } = this.#options;
    const { client, protocol, token } = this.#lane;
    return openConnection({
      ...this.#options,
      url: withQuery(url, client.query),
      headers: client.headers,
      token,
      protocol,
      signal,
      onLive: (opened) => {
        this.#connection = opened;
        stats.privateConnections++;
        stats.privateConnects++;
        for (const { framed } of this.#queue ?? []) opened.pass(framed);
        this.#queue = undefined;
      },
      onHeard() {},
      onMessage: (message, record) =>
        this.#tell((listener) => listener.onLaneMessage(message, record)),
      onClose: ({ close }) => {
        this.#connection = undefined;
        stats.privateConnections--;
        if (!signal.aborted) this.#tell((listener) => listener.onLaneEnd(close));
      },
    });
  }

  #tell(event: (listener: LaneListener) => void): void {
    if (this.#listener) return event(this.#listener);
    this.#early ??= [];
    this.#early.push(event);
  }
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
