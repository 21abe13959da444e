/**
 * Fan-out: from one publication to everybody who subscribes to its topic.
 *
 * Subscribers with the same format, topics and rate form a cohort. A publication is noted once per
 * cohort, and at the end of the tick each cohort's messages are rendered and joined once, and sent
 * to each member in one call. The loop over members holds no stringify, no allocation and no await.
 *
 * Who does not keep up leaves its cohort and is told nothing until it has read; then it gets what
 * the topics remember: the newest of each key. So it costs nothing while it lags.
 */

import type { Clock } from "../clock.ts";
import { byteLength } from "../socket.ts";
import type { Stats } from "../stats.ts";
import type { Message } from "../topic/publication.ts";
import type { SlowPolicy } from "../topic/topic.ts";
import { type Audience, type Backlog, catchUp, type Marks, markAll } from "./audience.ts";
import type { Cap, Cohort } from "./cohort.ts";
import { type Format, renderAll } from "./format.ts";
import { createSlowWatch, type QueueLimits, type Sender } from "./slow.ts";

/** One connection's subscriptions in one format and at one rate. */
export interface Subscriber extends Sender {
  readonly format: Format;
  /** Least time between two updates, ms; 0: as they come. */
  readonly periodMs: number;
  /** Where it stands now; only fan-out changes these. */
  cohort: Cohort | undefined;
  place: number;
  /** Of one who lags, or is a newcomer to a capped cohort: how far it has been told. */
  marks: Marks | undefined;
}

export interface FanoutLimits extends QueueLimits {
  /** What may wait for a connection of which all topics conflate before it is left behind, bytes. */
  readonly conflateBytes: number;
}

