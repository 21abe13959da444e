/** What an application sees of a topic. */

import type { ResetReason } from "./message.ts";

/**
 * - `connecting`: not opened yet;
 * - `live`: what is known is what the origin last said;
 * - `stale`: it may be old, because the relay lost the origin or we lost the relay;
 * - `closed`: ended by the relay, or nobody listens any more.
 */
export type TopicState = "connecting" | "live" | "stale" | "closed";

/** The newest publication of one key, in a reset. */
export interface Latest<T> {
  readonly event: string;
  readonly data: T;
}

/** One item of a topic, in order and never twice. */
export interface PublicationUpdate<T> {
  readonly type: "publication";
  readonly topic: string;
  readonly event: string;
  readonly data: T;
  readonly position?: string | undefined;
}

/**
 * Forget what you know of the topic: this is its state, whole. The first update of every listener.
 * `reason` is the relay's, or `overflow` when this iteration fell `maxPending` updates behind.
 * `snapshot` is absent when the topic has none; a schema is not applied to it.
 */
export interface ResetUpdate<T> {
  readonly type: "reset";
  readonly topic: string;
  readonly reason: ResetReason | "overflow";
  readonly snapshot?: unknown;
  readonly latest: readonly Latest<T>[];
  readonly position: string;
}

/** After a reconnect: the publications just delivered were all that was missed. */
export interface RecoveredUpdate {
  readonly type: "recovered";
  readonly topic: string;
  readonly position: string;
}

/**
 * Publications were left out, `skipped` of them, because of the topic's `rate` or because this client
 * did not keep up. The newest of each key that changed are the publications that come next.
 */
export interface ConflatedUpdate {
  readonly type: "conflated";
  readonly topic: string;
  readonly skipped: number;
}

/**
 * The state changed. `lastMessageAt`, Unix milliseconds, is when the relay last heard the origin;
 * absent when it did not say, or when it is the relay that was lost.
 */
export interface StateUpdate {
  readonly type: "state";
  readonly topic: string;
  readonly state: TopicState;
  readonly lastMessageAt?: number | undefined;
}

/** The last update: the topic was refused (`error` says why), or its stream came to its end. */
export interface EndUpdate {
  readonly type: "end";
  readonly topic: string;
  readonly reason: "rejected" | "ended";
  readonly error?: string | undefined;
}

/** All that happens to a topic. */
export type Update<T = unknown> =
  | PublicationUpdate<T>
  | ResetUpdate<T>
  | RecoveredUpdate
  | ConflatedUpdate
  | StateUpdate
  | EndUpdate;
