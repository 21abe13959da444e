/**
 * The server's side of one SignalR connection, over any transport: handshake, framing, pings,
 * timeouts, Close. What the messages mean is its handler's.
 *
 * @see https://github.com/dotnet/aspnetcore/blob/main/src/SignalR/docs/specs/HubProtocol.md
 */

import type { Timer } from "../clock.ts";
import { messageOf, ProtocolError } from "../errors.ts";
import type { Sink } from "../fanout/sink.ts";
import type { Frame } from "../socket.ts";
import type { Wheel } from "../wheel.ts";
import {
  createHandshakeReader,
  type HandshakeReader,
  type HandshakeRequest,
  parseHandshakeRequest,
  printHandshakeResponse,
} from "../wire/handshake.ts";
import type { Close, Framing, HubMessage, HubProtocol, Raw, Unknown } from "../wire/hub.ts";
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
  readonly kind: HubTransport["kind"];
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

/** Who is to listen to a new connection. Not kept once the handshake is answered. */
export interface Serving {
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

export interface HubReceiverOptions {
  readonly transport: HubTransport;
  readonly serving: Serving;
  /** Used when the client asks for it in its handshake. */
  readonly stateful?: StatefulBuffer | undefined;
}

/** What all connections have in common. */
export interface HubContext {
  readonly protocols: readonly HubProtocol<Raw>[];
  readonly wheel: Wheel;
  readonly now: () => number;
  readonly limits: HubLimits;
}

export function createHubReceiver(options: HubReceiverOptions, context: HubContext): HubReceiver {
  return new Receiver(options, context);
}

/** What a connection has until its handshake is answered. */
interface Opening {
  readonly serving: Serving;
  handshake: HandshakeReader;
  /** What came behind the handshake. */
  readonly early: Frame[];
  earlyBytes: number;
}

/** A class: there is one for each connection, and closures would take several times the memory. */
class Receiver implements HubReceiver, HubConnection<Raw> {
  readonly transport: HubTransport;
  readonly #context: HubContext;
  #state: "handshaking" | "preparing" | "open" | "closed" = "handshaking";
  #opening: Opening | undefined;
  #protocol: HubProtocol<Raw> | undefined;
  #framing: Framing<Raw> | undefined;
  #handler: HubHandler<Raw> | undefined;
  #stateful: StatefulBuffer | undefined;
  #lastHeardAt: number;
  /** The handshake's timeout, and after it the client's, once that has been armed. */
  #timeout: Timer | undefined;
  #keepAlive: Timer | undefined;
  #ackTimer: Timer | undefined;

  constructor({ transport, serving, stateful }: HubReceiverOptions, context: HubContext) {
    const { wheel, now, limits } = context;
    this.transport = transport;
    this.#context = context;
    const handshake = createHandshakeReader(limits.messageBytes);
    this.#opening = { serving, handshake, early: [], earlyBytes: 0 };
    this.#stateful = stateful;
    this.#lastHeardAt = now();
    this.#timeout = wheel.after(limits.handshakeTimeoutMs, () =>
      this.#refuse("Handshake was canceled."),
    );
  }

  get kind(): HubTransport["kind"] {
    return this.transport.kind;
  }

  get protocol(): HubProtocol<Raw> {
    return this.#protocol as HubProtocol<Raw>; // nobody sees a connection before its handshake
  }

  get isStateful(): boolean {
    return this.#stateful !== undefined;
  }

