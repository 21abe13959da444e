/**
 * The server's side of one SignalR connection, over any transport: handshake, framing, pings,
 * timeouts, Close. What the messages mean is its handler's.
 *
 * @see https://github.com/dotnet/aspnetcore/blob/main/src/SignalR/docs/specs/HubProtocol.md
 */

import { messageOf, ProtocolError } from "../errors.ts";
import type { Sink } from "../fanout/sink.ts";
import type { Frame } from "../socket.ts";
import type { Wheel } from "../wheel.ts";
import {
  createHandshakeReader,
  type HandshakeRequest,
  parseHandshakeRequest,
  printHandshakeResponse,
} from "../wire/handshake.ts";
import type { Close, HubMessage, HubProtocol, Raw, Unknown } from "../wire/hub.ts";
import type { StatefulBuffer } from "./stateful.ts";

/** What carries a connection. */
export interface HubTransport {
  readonly kind: "websocket" | "sse" | "polling";
  /** Takes frames that `wrap` made. */
  readonly sink: Sink;
  /** Makes whole hub messages, framed and joined, into one frame of this transport. */
  wrap(messages: Raw): Frame;
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

/** How a connection ends for its client. */
export type HubClose = Omit<Close, "type">;

/** A connection after its handshake, as its handler sees it. After its end nothing is sent any more. */
export interface HubConnection<R extends Raw> {
  readonly protocol: HubProtocol<R>;
  readonly transport: HubTransport;
  send(message: HubMessage<R>): void;
  /** Sends one framed message as it is. `counted`: of types 1 to 5. */
  pass(framed: R, counted: boolean): void;
  /** Sends a Close message and ends the connection. */
  close(close: HubClose): void;
  /** Ends the connection without a word, as a broken one ends. */
  cut(): void;
}

export interface HubHandler<R extends Raw> {
  /**
   * Every message but pings, Close and those of stateful reconnect. MAY throw `ProtocolError`,
   * which ends the connection.
   * @param record the message as it came, without its framing
   */
  onMessage(message: HubMessage<R>, record: R): void;
  /** Once, however the connection ended. */
  onClose(): void;
}

/** What a transport is to call. */
export interface HubReceiver {
  receive(chunk: Frame): void;
  /** The client has gone. */
  gone(): void;
  /** Sends the client away. Before the handshake the connection is just closed. */
  close(close: HubClose): void;
  /** Whether the client may come back on another socket: its handshake asked for it, or still may. */
  readonly isStateful: boolean;
  /** The transport has a new socket under it: sends what a reattached client must get first. */
  resume(): void;
}

/** .NET's text before the detail that only a developer may see. */
const CLOSED_WITH_ERROR = "Connection closed with an error.";

/** What came behind a handshake that is being answered is kept up to this, bytes. */
const MAX_EARLY_BYTES = 65_536;

export interface HubReceiverOptions {
  readonly transport: HubTransport;
  readonly protocols: readonly HubProtocol<Raw>[];
  readonly wheel: Wheel;
  readonly now: () => number;
  readonly limits: HubLimits;
  /** Used when the client asks for it in its handshake. */
  readonly stateful?: StatefulBuffer | undefined;
  /**
   * Asked before the handshake is answered. Rejects with an `Error` whose message is the answer
   * when the connection cannot be served.
   */
  prepare?(protocol: HubProtocol<Raw>): Promise<void> | undefined;
  /** Called when the connection ends before `open`. */
  abandon?(): void;
  /** Called once the handshake is answered; it is told who listens from then on. */
  open(connection: HubConnection<Raw>): HubHandler<Raw>;
}

export function createHubReceiver(options: HubReceiverOptions): HubReceiver {
  const { transport, protocols, wheel, now, limits } = options;
  let handshake = createHandshakeReader(limits.messageBytes);
  /** What came before the handshake was answered, and behind it. */
  let early: Frame[] = [];
  let earlyBytes = 0;
  let live: Live | undefined;
  let state: "handshaking" | "preparing" | "open" | "closed" = "handshaking";
  let stateful: StatefulBuffer | undefined;
  let lastHeardAt = now();
  /** The handshake's timeout, and after it the client's, once that has been armed. */
  let timeout = wheel.after(limits.handshakeTimeoutMs, () => refuse("Handshake was canceled."));
  let armed = false;
  let keepAlive: { cancel(): void } | undefined;
  let ackTimer: { cancel(): void } | undefined;

  interface Live {
    readonly protocol: HubProtocol<Raw>;
    framing: { push(chunk: Frame): Raw[] };
    readonly handler: HubHandler<Raw>;
  }

  /** @returns false when it was closed already */
  function finish(): boolean {
    if (state === "closed") return false;
    state = "closed";
    early = [];
    timeout.cancel();
    keepAlive?.cancel();
    ackTimer?.cancel();
    if (live) live.handler.onClose();
    else options.abandon?.();
    return true;
  }

  function refuse(error: string): void {
    if (!finish()) return;
    transport.sink.send(transport.wrap(printHandshakeResponse(error)));
    transport.close();
  }

  function close(message: HubClose): void {
    const protocol = live?.protocol;
    if (!finish()) return;
    if (protocol) send(protocol, { type: "close", ...message });
    transport.close();
  }

  function send(protocol: HubProtocol<Raw>, message: HubMessage<Raw>): void {
    transport.sink.send(transport.wrap(protocol.print(message)), isCounted(message) ? 1 : 0);
  }

  function shake(record: string): void {
    let request: HandshakeRequest;
    try {
      request = parseHandshakeRequest(record);
    } catch {
      return refuse("An unexpected error occurred during connection handshake.");
    }
    const name = request.protocol.toLowerCase();
    const protocol = protocols.find((candidate) => candidate.name === name);
    if (!protocol) return refuse(`The protocol '${request.protocol}' is not supported.`);
    if (request.version > 2) {
      const text = `The server does not support version ${request.version} of the '${request.protocol}' protocol.`;
      return refuse(text);
    }
    if (transport.kind === "sse" && protocol.transferFormat === "Binary") {
      const text = `Cannot use the '${name}' protocol on the current transport. The transport does not support 'Binary' transfer format.`;
      return refuse(text);
    }
    if (request.version === 2) stateful = options.stateful;
    const prepared = options.prepare?.(protocol);
    if (!prepared) return open(protocol);
    state = "preparing";
    prepared.then(
      () => guard(() => state === "preparing" && open(protocol)),
      (error) => refuse(messageOf(error)),
    );
  }

  function open(protocol: HubProtocol<Raw>): void {
    timeout.cancel();
    // The answer is JSON in any case, in the frames of the protocol.
    const answer = printHandshakeResponse();
    const isText = protocol.transferFormat === "Text";
    transport.sink.send(transport.wrap(isText ? answer : new TextEncoder().encode(answer)));
    if (transport.kind !== "polling") {
      const ping = transport.wrap(protocol.print({ type: "ping" }));
      keepAlive = wheel.every(limits.keepAliveMs, () => transport.sink.send(ping));
    }
    ackTimer = stateful && wheel.every(1_000, acknowledge);
    state = "open";
    live = {
      protocol,
      framing: protocol.createFraming(limits.messageBytes),
      handler: options.open({
        protocol,
        transport,
        send(message) {
          if (state === "open") send(protocol, message);
        },
        pass(framed, counted) {
          if (state === "open") transport.sink.send(transport.wrap(framed), counted ? 1 : 0);
        },
        close,
        cut() {
          if (finish()) transport.close();
        },
      }),
    };
    const chunks = early;
    early = [];
    for (const chunk of chunks) read(chunk);
  }

  function acknowledge(): void {
    const sequenceId = stateful?.ackDue();
    if (sequenceId === undefined || !live) return;
    send(live.protocol, { type: "ack", sequenceId });
  }

  function watch(delayMs: number): void {
    // Looked at when it could be over, instead of set anew with each message.
    timeout = wheel.after(delayMs, () => {
      const leftMs = lastHeardAt + limits.clientTimeoutMs - now();
      if (leftMs > 0) watch(leftMs);
      else close({ error: CLOSED_WITH_ERROR, allowReconnect: true });
    });
  }

  function onMessage(
    message: HubMessage<Raw> | Unknown,
    record: Raw,
    handler: HubHandler<Raw>,
  ): void {
    switch (message.type) {
      case "ping":
        if (armed) return;
        armed = true;
        watch(limits.clientTimeoutMs);
        return;
      case "close":
        close({});
        return;
      case "ack":
        stateful?.ack(message.sequenceId);
        return;
      case "sequence":
        stateful?.sequence(message.sequenceId);
        return;
      case "unknown":
        // .NET goes deaf here for good; a clear end helps the one who wrote that client.
        throw new ProtocolError(`Unknown message type ${message.code}.`);
      default:
        if (stateful && !stateful.receive()) return; // it came before the reconnect, too
        handler.onMessage(message, record);
    }
  }

  function read(chunk: Frame): void {
    if (!live) return;
    const { protocol, framing, handler } = live;
    for (const record of framing.push(chunk)) {
      if (state !== "open") return;
      lastHeardAt = now(); // a part of a record is no sign of life
      onMessage(protocol.parse(record, "client"), record, handler);
    }
  }

  /** The one place where what a client must not send ends its connection. */
  function guard(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      if (live) close({ error: CLOSED_WITH_ERROR, allowReconnect: true });
      else refuse("Handshake was canceled.");
    }
  }

