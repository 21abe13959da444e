/** A replica of a feed that another isolate owns: kept by what the owner says on the bus. */

import type { Channel } from "../bus/bus.ts";
import type { Clock, Timer } from "../clock.ts";
import { HubError, UnavailableError } from "../errors.ts";
import type { Stats } from "../stats.ts";
import { NOWHERE } from "../topic/position.ts";
import type { Topic } from "../topic/topic.ts";
import type { Answer } from "../upstream/calls.ts";
import type { Raw } from "../wire/hub.ts";
import type { Engine } from "./engine.ts";
import {
  type AsOf,
  type Bare,
  type Batch,
  dress,
  dressAll,
  type Event,
  type FeedMessage,
  type Image,
  type Lapse,
} from "./message.ts";
import { BEAT_MS } from "./server.ts";
import type { TopicTable } from "./table.ts";

/** An owner that says nothing for so many beats is taken for away. */
const PATIENCE_BEATS = 6;

/** How often the owner is told all that is wanted here, beats. */
const INTEREST_BEATS = 20;

/** A call that is not answered for this long is given up, ms. */
const CALL_TIMEOUT_MS = 30_000;

export function createReplica<R extends Raw>(
  table: TopicTable,
  options: {
    /** Whom to believe; nobody as long as there is none. */
    readonly owner: string | undefined;
    readonly channel: Channel<FeedMessage>;
    /** Calls that wait for their answer at one time. */
    readonly maxCalls: number;
    readonly clock: Clock;
    readonly stats: Stats;
  },
): Engine<R> {
  const { owner, channel, maxCalls, clock, stats } = options;
  /** Topics of which nothing is known yet. */
  const blank = new Set<Topic>();
  /** Something has been lost: until it has come, nothing is told. */
  let lapse: Lapse | undefined;
  let lapseCount = 0;
  const calls = new Map<number, PendingCall<R>>();
  let callCount = 0;
  /** Nothing before the first batch. */
  let heard: Batch | undefined;
  let heardAt = clock.now();
  let sequence = 0;
  let isAway = true;
  /** Some topics have begun anew, and others are about to. */
  let isHalfway = false;

  /**
   * The epoch of what is shown now. A position is for all topics of a stream, and other isolates may
   * know of each what came before it: so nobody goes on from one that is not true for all here.
   */
  function shownEpoch(): string {
    if (!heard || isHalfway) return NOWHERE;
    for (const topic of blank) if (topic.isShownBlank) return NOWHERE;
    return heard.epoch;
  }

  function ask(): void {
    const names = (topics: Iterable<Topic>) => [...topics].map(({ name }) => name);
    if (lapse) {
      const known = table.topics().filter((topic) => !blank.has(topic));
      channel.post({ type: "want", names: names(known), lapse });
    } else if (blank.size > 0) channel.post({ type: "want", names: names(blank) });
  }

  function onBatch(batch: Batch): void {
    const isNew = heard?.epoch !== batch.epoch;
    if (!isNew && heard && batch.number <= heard.number) return; // it came before
    if (isNew || isAway) {
      isAway = false;
      lapse = undefined;
      for (const topic of table.topics()) blank.add(topic);
      if (isNew) sequence = 0;
    } else notice(batch.number - 1);
    heard = batch;
    heardAt = clock.now();
    // Each is shown with the position at which it happened, so the feed is not further before.
    for (const event of batch.events) if (!lapse) onEvent(event);
    if (lapse) return;
    sequence = Math.max(sequence, batch.sequence);
    if (isNew) ask();
  }

  /** Notices whether a batch up to this one was lost. */
  function notice(number: number): void {
    if (!heard || number <= heard.number) return;
    stats.lostBatches += number - heard.number;
    heard = { ...heard, number };
    lose();
  }

  function lose(): void {
    lapse ??= { id: ++lapseCount, since: sequence };
    ask();
  }

  function onEvent(event: Event): void {
    const topic = table.get(event.name);
    if (!topic || blank.has(topic)) return;
    switch (event.type) {
      case "published":
        return publish(topic, event.publication);
      case "stalled":
        return table.stall(topic, sequence);
      case "dropped":
        return lose();
      case "reset":
        sequence = Math.max(sequence, event.sequence);
        topic.facts = event.facts;
        return table.goLive(topic, event.sequence);
      case "changed":
        topic.facts = event.facts;
        return table.change(topic);
      case "ended":
        return table.end(topic, event.reason, event.error);
    }
  }

  function publish(topic: Topic, bare: Bare): void {
    stats.publications++;
    sequence = Math.max(sequence, bare.sequence);
    table.publish(topic, dress(bare, topic.name, shownEpoch(), topic.latest.get(bare.key)));
  }

  /** What was asked for has come. What is as of another time than now is left to be asked again. */
  function onReply(reply: Extract<FeedMessage, AsOf>): void {
    if (reply.epoch !== heard?.epoch || reply.number < heard.number) return;
    if (reply.lapse !== lapse?.id) return;
    if (!lapse && reply.number > heard.number) return notice(reply.number);
    heard = { ...heard, number: reply.number };
    if (reply.type === "missed") {
      for (const { name, publication } of reply.missed) {
        const topic = table.get(name);
        if (topic && !blank.has(topic)) publish(topic, publication);
      }
    } else {
      sequence = Math.max(sequence, reply.sequence); // the state is as of then, and shown so
      adoptAll(reply.images, lapse ? reply.sequence : 0);
    }
    sequence = Math.max(sequence, reply.sequence);
    lapse = undefined;
    ask();
  }

  /** @param floor nobody recovers from before it; 0: only of what is not known yet, and as it is */
  function adoptAll(images: readonly Image[], floor: number): void {
    const found = images.flatMap((image) => {
      const topic = table.get(image.name);
      return topic && (blank.has(topic) || floor > 0) ? { image, topic } : [];
    });
    for (const [i, { image, topic }] of found.entries()) {
      isHalfway = i < found.length - 1;
      blank.delete(topic);
      const publications = dressAll(image, heard?.epoch ?? NOWHERE);
      const contents = { ...image, publications, floor: Math.max(image.floor, floor) };
      table.adopt(topic, contents, sequence);
    }
  }

  const unlisten = channel.listen((from, message) => {
    if (from !== owner) return;
    if (message.type === "batch") return onBatch(message);
    if (!("to" in message) || message.to !== channel.id) return;
    if (message.type === "answer") return onAnswer(message.id, message.result);
    onReply(message);
  });

  let beats = 0;
  const watch = clock.every(BEAT_MS, () => {
    if (isAway) return;
    if (++beats % INTEREST_BEATS === 0) {
      channel.post({ type: "interest", names: table.topics().map(({ name }) => name) });
    }
    if (clock.now() - heardAt < PATIENCE_BEATS * BEAT_MS) return ask();
    isAway = true;
    for (const topic of table.topics()) table.stall(topic, sequence);
  });

  function onAnswer(id: number, result: AnswerResult): void {
    const call = calls.get(id);
    if (!call) return;
    calls.delete(id);
    call.timer.cancel();
    if ("raw" in result)
      call.resolve(result as Answer<R>); // the owner's feed is of the same protocol
    else call.reject(new (result.kind === "hub" ? HubError : UnavailableError)(result.error));
  }

  return {
    get epoch() {
      return shownEpoch();
    },
    get sequence() {
      return sequence;
    },
    get connected() {
      return !isAway && heard?.connected === true;
    },
    get lastMessageAt() {
      return heard?.lastMessageAt;
    },
    start() {},
    async stop() {},
    async retire() {
      unlisten();
      watch.cancel();
      for (const { timer, reject } of calls.values()) {
        timer.cancel();
        reject(new UnavailableError("The owner of the feed has changed"));
      }
      calls.clear();
    },
    join(topic) {
      blank.add(topic);
      if (!isAway) ask();
    },
    leave(topic) {
      blank.delete(topic);
      channel.post({ type: "leave", name: topic.name });
    },
    refresh: ({ name }) => channel.post({ type: "refresh", name }),
    call(method, args, maxAgeMs) {
      if (calls.size >= maxCalls) {
        return Promise.reject(new UnavailableError("Too many calls wait for the origin"));
      }
      return new Promise((resolve, reject) => {
        const id = ++callCount;
        const timer = clock.after(CALL_TIMEOUT_MS, () => {
          calls.delete(id);
          reject(new UnavailableError("The owner of the feed did not answer"));
        });
        calls.set(id, { timer, resolve, reject });
        channel.post({ type: "call", id, method, args, maxAgeMs });
      });
    },
  };
}

type AnswerResult = Extract<FeedMessage, { type: "answer" }>["result"];

interface PendingCall<R extends Raw> {
  readonly timer: Timer;
  resolve(answer: Answer<R>): void;
  reject(error: Error): void;
}
