/**
 * Connections over WebSockets: each has a socket, and one of stateful reconnect outlives it.
 *
 * @see https://github.com/dotnet/aspnetcore/blob/main/src/SignalR/docs/specs/TransportProtocols.md#websockets-full-duplex
 */

import type { Sink } from "../fanout/sink.ts";
import type { Frame, Socket, SocketHandler, Upgrade } from "../socket.ts";
import type { Wheel } from "../wheel.ts";
import type { Raw } from "../wire/hub.ts";
import { empty, TEXT } from "./answer.ts";
import type { Connection, Connections } from "./connections.ts";
import type { HubTransport } from "./hub.ts";
import { createStatefulBuffer, type StatefulBuffer } from "./stateful.ts";

/** The code of a socket that went without a close frame. */
export const BROKEN = 1006;

/** Whether a client may come back for its connection on another socket. */
export function canReattach({ receiver, link }: Connection): boolean {
  return receiver?.isStateful === true && link?.buffer?.canResend === true;
}

export interface SocketOptions {
  readonly connections: Connections;
  readonly wheel: Wheel;
  readonly limits: {
    /** How long an old socket may take to go when its client has come back on another; 5,000 ms. */
    readonly closeTimeoutMs: number;
    /** What may be kept for a stateful client that has not acknowledged it, bytes. */
    readonly statefulBytes: number;
  };
}

export interface Sockets {
  /** A new connection, on its first socket. */
  open(connection: Connection, upgrade: Upgrade): Response;
  /** A client has lost its socket, and comes back with another: 404 or 409 when it must not. */
  reattach(connection: Connection, upgrade: Upgrade): Promise<Response> | Response;
}

export function createSockets({ connections, wheel, limits }: SocketOptions): Sockets {
  const { closeTimeoutMs, statefulBytes } = limits;

  return {
    open(connection, upgrade) {
      return upgrade((socket) => {
        const buffer = connection.identity.stateful
          ? createStatefulBuffer({ maxBytes: statefulBytes })
          : undefined;
        const link = new Link(connections, connection, { socket, buffer });
        connection.link = link;
        connections.start(connection, link, buffer);
        return new LinkedSocket(link, socket);
      });
    },

    async reattach(connection, upgrade) {
      const { link } = connection;
      if (!link || !canReattach(connection)) return empty(409, TEXT);
      link.onGone?.(undefined); // of two that wait, the client means the last
      const old = link.socket;
      if (old) {
        const code = await new Promise<number | undefined>((resolve) => {
          link.onGone = resolve;
          old.close(1000);
          wheel.after(closeTimeoutMs, () => resolve(BROKEN));
        });
        if (code === undefined) return empty(409, TEXT);
        link.onGone = undefined;
        link.socket = undefined;
        // Whoever was there to answer has closed on purpose: that was the end of the connection.
        if (code !== BROKEN) {
          connections.give(connection);
          return empty(404, TEXT);
        }
      }
      return upgrade((socket) => {
        connections.keep(connection);
        link.socket = socket;
        connection.receiver?.resume();
        return new LinkedSocket(link, socket);
      });
    },
  };
}

/**
 * What carries a connection over WebSockets: a socket, which a stateful one may change. A class, as
 * there is one for each connection.
 */
export class Link implements HubTransport, Sink {
  readonly kind = "websocket";
  readonly #connections: Connections;
  readonly #connection: Connection;
  /** Of a connection that may change its socket. */
  readonly buffer: StatefulBuffer | undefined;
  socket: Socket | undefined;
  /**
   * Set while a newer socket waits for the old one to go; called with its close code, or without
   * one when an even newer socket waits.
   */
  onGone: ((code: number | undefined) => void) | undefined;

  constructor(
    connections: Connections,
    connection: Connection,
    { socket, buffer }: { readonly socket: Socket; readonly buffer: StatefulBuffer | undefined },
  ) {
    this.#connections = connections;
    this.#connection = connection;
    this.buffer = buffer;
    this.socket = socket;
  }

  /** The socket itself, when it is the only one there will be: a step less for each delivery. */
  get sink(): Sink {
    return this.buffer ? this : (this.socket ?? this);
  }

  get bufferedBytes(): number {
    return this.socket?.bufferedBytes ?? 0;
  }

  wrap(messages: Raw): Frame {
    return messages;
  }

  send(frame: Frame, messages = 0): boolean {
    const { buffer } = this;
    if (buffer && messages > 0 && this.#connection.receiver?.isStateful) {
      if (!buffer.append(frame, messages)) this.#overflow(buffer);
    }
    return this.socket?.send(frame) ?? true;
  }

  close(): void {
    // Retired first: a stateful client that is told to come back must not find the old one.
    this.#connections.retire(this.#connection);
    this.#connections.close(this.#connection);
    this.socket?.close(1000);
  }

  receive(frame: Frame): void {
    this.#connections.receive(this.#connection, frame);
  }

  /** Its socket has gone. */
  lose(code: number): void {
    const connections = this.#connections;
    this.socket = undefined;
    if (this.onGone) return this.onGone(code);
    if (!connections.get(this.#connection.identity.id)) return;
    // A socket that was closed was meant to be; one that broke may come back.
    if (code === BROKEN && canReattach(this.#connection)) connections.expire(this.#connection);
    else connections.give(this.#connection);
  }

  /** More is kept for a stateful client than may be. */
  #overflow(buffer: StatefulBuffer): void {
    // Whether one that is there keeps up is seen at its socket: all it loses is its way back.
    if (this.socket) buffer.forget();
    else this.#connections.give(this.#connection);
  }
}

/** Listens to one socket, until another one has taken its place. */
class LinkedSocket implements SocketHandler {
  readonly #link: Link;
  readonly #socket: Socket;

  constructor(link: Link, socket: Socket) {
    this.#link = link;
    this.#socket = socket;
  }

  message(frame: Frame): void {
    if (this.#link.socket === this.#socket) this.#link.receive(frame);
  }

  close(code: number): void {
    if (this.#link.socket === this.#socket) this.#link.lose(code);
  }
}