  return {
    receive(chunk) {
      if (state === "closed") return;
      guard(() => {
        if (state === "handshaking") {
          const opening = handshake.push(chunk);
          if (!opening) return;
          if (opening.rest.length > 0) early.push(opening.rest);
          shake(opening.record);
        } else if (state === "preparing") {
          earlyBytes += chunk.length;
          if (earlyBytes > MAX_EARLY_BYTES)
            throw new ProtocolError("Too much before the handshake");
          early.push(chunk);
        } else read(chunk);
      });
    },
    gone: () => void finish(),
    close,
    get isStateful() {
      return (state === "handshaking" ? options.stateful : stateful) !== undefined;
    },
    resume() {
      if (state === "handshaking") handshake = createHandshakeReader(limits.messageBytes);
      if (!live || !stateful || state !== "open") return;
      // What the old socket brought of an unfinished message comes again, whole.
      live.framing = live.protocol.createFraming(limits.messageBytes);
      const { sequenceId, frames } = stateful.resend();
      send(live.protocol, { type: "sequence", sequenceId });
      for (const frame of frames) transport.sink.send(frame);
    },
  };
}

/** Whether stateful reconnect counts it: types 1 to 5. */
export function isCounted({ type }: HubMessage<Raw> | Unknown): boolean {
  switch (type) {
    case "invocation":
    case "streamInvocation":
    case "streamItem":
    case "completion":
    case "cancelInvocation":
      return true;
    default:
      return false;
  }
}
