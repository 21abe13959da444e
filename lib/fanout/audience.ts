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
 * Joins what several topics' subscriber is told at once so that, in whatever message a client is
 * cut, the last position it saw is true for all of them. Publications go in the order of the feed.
 * When the state of one topic is told, no position is shown before all states have been.
 */
export function joinRuns(runs: readonly (readonly Message[])[]): readonly Message[] {
  if (runs.length <= 1) return runs[0] ?? [];
  const states: Message[] = [];
  const publications: Placed[] = [];
  const ends: Message[] = [];
  for (const run of runs) {
    let isEnding = false;
    for (const message of run) {
      isEnding ||= message.type === "subscribed" || message.type === "live";
      if (isEnding) ends.push(message);
      else if (message.type === "publication") publications.push({ message, of: message });
      else if (message.type === "newest") publications.push({ message, of: message.publication });
      else states.push(message);
    }
  }
  publications.sort((a, b) => a.of.sequence - b.of.sequence);
  const isReset = states.some(({ type }) => type === "reset");
  if (!isReset) return [...states, ...publications.map(({ message }) => message), ...ends];
  const values = publications.map(({ of }) => ({ type: "value", publication: of }) as const);
  return [...states, ...values, ...ends];
}

interface Placed {
  readonly message: Message;
  readonly of: Publication;
}