  receive(chunk: Frame): void {
    if (this.#state !== "closed") this.#guard(() => this.#take(chunk));
  }

  gone(): void {
    this.#finish();
  }

  send(message: HubMessage<Raw>): void {
    if (this.#state === "open") this.#send(message);
  }

  pass(framed: Raw, counted: boolean): void {
    const { sink } = this.transport;
    if (this.#state === "open") sink.send(this.transport.wrap(framed), counted ? 1 : 0);
  }

  close(close: HubClose): void {
    if (!this.#finish()) return;
    if (this.#handler) this.#send({ type: "close", ...close });
    this.transport.close();
  }

  cut(): void {
    if (this.#finish()) this.transport.close();
  }

  resume(): void {
    const { messageBytes } = this.#context.limits;
    const stateful = this.#stateful;
    if (this.#opening && this.#state === "handshaking") {
      this.#opening.handshake = createHandshakeReader(messageBytes);
    }
    if (!stateful || this.#state !== "open") return;
    // What the old socket brought of an unfinished message comes again, whole.
    this.#framing = this.protocol.createFraming(messageBytes);
    const { sequenceId, frames } = stateful.resend();
    this.#send({ type: "sequence", sequenceId });
    for (const frame of frames) this.transport.sink.send(frame);
  }

  /** @returns false when it was closed already */
  #finish(): boolean {
    if (this.#state === "closed") return false;
    this.#state = "closed";
    this.#timeout?.cancel();
    this.#keepAlive?.cancel();
    this.#ackTimer?.cancel();
    if (this.#handler) this.#handler.onClose();
    else this.#opening?.serving.abandon?.();
    this.#opening = undefined;
    return true;
  }

  #refuse(error: string): void {
    if (!this.#finish()) return;
    this.transport.sink.send(this.transport.wrap(printHandshakeResponse(error)));
    this.transport.close();
  }

  #send(message: HubMessage<Raw>): void {
    const frame = this.transport.wrap(this.protocol.print(message));
    this.transport.sink.send(frame, isCounted(message) ? 1 : 0);
  }

  #take(chunk: Frame): void {
    const opening = this.#opening;
    if (!opening) this.#read(chunk);
    else if (this.#state === "handshaking") {
      const first = opening.handshake.push(chunk);
      if (!first) return;
      if (first.rest.length > 0) opening.early.push(first.rest);
      this.#shake(first.record, opening);
    } else {
      opening.earlyBytes += chunk.length;
      if (opening.earlyBytes > MAX_EARLY_BYTES) {
        throw new ProtocolError("Too much before the handshake");
      }
      opening.early.push(chunk);
    }
  }

  #shake(record: string, opening: Opening): void {
    let request: HandshakeRequest;
    try {
      request = parseHandshakeRequest(record);
    } catch {
      return this.#refuse("An unexpected error occurred during connection handshake.");
    }
    const name = request.protocol.toLowerCase();
    const protocol = this.#context.protocols.find((candidate) => candidate.name === name);
    if (!protocol) return this.#refuse(`The protocol '${request.protocol}' is not supported.`);
    if (request.version > 2) {
      const text = `The server does not support version ${request.version} of the '${request.protocol}' protocol.`;
      return this.#refuse(text);
    }
    if (this.kind === "sse" && protocol.transferFormat === "Binary") {
      const text = `Cannot use the '${name}' protocol on the current transport. The transport does not support 'Binary' transfer format.`;
      return this.#refuse(text);
    }
    if (request.version !== 2) this.#stateful = undefined;
    const prepared = opening.serving.prepare?.(protocol);
    if (!prepared) return this.#open(protocol, opening);
    this.#state = "preparing";
    prepared.then(
      () => this.#guard(() => this.#state === "preparing" && this.#open(protocol, opening)),
      (error) => this.#refuse(messageOf(error)),
    );
  }

  #open(protocol: HubProtocol<Raw>, { serving, early }: Opening): void {
    const { sink } = this.transport;
    const { wheel, limits } = this.#context;
    this.#timeout?.cancel();
    this.#timeout = undefined;
    this.#protocol = protocol;
    // The answer is JSON in any case, in the frames of the protocol.
    const answer = printHandshakeResponse();
    const isText = protocol.transferFormat === "Text";
    sink.send(this.transport.wrap(isText ? answer : new TextEncoder().encode(answer)));
    if (this.kind !== "polling") {
      this.#keepAlive = wheel.every(limits.keepAliveMs, () => this.#send({ type: "ping" }));
    }
    if (this.#stateful) this.#ackTimer = wheel.every(1_000, () => this.#acknowledge());
    this.#state = "open";
    this.#framing = protocol.createFraming(limits.messageBytes);
    this.#handler = serving.open(this);
    this.#opening = undefined;
    for (const chunk of early) this.#read(chunk);
  }

  #acknowledge(): void {
    const sequenceId = this.#stateful?.ackDue();
    if (sequenceId !== undefined) this.#send({ type: "ack", sequenceId });
  }

  #watch(delayMs: number): void {
    const { wheel, now, limits } = this.#context;
    // Looked at when it could be over, instead of set anew with each message.
    this.#timeout = wheel.after(delayMs, () => {
      const leftMs = this.#lastHeardAt + limits.clientTimeoutMs - now();
      if (leftMs > 0) this.#watch(leftMs);
      else this.close({ error: CLOSED_WITH_ERROR, allowReconnect: true });
    });
  }

  #read(chunk: Frame): void {
    const { protocol } = this;
    for (const record of this.#framing?.push(chunk) ?? []) {
      if (this.#state !== "open") return;
      this.#lastHeardAt = this.#context.now(); // a part of a record is no sign of life
      this.#onMessage(protocol.parse(record, "client"), record);
    }
  }

  #onMessage(message: HubMessage<Raw> | Unknown, record: Raw): void {
    switch (message.type) {
      case "ping":
        if (!this.#timeout) this.#watch(this.#context.limits.clientTimeoutMs);
        return;
      case "close":
        this.close({});
        return;
      case "ack":
        this.#stateful?.ack(message.sequenceId);
        return;
      case "sequence":
        this.#stateful?.sequence(message.sequenceId);
        return;
      case "unknown":
        // .NET goes deaf here for good; a clear end helps the one who wrote that client.
        throw new ProtocolError(`Unknown message type ${message.code}.`);
      default:
        if (this.#stateful?.receive() === false) return; // it came before the reconnect, too
        this.#handler?.onMessage(message, record);
    }
  }

  /** The one place where what a client must not send ends its connection. */
  #guard(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      if (this.#handler) this.close({ error: CLOSED_WITH_ERROR, allowReconnect: true });
      else this.#refuse("Handshake was canceled.");
    }
  }
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
