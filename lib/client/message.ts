/**
 * The messages of the plain protocol, as both transports carry them.
 *
 * @see PROTOCOL.md, section 3
 */

/** One item of a topic. `position` is absent behind a reset. */
export interface PublicationMessage {
  readonly type: "publication";
  readonly topic: string;
  readonly position?: string;
  readonly event: string;
  readonly data: unknown;
  /** Of which it is the newest; only where deltas were asked for. */
  readonly key?: string;
  /** Where deltas were asked for and there is no position. */
  readonly sequence?: number;
  /** The JSON text of `data`, put here by `decode` where there is a key. */
  readonly text?: string;
}

/** Text to write over the base, and numbers of units to copy of it or to pass over: PROTOCOL.md, section 8. */
export type Patch = readonly (number | string)[];

/**
 * A publication against the one before of its key: the sequence of that one, the checksum of the JSON
 * text that comes out, and what to do for it.
 */
export type Delta = readonly [
  topic: string,
  position: string,
  base: number,
  check: number,
  patch: Patch,
];

/** A publication as a delta. */
export interface DeltaMessage {
  readonly type: "delta";
  readonly topic: string;
  readonly delta: Delta;
}

/** Publications were left out; the newest of each key that changed follow. */
export interface ConflatedMessage {
  readonly type: "conflated";
  readonly topic: string;
  readonly skipped: number;
}

/** Why the state of a topic starts over: PROTOCOL.md, section 2. */
export type ResetReason = "new" | "invalid" | "epoch" | "evicted" | "break";

/** Forget the topic; its newest publications follow, then `subscribed` or `live`. */
export interface ResetMessage {
  readonly type: "reset";
  readonly topic: string;
  readonly reason: ResetReason;
  readonly snapshot?: unknown;
}

/** End of an opening. */
export interface SubscribedMessage {
  readonly type: "subscribed";
  readonly topic: string;
  readonly position: string;
  readonly recovered: boolean;
  readonly state: "live" | "stale";
}

/** The origin is away. `lastMessageAt` is in Unix milliseconds. */
export interface StaleMessage {
  readonly type: "stale";
  readonly topic: string;
  readonly lastMessageAt?: number;
}

/** The origin is back: end of the reset that went before. */
export interface LiveMessage {
  readonly type: "live";
  readonly topic: string;
  readonly position: string;
}

/** The relay sends no more of the topic. `error` is the text of the origin. */
export interface UnsubscribedMessage {
  readonly type: "unsubscribed";
  readonly topic: string;
  readonly reason: "requested" | "rejected" | "ended";
  readonly error?: string;
}

/** What a relay says of a request it refused, on a socket and in the body of an HTTP refusal. */
export interface Refusal {
  /** A code of PROTOCOL.md, section 6. */
  readonly code: string;
  readonly message: string;
  readonly topic?: string;
}

/** The request with this `id` was refused, and nothing of it was done. */
export interface ErrorMessage extends Refusal {
  readonly type: "error";
  readonly id?: string | number;
}

/** The relay goes away: come back in `retryMs`. */
export interface DrainMessage {
  readonly type: "drain";
  readonly retryMs: number;
}

/** Messages about one topic. */
export type TopicMessage =
  | PublicationMessage
  | DeltaMessage
  | ConflatedMessage
  | ResetMessage
  | SubscribedMessage
  | StaleMessage
  | LiveMessage
  | UnsubscribedMessage;

/** All that a relay sends. */
export type ServerMessage =
  | TopicMessage
  | ErrorMessage
  | DrainMessage
  | { readonly type: "pong" | "heartbeat" };

/** All that this client sends on a socket. */
export type ClientMessage =
  | {
      readonly type: "subscribe";
      readonly id: number;
      readonly topics: readonly {
        readonly topic: string;
        readonly since?: string | undefined;
        readonly rate?: number | undefined;
      }[];
    }
  | { readonly type: "unsubscribe"; readonly topics: readonly string[] }
  | { readonly type: "ping" };

/** Most topics that one `subscribe` or one event stream may name. */
export const MAX_TOPICS = 100;

/**
 * Reads one message of a relay.
 *
 * Looks at no more than that it is an object: the relay is the one who chose to be asked, unknown
 * types and fields are to be ignored, and a message for a topic nobody has goes nowhere.
 *
 * @throws SyntaxError when the text is not a JSON object or array.
 */
export function decode(line: string): ServerMessage {
  const value: unknown = JSON.parse(line);
  if (typeof value !== "object" || value === null) {
    throw new SyntaxError(`Cannot read message: it is ${value}, not an object`);
  }
  // From here on it is the relay's word, see above.
  if (Array.isArray(value)) {
    return { type: "delta", topic: value[0], delta: value as unknown as Delta };
  }
  if ("key" in value) {
    // Nothing comes behind the data, and within a string before it the quotes would be escaped.
    const data = ',"data":';
    const text = line.slice(line.indexOf(data) + data.length, -1);
    return { ...(value as PublicationMessage), text };
  }
  return value as ServerMessage;
}
