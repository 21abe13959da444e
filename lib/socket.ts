/**
 * The seam to a runtime's WebSocket, for both directions: a client's socket that an entry has
 * accepted, and the upstream socket that an entry has dialled.
 */

/** What goes into one WebSocket message: text as a string, binary as bytes. */
export type Frame = string | Uint8Array;

/** Size on the wire, bytes. */
export function byteLength(frame: Frame): number {
  return typeof frame === "string" ? encoder.encode(frame).byteLength : frame.byteLength;
}

const encoder = new TextEncoder();

/** How long a client may take for what was on its way to it when it was sent away, ms. */
export const FAREWELL_MS = 5_000;

/** One open WebSocket. Every method MAY be called after it has closed, and does nothing then. */
export interface Socket {
  /**
   * Queues one message. MUST NOT throw.
   * @returns false when the peer does not keep up: this one, or one before it, has not left yet
   */
  send(frame: Frame): boolean;
  /** Bytes that were sent and have not left the process yet. */
  readonly bufferedBytes: number;
  /**
   * Starts the closing handshake. A peer that does not read, and so never ends it, is to be cut
   * after `FAREWELL_MS`, or as soon after it as the runtime can.
   * @param reason at most 123 bytes (RFC 6455 section 5.5.1)
   */
  close(code: number, reason?: string): void;
}

/** What a session wants to hear of its socket. Calls come one at a time and in order. */
export interface SocketHandler {
  message(frame: Frame): void;
  /** Once, and nothing after it. 1006 when the connection broke without a close frame. */
  close(code: number, reason: string): void;
}

/**
 * Turns the request at hand into a WebSocket. `accept` is called once the socket is open, and
 * returns who listens to it. The response MUST be handed back to the runtime as it is.
 */
export type Upgrade = (accept: (socket: Socket) => SocketHandler) => Response;

/**
 * Breaks the connection on which a response is on its way, with whatever has not been read of it, at
 * once or within seconds. It does nothing when the response is through, whatever came behind it.
 */
export type Cut = () => void;

/**
 * Opens a WebSocket as a client.
 * @returns a promise of the open socket; it rejects with an `Error` when it cannot be opened, and
 * with `signal.reason` when aborted before.
 */
export type Dial = (
  url: string,
  options: {
    readonly headers: Readonly<Record<string, string>>;
    readonly signal: AbortSignal;
    accept(socket: Socket): SocketHandler;
  },
) => Promise<void>;
