/**
 * The connections of a SignalR endpoint, from the first request of each to its end: who is there,
 * who is given up, and whose token has been used.
 */

import type { Clock, Timer } from "../clock.ts";
import type { Frame } from "../socket.ts";
import type { Wheel } from "../wheel.ts";
import type { HubProtocol, Raw } from "../wire/hub.ts";
import {
  createHubReceiver,
  type HubClose,
  type HubLimits,
  type HubReceiver,
  type HubReceiverOptions,
  type HubTransport,
} from "./hub.ts";
import type { PollSink } from "./polling.ts";
import type { Link } from "./reattach.ts";
import type { StatefulBuffer } from "./stateful.ts";

/** What a connection token says. */
export interface Identity {
  /** Names the connection. */
  readonly id: string;
  /** The isolate that has issued the token; empty without one. */
  readonly owner: string;
  /** When it was negotiated, Unix ms. */
  readonly issuedAt: number;
  /** Whether stateful reconnect was agreed on. */
  readonly stateful: boolean;
  /** The origin's own token, when the client's negotiation was the origin's. */
  readonly origin: string | undefined;
}

/** Who listens to a new connection. */
export type Serving = Pick<HubReceiverOptions, "prepare" | "abandon" | "open">;

/** A client that has a transport. */
export interface Opened {
  readonly kind: HubTransport["kind"];
  close(close: HubClose): void;
}

/** One connection: everything between its first request and its end. */
export interface Connection {
  readonly identity: Identity;
  /** Its transport, from the request on that asked for one. */
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
  /** Of a connection that polls. */
  poll: PollSink | undefined;
  /** Of a connection over WebSockets. */
  link: Link | undefined;
}

export interface ConnectionsOptions {
  readonly clock: Clock;
  readonly wheel: Wheel;
  readonly limits: HubLimits & {
    /** An unclaimed negotiation, a missing poll and a lost stateful socket are given up after this; 15,000 ms. */
    readonly disconnectTimeoutMs: number;
  };
  readonly protocols: readonly HubProtocol<Raw>[];
  onOpened(connection: Opened): void;
  onClosed(connection: Opened): void;
  /** Bytes came from a client. */
  onReceived(bytes: number): void;
}

export interface Connections {
  readonly size: number;
  get(id: string): Connection | undefined;
  /** Whether nobody has used the token here, and it may be used still. */
  isClaimable(identity: Identity): boolean;
  /** Whether a connection is over that was here; forgotten when its token is too old to be used. */
  isRetired(id: string): boolean;
  /** A connection that is given up soon. @param identity none of a client that has not negotiated */
  create(identity: Identity | undefined): Connection;
  /** Puts a receiver behind a transport, and gives it what was posted before. */
  start(
    connection: Connection,
    serving: Serving,
    transport: HubTransport,
    stateful?: StatefulBuffer,
  ): void;
  receive(connection: Connection, chunk: Frame): void;
  /** Gives a connection up unless somebody comes for it in time. */
  expire(connection: Connection): void;
  /** It is found no more, and its token is used. */
  retire(connection: Connection): void;
  /** One without a transport goes to live elsewhere. */
  release(connection: Connection): void;
  /** Its transport ends. */
  close(connection: Connection): void;
  /** Its client has gone without a word. */
  give(connection: Connection): void;
}

export function createConnections(options: ConnectionsOptions): Connections {
  const { clock, wheel, limits, protocols } = options;
  const connections = new Map<string, Connection>();
  /** Connections that are over, until their token is too old to be claimed again. */
  const retired = new Set<string>();

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

  function close(connection: Connection): void {
    const { opened } = connection;
    connection.opened = undefined;
    if (opened) options.onClosed(opened);
  }

  function give(connection: Connection): void {
    connection.receiver?.gone();
    retire(connection);
    close(connection);
  }

  return {
    get size() {
      return connections.size;
    },
    get: (id) => connections.get(id),
    isRetired: (id) => retired.has(id),
    isClaimable: ({ id, issuedAt }) =>
      !retired.has(id) && clock.now() - issuedAt < limits.disconnectTimeoutMs,
    create(identity) {
      const connection: Connection = {
        identity: identity ?? {
          id: crypto.randomUUID(),
          owner: "",
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
    },
    start(connection, serving, transport, stateful) {
      const { kind } = transport;
      const receiver = createHubReceiver({
        transport,
        protocols,
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
    },
    receive(connection, chunk) {
      options.onReceived(chunk.length);
      connection.receiver?.receive(chunk);
    },
    expire,
    retire,
    release(connection) {
      connection.expiry?.cancel();
      connections.delete(connection.identity.id);
    },
    close,
    give,
  };
}
