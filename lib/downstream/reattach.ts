/**
 * Connections over WebSockets: each has a socket, and one of stateful reconnect outlives it.
 *
 * @see https://github.com/dotnet/aspnetcore/blob/main/src/SignalR/docs/specs/TransportProtocols.md#websockets-full-duplex
 */

import type { Sink } from "../fanout/sink.ts";
import type { Socket, SocketHandler, Upgrade } from "../socket.ts";
import type { Wheel } from "../wheel.ts";
import { empty, TEXT } from "./answer.ts";
import type { Connection, Connections, Serving } from "./connections.ts";
import type { HubTransport } from "./hub.ts";
import { wrapFor } from "./hub-format.ts";
import { createStatefulBuffer, type StatefulBuffer } from "./stateful.ts";

/** The socket of a WebSocket connection; a stateful one may change it. */
export interface Link {
  socket: Socket | undefined;
  /** Of a connection that may change it. */
  readonly buffer: StatefulBuffer | undefined;
  /**
   * Set while a newer socket waits for the old one to go; called with its close code, or without
   * one when an even newer socket waits.
   */
  onGone: ((code: number | undefined) => void) | undefined;
}

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
  open(connection: Connection, serving: Serving, upgrade: Upgrade): Response;
  /** A client has lost its socket, and comes back with another: 404 or 409 when it must not. */
  reattach(connection: Connection, upgrade: Upgrade): Promise<Response> | Response;
}

export function createSockets({ connections, wheel, limits }: SocketOptions): Sockets {
  const { closeTimeoutMs, statefulBytes } = limits;

  /** More is kept for a stateful client than may be. */
  function overflow(connection: Connection, link: Link, buffer: StatefulBuffer): void {
    // Whether one that is there keeps up is seen at its socket: all it loses is its way back.
    if (link.socket) buffer.forget();
    else connections.give(connection);
  }

  function handlerOf(connection: Connection, link: Link, socket: Socket): SocketHandler {
    return {
      message(frame) {
        if (link.socket === socket) connections.receive(connection, frame);
      },
      close(code) {
        if (link.socket !== socket) return; // another one has taken its place
        link.socket = undefined;
        if (link.onGone) return link.onGone(code);
        if (!connections.get(connection.identity.id)) return;
        // A socket that was closed was meant to be; one that broke may come back.
        if (code === BROKEN && canReattach(connection)) connections.expire(connection);
        else connections.give(connection);
      },
    };
  }

  return {
    open(connection, serving, upgrade) {
      return upgrade((socket) => {
        const buffer = connection.identity.stateful
          ? createStatefulBuffer({ maxBytes: statefulBytes })
          : undefined;
        const link: Link = { socket, buffer, onGone: undefined };
        connection.link = link;
        const sink: Sink = {
          send(frame, messages = 0) {
            if (buffer && messages > 0 && connection.receiver?.isStateful) {
              if (!buffer.append(frame, messages)) overflow(connection, link, buffer);
            }
            return link.socket?.send(frame) ?? true;
          },
          get bufferedBytes() {
            return link.socket?.bufferedBytes ?? 0;
          },
        };
        const transport: HubTransport = {
          kind: "websocket",
          sink,
          wrap: wrapFor("websocket"),
          close() {
            // Retired first: a stateful client that is told to come back must not find the old one.
            connections.retire(connection);
            connections.close(connection);
            link.socket?.close(1000);
          },
        };
        connections.start(connection, serving, transport, buffer);
        return handlerOf(connection, link, socket);
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
        connection.expiry?.cancel();
        link.socket = socket;
        connection.receiver?.resume();
        return handlerOf(connection, link, socket);
      });
    },
  };
}
