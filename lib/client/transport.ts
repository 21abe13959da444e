/** The seam between a feed and its two transports. */

import type { ServerMessage } from "./message.ts";
import type { Settings } from "./options.ts";
import type { Topic } from "./topic.ts";

/** A way to reach the relay. */
export type TransportName = "websocket" | "sse";

/** How a link came to its end. */
export interface LinkEnd {
  /** For a person. */
  readonly error: string;
  /** True when the relay asked not to come back with the same request. */
  readonly fatal?: boolean;
  /** The relay asked not to come back earlier, ms. */
  readonly notBeforeMs?: number | undefined;
}

/** What a link is given, and whom it tells. It MUST NOT call anything once it was closed or has ended. */
export interface LinkHost {
  /** The topics that are wanted, always as of now. The link asks for those that are due. */
  readonly topics: ReadonlyMap<string, Topic>;
  readonly settings: Settings;
  /** A request is going out. */
  onDial(): void;
  /** Something came from the relay, if only a heartbeat. */
  onHeard(): void;
  onMessage(message: ServerMessage): void;
  /** The link is no more. Called once. */
  onEnd(end: LinkEnd): void;
}

/** One connection to the relay, from the attempt to its end. */
export interface Link {
  /** Brings the relay's subscriptions in line with `topics`. */
  sync(): void;
  close(): void;
}

/** Starts to connect. Never throws: a failure is an end. */
export type Dial = (host: LinkHost) => Link;