export interface Fanout {
  readonly limits: FanoutLimits;
  /** Bytes that wait for connections that do not keep up. */
  readonly queuedBytes: number;
  /** Subscribers that lag. */
  readonly laggardCount: number;
  createAudience(backlog: Backlog, slow: SlowPolicy): Audience;
  /**
   * Makes these the topics of the subscriber; none takes it out. What is due before is sent first,
   * so that all that comes later is later.
   */
  place(subscriber: Subscriber, audiences: ReadonlySet<Audience>): void;
  /** Sends messages to one subscriber, now. */
  send(subscriber: Subscriber, messages: readonly Message[]): void;
  /** Notes a message for everybody in the audience. The topic's backlog MUST know of it already. */
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

/** Members between two looks at the clock. */
const STRIDE = 64;

export function createFanout(options: {
  readonly clock: Clock;
  readonly stats: Stats;
  /** As in `Fanout`. */
  readonly limits: FanoutLimits;
}): Fanout {
  const { clock, stats, limits } = options;
  const { queueBytes, conflateBytes } = limits;
  const cohorts = new Map<string, Cohort>();
  const laggards = new Set<Subscriber>();
  const slow = createSlowWatch(clock, limits, retryLaggards);
  let dirty = new Set<Cohort>();
  let scheduled = false;
  let audienceCount = 0;

  function schedule(cohort: Cohort): void {
    dirty.add(cohort);
    if (scheduled) return;
    scheduled = true;
    clock.soon(flush);
  }

  function flush(): void {
    scheduled = false;
    const cohorts = dirty;
    dirty = new Set();
    for (const cohort of cohorts) sendDue(cohort);
  }

  /** Sends a cohort all that it has not been told yet. */
  function sendDue(cohort: Cohort): void {
    const newcomers = cohort.cap ? collect(cohort, cohort.cap) : [];
    if (cohort.due.length > 0) {
      const messages = cohort.due;
      cohort.due = [];
      sendAll(cohort, messages);
    }
    for (const newcomer of newcomers) admit(newcomer, cohort);
  }

  function sendAll({ format, members, cap }: Cohort, messages: readonly Message[]): void {
    const batch = renderAll(format, messages);
    if (batch === undefined) return;
    const { frame, count } = batch;
    const bytes = byteLength(frame);
    stats.deliveries += count * members.length;
    stats.sentBytes += bytes * members.length;
    let unobserved = 0;
    // Backwards, because a member may leave while it is sent to: the last one takes its place.
    for (let i = members.length - 1; i >= 0; i--) {
      const member = members[i] as Subscriber;
      if (!member.sink.send(frame, count)) onBehind(member, bytes);
      if (++unobserved < STRIDE && i > 0) continue;
      if (!cap) observeDwell(messages, unobserved); // a wait that was asked for is none of ours
      unobserved = 0;
    }
  }

  function observeDwell(messages: readonly Message[], times: number): void {
    const now = clock.monotonic();
    for (const message of messages) {
      if (message.type === "publication") stats.dwell.observe(now - message.receivedAt, times);
    }
  }

  function sendOne(subscriber: Subscriber, messages: readonly Message[]): void {
    const { sink, format } = subscriber;
    const batch = renderAll(format, messages);
    if (batch === undefined) return;
    // Judged by what waited before: what is told at once may be large, and is needed whole.
    if (sink.bufferedBytes > queueBytes) return subscriber.onSlow();
    const bytes = byteLength(batch.frame);
    stats.deliveries += batch.count;
    stats.sentBytes += bytes;
    if (!sink.send(batch.frame, batch.count)) slow.add(subscriber, bytes);
  }

  /** A member of a cohort has not taken all that it was sent. */
  function onBehind(member: Subscriber, sentBytes: number): void {
    const waiting = member.sink.bufferedBytes;
    slow.add(member, sentBytes);
    if (member.cohort?.canLag && waiting > conflateBytes) lag(member, member.cohort);
    else if (waiting > queueBytes) member.onSlow();
  }

  /** Leaves a member behind, who has been told everything until now. */
  function lag(member: Subscriber, { audiences }: Cohort): void {
    stats.lags++;
    leave(member);
    follow(member, audiences);
  }

  /** Makes these the topics of a laggard, who knows some of them already. */
  function follow(laggard: Subscriber, audiences: Iterable<Audience>, known?: Marks): void {
    laggard.marks = markAll(audiences);
    for (const [audience, mark] of known ?? []) {
      if (laggard.marks.has(audience)) laggard.marks.set(audience, mark);
    }
    laggards.add(laggard);
    for (const audience of laggard.marks.keys()) audience.laggards.add(laggard);
  }

  /** Those who have read meanwhile are told what they have missed. */
  function retryLaggards(): void {
    for (const laggard of [...laggards]) {
      const { sink, marks } = laggard;
      if (sink.bufferedBytes > conflateBytes / 2 || !marks || !bringUp(laggard, marks)) continue;
      if (sink.bufferedBytes > conflateBytes) continue;
      leave(laggard);
      enter(laggard, new Set(marks.keys()));
    }
  }

  /**
   * Tells one who goes by marks of its own what is new to it.
   * @returns false when it has been cut
   */
  function bringUp(subscriber: Subscriber, marks: Marks): boolean {
    const messages = catchUp(marks, subscriber.format.stateful);
    if (messages) {
      for (const audience of marks.keys()) marks.set(audience, audience.backlog.mark());
      sendOne(subscriber, messages);
    } else subscriber.onSlow();
    return subscriber.marks === marks;
  }

  /**
   * Makes due what is new to a capped cohort.
   * @returns those who came meanwhile
   */
  function collect(cohort: Cohort, cap: Cap): readonly Subscriber[] {
    if (!cap.isBehind) return [];
    cap.isBehind = false;
    cap.timer?.cancel();
    cap.openAt = clock.now() + cap.periodMs;
    cohort.due.push(...catchUpStateful(cap.marks));
    for (const audience of cohort.audiences) cap.marks.set(audience, audience.backlog.mark());
    return [...cap.newcomers];
  }

  /** Formats with rates are stateful, and those can be told everything. */
  function catchUpStateful(marks: Marks): readonly Message[] {
    return catchUp(marks, true) ?? [];
  }

  function admit(newcomer: Subscriber, cohort: Cohort): void {
    const { marks } = newcomer;
    if (newcomer.cohort !== cohort || !marks || !bringUp(newcomer, marks)) return;
    cohort.cap?.newcomers.delete(newcomer);
    newcomer.marks = undefined;
    newcomer.place = cohort.members.push(newcomer) - 1;
  }

  /** Something is new to a capped cohort: told when its time comes, or at the end of the tick. */
  function noteCapped(cohort: Cohort, cap: Cap, message: Message): void {
    if (message.type === "unsubscribed") {
      sendDue(cohort);
      cohort.due.push(message); // the one thing that no topic remembers
      schedule(cohort);
    } else if (message.type !== "publication") {
      cap.isBehind = true;
      schedule(cohort);
    } else if (!cap.isBehind) {
      cap.isBehind = true;
      const waitMs = cap.openAt - clock.now();
      if (waitMs > 0) cap.timer = clock.after(waitMs, () => sendDue(cohort));
      else schedule(cohort);
    }
  }

  function drop(laggard: Subscriber, audience: Audience): void {
    laggard.marks?.delete(audience);
    audience.laggards.delete(laggard);
  }

  function leave(subscriber: Subscriber): void {
    const { cohort, place, marks } = subscriber;
    subscriber.cohort = undefined;
    subscriber.marks = undefined;
    if (!cohort) {
      laggards.delete(subscriber);
      for (const audience of marks?.keys() ?? []) audience.laggards.delete(subscriber);
      return;
    }
    const { members, cap } = cohort;
    if (marks) cap?.newcomers.delete(subscriber);
    else {
      const last = members.pop() as Subscriber;
      if (last !== subscriber) {
        members[place] = last;
        last.place = place;
      }
    }
    if (members.length > 0 || (cap && cap.newcomers.size > 0)) return;
    cap?.timer?.cancel();
    cohorts.delete(cohort.name);
    for (const audience of cohort.audiences) audience.cohorts.delete(cohort);
  }

  function enter(subscriber: Subscriber, audiences: ReadonlySet<Audience>): void {
    let cohort = cohortOf(subscriber, audiences);
    if (cohort.due.length > 0) {
      sendDue(cohort); // it must not get what is due from before
      cohort = cohortOf(subscriber, audiences); // gone, if its last member was cut just now
    }
    subscriber.cohort = cohort;
    if (cohort.cap?.isBehind) {
      subscriber.marks = markAll(audiences);
      cohort.cap.newcomers.add(subscriber);
    } else subscriber.place = cohort.members.push(subscriber) - 1;
  }

  function cohortOf({ format, periodMs }: Subscriber, audiences: ReadonlySet<Audience>): Cohort {
    const all = [...audiences].sort((a, b) => a.id - b.id);
    const name = `${format.name} ${periodMs} ${all.map(({ id }) => id).join(" ")}`;
    let cohort = cohorts.get(name);
    if (!cohort) {
      cohort = {
        name,
        format,
        audiences: new Set(all),
        canLag: all.every(({ slow }) => slow === "conflate"),
        members: [],
        due: [],
        cap: periodMs > 0 ? createCap(periodMs, all) : undefined,
      };
      cohorts.set(name, cohort);
      for (const audience of all) audience.cohorts.add(cohort);
    }
    return cohort;
  }

  function createCap(periodMs: number, audiences: readonly Audience[]): Cap {
    const marks = markAll(audiences);
    return { periodMs, marks, isBehind: false, newcomers: new Set(), openAt: 0, timer: undefined };
  }

  /**
   * Sends one subscriber what it has not been told yet of the topics that it keeps.
   * @returns false when it was cut for it
   */
  function settle(subscriber: Subscriber, kept: ReadonlySet<Audience>): boolean {
    const { cohort, marks } = subscriber;
    if (marks) {
      // Of what it gives up, or opens anew, it is owed nothing.
      for (const audience of marks.keys()) if (!kept.has(audience)) drop(subscriber, audience);
      return bringUp(subscriber, marks);
    }
    if (!cohort) return true;
    if (cohort.cap?.isBehind) {
      const owed = [...cohort.cap.marks].filter(([audience]) => kept.has(audience));
      sendOne(subscriber, catchUpStateful(new Map(owed)));
    } else if (cohort.due.length > 0) sendDue(cohort);
    return subscriber.cohort === cohort || subscriber.marks !== undefined;
  }

  return {
    limits,
    get queuedBytes() {
      return slow.queuedBytes;
    },
    get laggardCount() {
      return laggards.size;
    },
    createAudience: (backlog, slow) => ({
      id: audienceCount++,
      backlog,
      slow,
      cohorts: new Set(),
      laggards: new Set(),
    }),
    place(subscriber, audiences) {
      if (audiences.size === 0) {
        if (subscriber.cohort?.due.length) sendDue(subscriber.cohort);
        slow.remove(subscriber);
        leave(subscriber);
        return;
      }
      const { marks } = subscriber;
      const isLaggard = laggards.has(subscriber);
      // One that lags, and only gives up topics, need not be told of the others now.
      const canWait = isLaggard && [...audiences].every((audience) => marks?.has(audience));
      if (!canWait && !settle(subscriber, audiences)) return;
      leave(subscriber);
      if (isLaggard) follow(subscriber, audiences, marks);
      else enter(subscriber, audiences);
    },
    send: sendOne,
    publish(audience, message, { statelessOnly } = { statelessOnly: false }) {
      for (const cohort of audience.cohorts) {
        if (statelessOnly && cohort.format.stateful) continue;
        if (cohort.cap) noteCapped(cohort, cohort.cap, message);
        else if (cohort.due.push(message) === 1) schedule(cohort);
      }
      if (message.type !== "unsubscribed") return; // laggards learn from the backlog
      for (const laggard of [...audience.laggards]) sendOne(laggard, [message]);
    },
    flush,
    members: (audience) => [
      ...[...audience.cohorts].flatMap(({ members, cap }) => [
        ...members,
        ...(cap ? cap.newcomers : []),
      ]),
      ...audience.laggards,
    ],
  };
}
