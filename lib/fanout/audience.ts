/** Who is interested in one topic, and what of it those are told who could not follow it. */

import type { Message, Publication } from "../topic/publication.ts";
import type { Mark, SlowPolicy } from "../topic/topic.ts";
import type { Cohort } from "./cohort.ts";
import type { Subscriber } from "./fanout.ts";

/** What a topic remembers, for those who are behind. */
export interface Backlog {
  /** Where it is now. */
  mark(): Mark;
  /**
   * What brings a subscriber from a mark to now: the newest of each key.
   * @param stateful as in `Format`
   * @returns `undefined` when that cannot be said any more
   */
  since(mark: Mark, stateful: boolean): readonly Message[] | undefined;
}

export interface Audience {
  /** Distinct for each topic of a fan-out; names the cohorts. */
  readonly id: number;
  readonly backlog: Backlog;
  readonly slow: SlowPolicy;
  readonly cohorts: Set<Cohort>;
  /** Those who lag, and stand in no cohort. */
  readonly laggards: Set<Subscriber>;
}

/** How far one subscriber, or all of a cohort, have been told of each topic. */
export type Marks = Map<Audience, Mark>;

export function markAll(audiences: Iterable<Audience>): Marks {
  const marks: Marks = new Map();
  for (const audience of audiences) marks.set(audience, audience.backlog.mark());
  return marks;
}

/**
 * What brings from the marks to now, of all topics together.
 * @returns `undefined` when it cannot be said of one of them
 */
export function catchUp(marks: Marks, stateful: boolean): readonly Message[] | undefined {
  const runs: (readonly Message[])[] = [];
  for (const [audience, mark] of marks) {
    const run = audience.backlog.since(mark, stateful);
    if (run === undefined) return undefined;
    if (run.length > 0) runs.push(run);
  }
  return joinRuns(runs);
}

/**
 * Joins what a subscriber of several topics is told at once so that, in whatever message it is cut,
 * the last position it saw is true for all of them. Publications go in the order of the feed. When
 * the state of one topic is told, no position is shown before all states have been.
 */
export function joinRuns(runs: readonly (readonly Message[])[]): readonly Message[] {
  if (runs.length <= 1) return runs[0] ?? [];
  const states: Message[] = [];
  const publications: Placed[] = [];
  const ends: Message[] = [];
  for (const run of runs) {
    const end = run.findIndex(isEnd);
    for (const [i, message] of run.entries()) {
      if (message.type === "publication" || message.type === "newest") {
        const publication = message.type === "newest" ? message.publication : message;
        // The last one of a run without an end is what shows how far its topic has been told.
        publications.push({ message, publication, isLast: end < 0 && i === run.length - 1 });
      } else if (end >= 0 && i >= end) ends.push(message);
      else states.push(message);
    }
  }
  publications.sort((a, b) => a.publication.sequence - b.publication.sequence);
  const toMessages = (placed: readonly Placed[]) => placed.map(({ message }) => message);
  if (!states.some(({ type }) => type === "reset")) {
    return [...states, ...toMessages(publications), ...ends];
  }
  const values = publications
    .filter(({ isLast }) => !isLast)
    .map(({ publication }) => ({ type: "value", publication }) as const);
  const lasts = toMessages(publications.filter(({ isLast }) => isLast));
  return [...states, ...values, ...lasts, ...ends];
}

/** Whether it ends the state of its topic, and shows a position. */
function isEnd({ type }: Message): boolean {
  return type === "subscribed" || type === "live";
}

interface Placed {
  readonly message: Message;
  readonly publication: Publication;
  readonly isLast: boolean;
}
