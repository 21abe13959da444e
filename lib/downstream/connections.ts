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
  type HubContext,
  type HubLimits,
  type HubReceiver,
  type HubTransport,
  type Serving,
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

/** A client that has a transport. */
export type Opened = Pick<HubReceiver, "kind" | "close">;

/** One connection: everything between its first request and its end. */
export interface Connection {
  readonly identity: Identity;
  /** Its transport, from the request on that asked for one. */
  kind: HubTransport["kind"] | undefined;
  /** Who is to listen, until it has its transport. */
  serving: Serving | undefined;
  receiver: HubReceiver | undefined;
  opened: Opened | undefined;
  /** What was posted before there was a transport. */
  early: Uint8Array[] | undefined;
  earlyBytes: number;
  /** The last of its posts, while they are taken: one after the other. */
  posts: Promise<unknown> | undefined;
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
  /** Puts a receiver behind its transport, and gives it what was posted before. `serving` MUST be set. */
  start(connection: Connection, transport: HubTransport, stateful?: StatefulBuffer): void;
  receive(connection: Connection, chunk: Frame): void;
  /** Gives a connection up unless somebody comes for it in time. */
  expire(connection: Connection): void;
  /** Somebody has come for it. */
  keep(connection: Connection): void;
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
  const context: HubContext = { protocols, wheel, now: clock.now, limits };
  const connections = new Map<string, Connection>();
  /** Connections that are over, until their token is too old to be claimed again. */
  const retired = new Set<string>();

  function keep(connection: Connection): void {
    connection.expiry?.cancel();
    connection.expiry = undefined;
  }

  function expire(connection: Connection): void {
    keep(connection);
    connection.expiry = wheel.after(limits.disconnectTimeoutMs, () => give(connection));
  }

  function retire(connection: Connection): void {
    const { id, issuedAt } = connection.identity;
    keep(connection);
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
        serving: undefined,
        receiver: undefined,
        opened: undefined,
        early: undefined,
        earlyBytes: 0,
        posts: undefined,
        expiry: undefined,
        poll: undefined,
        link: undefined,
      };
      connections.set(connection.identity.id, connection);
      expire(connection);
      return connection;
    },
    start(connection, transport, stateful) {
      const { serving, early = [] } = connection;
      if (!serving) return; // started already
      const receiver = createHubReceiver({ transport, serving, stateful }, context);
      connection.serving = undefined;
      connection.receiver = receiver;
      connection.kind = transport.kind;
      keep(connection);
      connection.opened = receiver;
      options.onOpened(receiver);
      connection.early = undefined;
      for (const chunk of early) receiver.receive(chunk);
    },
    receive(connection, chunk) {
      options.onReceived(chunk.length);
      connection.receiver?.receive(chunk);
    },
    expire,
    keep,
    retire,
    release(connection) {
      keep(connection);
      connections.delete(connection.identity.id);
    },
    close,
    give,
  };
}
