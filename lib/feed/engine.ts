/** What keeps the topics of a table up to date: the owner, or a replica of one that lives elsewhere. */

import type { Topic } from "../topic/topic.ts";
import type { Answer } from "../upstream/calls.ts";
import type { Raw } from "../wire/hub.ts";

export interface Engine<R extends Raw> {
  /** Id of this life of the feed. */
  readonly epoch: string;
  /** Number of the newest publication or reset of any of its topics. */
  readonly sequence: number;
  /** Whether the origin is there. */
  readonly connected: boolean;
  /** When something last came from the origin, Unix ms. */
  readonly lastMessageAt: number | undefined;
  start(): void;
  /** Rests; what is wanted stays wanted. */
  stop(): Promise<void>;
  /** Another takes its place: it changes nothing in the table any more. */
  retire(): Promise<void>;
  /** A topic is wanted from now on. */
  join(topic: Topic): void;
  /** A topic is wanted no more. */
  leave(topic: Topic): void;
  /** Has the snapshot of a live topic fetched anew. */
  refresh(topic: Topic): void;
  /** A shared call. Rejects as `Source.invoke` does. */
  call(method: string, args: readonly unknown[], maxAgeMs: number): Promise<Answer<R>>;
}
