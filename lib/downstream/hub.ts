/**
 * The server's side of one SignalR connection, over any transport: handshake, framing, pings,
 * timeouts, Close. What the messages mean is its handler's.
 *
 * @see https://github.com/dotnet/aspnetcore/blob/main/src/SignalR/docs/specs/HubProtocol.md
 */

import { ProtocolError } from "../errors.ts";
import type { Sink } from "../fanout/sink.ts";
import type { Frame } from "../socket.ts";
import type { Wheel } from "../wheel.ts";
import {
  createHandshakeReader,
  type HandshakeRequest,
  parseHandshakeRequest,
  printHandshakeResponse,
} from "../wire/handshake.ts";
import type { HubMessage, HubProtocol, Raw, Unknown } from "../wire/hub.ts";

/** What carries the connection. */
export interface HubTransport extends Sink {
  /** Ends it in the transport's way, after what was sent has gone out. */
  close(): void;
}

/** Timers and limits, with the defaults of ASP.NET Core. */
export interface HubLimits {
  /** The handshake must come within this; 15,000 ms. */
  readonly handshakeTimeoutMs: number;
  /** A ping goes out every; 15,000 ms. */
  readonly keepAliveMs: number;
  /** A client that has pinged once is gone when nothing came for this long; 30,000 ms. */
  readonly clientTimeoutMs: number;
  /** Largest record from a client, its framing included; 32,768 bytes. */
  readonly messageBytes: number;
}

/** A connection after its handshake, as its handler sees it. */
export interface HubConnection<R extends Raw> {
  readonly protocol: HubProtocol<R>;
  send(message: HubMessage<R>): void;
  /** Sends a Close message and ends the connection. `onClose` of the handler is called before. */
  close(close: { readonly error?: string; readonly allowReconnect?: boolean }): void;
}

export interface HubHandler<R extends Raw> {
  /** Every message but pings and Close. MAY throw `ProtocolError`, which ends the connection. */
  onMessage(message: HubMessage<R>): void;
  /** Once, however the connection ended. */
  onClose(): void;
}

/** What a transport is to call. */
export interface HubReceiver {
  receive(chunk: Frame): void;
  /** The client has gone. */
  gone(): void;
  /** Sends the client away; `allowReconnect` invites it back. Before the handshake it is just closed. */
  close(close: { readonly error?: string; readonly allowReconnect?: boolean }): void;
}

/** .NET's text before the detail that only a developer may see. */
const CLOSED_WITH_ERROR = "Connection closed with an error.";

/** @param open called after a good handshake; it is told who listens from then on */
export function createHubReceiver(options: {
  readonly transport: HubTransport;
  readonly protocols: readonly HubProtocol<string>[];
  readonly wheel: Wheel;
  readonly now: () => number;
  readonly limits: HubLimits;
  open(connection: HubConnection<string>): HubHandler<string>;
}): HubReceiver {
  const { transport, protocols, wheel, now, limits, open } = options;
  const handshake = createHandshakeReader(limits.messageBytes);
  let handler: HubHandler<string> | undefined;
  let protocol: HubProtocol<string> | undefined;
  let framing: { push(chunk: Frame): string[] } | undefined;
  let closed = false;
  let lastHeardAt = now();
  /** The handshake's timeout, and after it the client's, once that has been armed. */
  let timeout = wheel.after(limits.handshakeTimeoutMs, () => refuse("Handshake was canceled."));
  let armed = false;
  let keepAlive: { cancel(): void } | undefined;

  function finish(): boolean {
    if (closed) return false;
    closed = true;
    timeout.cancel();
    keepAlive?.cancel();
    handler?.onClose();
    return true;
  }

  function refuse(error: string): void {
    if (!finish()) return;
    transport.send(printHandshakeResponse(error));
    transport.close();
  }

  function close(message: { readonly error?: string; readonly allowReconnect?: boolean }): void {
    if (!finish()) return;
    if (protocol && handler) transport.send(protocol.print({ type: "close", ...message }));
    transport.close();
  }

  function shake(record: string): void {
    let request: HandshakeRequest;
    try {
      request = parseHandshakeRequest(record);
    } catch {
      refuse("An unexpected error occurred during connection handshake.");
      return;
    }
    const name = request.protocol.toLowerCase();
    const found = protocols.find((candidate) => candidate.name === name);
    if (!found) {
      refuse(`The protocol '${request.protocol}' is not supported.`);
    } else if (request.version > 2) {
      refuse(`The server does not support version ${request.version} of the '${name}' protocol.`);
    } else {
      timeout.cancel();
      transport.send(printHandshakeResponse());
      protocol = found;
      framing = found.createFraming(limits.messageBytes);
      const ping = found.print({ type: "ping" });
      keepAlive = wheel.every(limits.keepAliveMs, () => transport.send(ping));
      const send = (message: HubMessage<string>) => void transport.send(found.print(message));
      handler = open({ protocol: found, send, close });
    }
  }

  function watch(delayMs: number): void {
    // Looked at when it could be over, instead of set anew with each message.
    timeout = wheel.after(delayMs, () => {
      const leftMs = lastHeardAt + limits.clientTimeoutMs - now();
      if (leftMs > 0) watch(leftMs);
      else close({ error: CLOSED_WITH_ERROR, allowReconnect: true });
    });
  }

  function onMessage(message: HubMessage<string> | Unknown): void {
    switch (message.type) {
      case "ping":
        if (armed) return;
        armed = true;
        watch(limits.clientTimeoutMs);
        return;
      case "close":
        close({});
        return;
      case "unknown":
        // .NET goes deaf here for good; a clear end helps the one who wrote that client.
        throw new ProtocolError(`Unknown message type ${message.code}.`);
      default:
        handler?.onMessage(message);
    }
  }

  return {
    receive(chunk) {
      if (closed) return;
      lastHeardAt = now();
      try {
        if (!framing) {
          const opening = handshake.push(chunk);
          if (!opening) return;
          shake(opening.record);
          chunk = opening.rest;
        }
        if (!protocol || !framing) return;
        for (const record of framing.push(chunk)) {
          if (closed) return;
          onMessage(protocol.parse(record));
        }
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
        if (framing) close({ error: CLOSED_WITH_ERROR, allowReconnect: true });
        else refuse("Handshake was canceled.");
      }
    },
    gone: () => void finish(),
    close,
  };
}
