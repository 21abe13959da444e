/** Subscribers of the same topics in the same format at the same rate: they are sent the same bytes. */

import type { Timer } from "../clock.ts";
import type { Message } from "../topic/publication.ts";
import type { Audience, Marks } from "./audience.ts";
import type { Subscriber } from "./fanout.ts";
import type { Format } from "./format.ts";

export interface Cohort {
  readonly name: string;
  readonly format: Format;
  readonly audiences: ReadonlySet<Audience>;
  /** Whether a member that does not keep up may be left behind: all topics conflate. */
  readonly canLag: boolean;
  readonly members: Subscriber[];
  /** This tick's messages. */
  due: Message[];
  /** Of those who asked for a rate. */
  readonly cap: Cap | undefined;
}

/**
 * What a rate-capped cohort has instead of noting each publication: how far its members have been
 * told. What is new since then is asked of the topics when its time has come.
 */
export interface Cap {
  readonly periodMs: number;
  readonly marks: Marks;
  /** Whether anything is new. */
  isBehind: boolean;
  /** Those who entered when something was new that they know already: they go by marks of their own. */
  readonly newcomers: Set<Subscriber>;
  /** When publications may go out again, Unix ms. */
  openAt: number;
  timer: Timer | undefined;
}
