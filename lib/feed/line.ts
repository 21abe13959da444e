/**
 * Where a feed's topics come from: the owner itself, when it lives in this isolate, or whatever
 * brings them from the owner's. A topic is kept up to date for as long as it is wanted, and whoever
 * wants it is told what has happened to it.
 */

import type { Publication, ResetReason } from "../topic/publication.ts";
import type { Topic } from "../topic/topic.ts";
import type { Answer } from "../upstream/calls.ts";
import type { Raw } from "../wire/hub.ts";
import type { Declared } from "./spec.ts";

export interface Line<R extends Raw> {
  /** Id of this life of the feed. */
  readonly epoch: string;
  /** Number of the newest publication or reset of any of its topics. */
  readonly sequence: number;
  /** Whether the origin is there. */
  readonly connected: boolean;
  /** When something last came from the origin, Unix ms. */
  readonly lastMessageAt: number | undefined;
  start(): void;
  stop(): Promise<void>;
  /** Keeps a topic subscribed until `leave`. To be asked once for each name. */
  want(name: string, declared: Declared): Topic;
  leave(topic: Topic): void;
  /** Has the snapshot of a live topic fetched anew; `changed` follows. */
  refresh(topic: Topic): void;
  /** A shared call. Rejects as `Source.invoke` does. */
  call(method: string, args: readonly unknown[], maxAgeMs: number): Promise<Answer<R>>;
}

/** Told of topics that are wanted, after the change has been made. */
export interface LineListener {
  published(topic: Topic, publication: Publication): void;
  /** It was live, and is not any more: publications may be missed from here on. */
  stalled(topic: Topic): void;
  /**
   * Its state has been made sure of: whoever knew it is to begin anew.
   * @param late whether it has been shown as live before, with a state that was not known yet
   */
  reset(topic: Topic, reason: ResetReason, late: boolean): void;
  /** The origin refused it, or ended its stream, with this text. It is wanted no more. */
  ended(topic: Topic, reason: "rejected" | "ended", error: string | undefined): void;
  /** Something that one may wait for: it was accepted, its snapshot has come, the origin is away. */
  changed(topic: Topic): void;
}
