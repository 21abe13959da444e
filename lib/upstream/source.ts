/** What a feed asks of wherever its publications come from, and what it is told. */

import type { Topic } from "../topic/topic.ts";
import type { Invocation, Raw, StreamItem } from "../wire/hub.ts";

export interface Source<R extends Raw> {
  /** Begins to connect, also after `stop`. Nothing is told before. */
  start(): void;
  /** Whether the origin can be asked now. */
  readonly connected: boolean;
  /** Subscribes upstream, now and after every reconnect, until `leave`. */
  join(topic: Topic): void;
  leave(topic: Topic): void;
  /**
   * Invokes a hub method on the shared connection.
   * @returns a promise of the raw result; it rejects with `HubError` when the origin answers with an
   * error, and with `UnavailableError` when it is away
   */
  invoke(method: string, args: readonly unknown[]): Promise<R>;
  /** Leaves the origin; what is wanted stays wanted. */
  stop(): Promise<void>;
}

export interface SourceListener<R extends Raw> {
  /** The connection is there; each topic follows with `joined`. */
  up(): void;
  /** The connection is gone: publications may be missed from here on. */
  down(): void;
  /** The origin accepted a join (`result` is its answer), or the stream was asked for. */
  joined(topic: Topic, result: R | undefined): void;
  /** The origin refused a topic, or ended its stream, with this text. It has been left. */
  ended(topic: Topic, reason: "rejected" | "ended", error: string | undefined): void;
  push(invocation: Invocation<R>): void;
  item(topic: Topic, item: StreamItem<R>): void;
  /** Something came from the origin, be it a ping. */
  heard(): void;
}
