/**
 * Fan-out: from one publication to everybody who subscribes to its topic.
 *
 * Subscribers with the same format and the same topics form a cohort. A publication is noted once
 * per cohort, and at the end of the tick each cohort's messages are rendered and joined once, and
 * sent to each member in one call. The loop over members holds no stringify, no allocation and no
 * await.
 */

import type { Clock } from "../clock.ts";
import { byteLength } from "../socket.ts";
import type { Stats } from "../stats.ts";
import type { Message } from "../topic/publication.ts";
import { type Format, renderAll } from "./format.ts";
import type { Sink } from "./sink.ts";

/** Who subscribes to one topic. */
export interface Audience {
  /** Distinct for each topic of a fan-out; names the cohorts. */
  readonly id: number;
  readonly cohorts: Set<Cohort>;
}

/** One connection's subscriptions in one format. */
export interface Subscriber {
  readonly sink: Sink;
  readonly format: Format;
  /** Called when more than `maxQueueBytes` wait for it. It SHOULD close the connection. */
  onSlow(): void;
  /** Where it stands now; only fan-out changes these. */
  cohort: Cohort | undefined;
  place: number;
}

interface Cohort {
  readonly name: string;
  readonly format: Format;
  readonly audiences: ReadonlySet<Audience>;
  readonly members: Subscriber[];
  /** This tick's messages. */
  due: Message[];
}

export interface Fanout {
  /** What may wait for a subscriber before it is told that it is slow, bytes. */
  readonly maxQueueBytes: number;
  createAudience(): Audience;
  /** Makes these the topics of the subscriber; none takes it out. What is due before is sent first. */
  place(subscriber: Subscriber, audiences: ReadonlySet<Audience>): void;
  /** Notes a message for everybody in the audience. */
  publish(
    audience: Audience,
    message: Message,
    options?: { readonly statelessOnly: boolean },
  ): void;
  /** Sends everything that is due now. */
  flush(): void;
  /** Everybody in the audience. */
  members(audience: Audience): Subscriber[];
}

export function createFanout(options: {
  readonly clock: Clock;
  readonly stats: Stats;
  /** As in `Fanout`. */
  readonly maxQueueBytes: number;
}): Fanout {
  const { clock, stats, maxQueueBytes } = options;
  const cohorts = new Map<string, Cohort>();
  let dirty: Cohort[] = [];
  let scheduled = false;
  let audienceCount = 0;

  function send(cohort: Cohort): void {
    const { due, members, format } = cohort;
    cohort.due = [];
    const batch = renderAll(format, due);
    if (batch === undefined) return;
    const { frame, count } = batch;
    stats.deliveries += count * members.length;
    stats.sentBytes += byteLength(frame) * members.length;
    // Backwards, because a member may leave while it is sent to: the last one takes its place.
    for (let i = members.length - 1; i >= 0; i--) {
      const member = members[i] as Subscriber;
      if (member.sink.send(frame, count)) continue;
      if (member.sink.bufferedBytes > maxQueueBytes) member.onSlow();
    }
  }

  function flush(): void {
    scheduled = false;
    const cohorts = dirty;
    dirty = [];
    for (const cohort of cohorts) if (cohort.due.length > 0) send(cohort);
  }

  function leave(subscriber: Subscriber): void {
    const { cohort, place } = subscriber;
    if (!cohort) return;
    const last = cohort.members.pop() as Subscriber;
    if (last !== subscriber) {
      cohort.members[place] = last;
      last.place = place;
    }
    subscriber.cohort = undefined;
    if (cohort.members.length > 0) return;
    cohorts.delete(cohort.name);
    for (const audience of cohort.audiences) audience.cohorts.delete(cohort);
  }

  function cohortOf(format: Format, audiences: ReadonlySet<Audience>): Cohort {
    const ids = [...audiences].map((audience) => audience.id).sort((a, b) => a - b);
    const name = `${format.name} ${ids.join(" ")}`;
    let cohort = cohorts.get(name);
    if (!cohort) {
      cohort = { name, format, audiences: new Set(audiences), members: [], due: [] };
      cohorts.set(name, cohort);
      for (const audience of audiences) audience.cohorts.add(cohort);
    }
    return cohort;
  }

  return {
    maxQueueBytes,
    createAudience: () => ({ id: audienceCount++, cohorts: new Set() }),
    place(subscriber, audiences) {
      // Who leaves is still owed what is due, and who enters must not get what is due from before.
      const { cohort: before } = subscriber;
      if (before?.due.length) {
        send(before);
        if (subscriber.cohort !== before) return; // it was found too slow, and has left meanwhile
      }
      leave(subscriber);
      if (audiences.size === 0) return;
      let cohort = cohortOf(subscriber.format, audiences);
      if (cohort.due.length > 0) {
        send(cohort);
        cohort = cohortOf(subscriber.format, audiences); // gone, if its last member was cut just now
      }
      subscriber.cohort = cohort;
      subscriber.place = cohort.members.push(subscriber) - 1;
    },
    publish(audience, message, { statelessOnly } = { statelessOnly: false }) {
      for (const cohort of audience.cohorts) {
        if (statelessOnly && cohort.format.stateful) continue;
        if (cohort.due.push(message) === 1) dirty.push(cohort);
      }
      if (scheduled || dirty.length === 0) return;
      scheduled = true;
      clock.soon(flush);
    },
    flush,
    members: (audience) => [...audience.cohorts].flatMap((cohort) => cohort.members),
  };
}
