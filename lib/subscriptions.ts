/**
 * The subscriptions of one client's connection: which topics it has, and how they are opened.
 */

import { Refusal } from "./errors.ts";
import { type Audience, joinRuns } from "./fanout/audience.ts";
import type { Fanout, Subscriber } from "./fanout/fanout.ts";
import type { Format } from "./fanout/format.ts";
import type { Sink } from "./fanout/sink.ts";
import type { Entry, Feed } from "./feed/feed.ts";
import type { Declared } from "./feed/spec.ts";
import type { Message } from "./topic/publication.ts";
import type { Raw } from "./wire/hub.ts";

/** One topic that a client wants. */
export interface Request {
  readonly topic: string;
  /** The client's position, as it wrote it. */
  readonly since?: string | undefined;
  /** Updates a second at most, each the newest of each key; as they come when it is not said. */
  readonly rate?: number | undefined;
}

/** The topics of one connection in one format. */
export interface Subscriptions {
  readonly size: number;
  has(topic: string): boolean;
  /** Whether it gets this topic's publications now, as they come from the origin. */
  isLive(topic: string): boolean;
  /**
   * Subscribes, all or nothing (nothing after `closeAll`): sends each topic's opening once the state
   * of all is there, and then what comes. What is subscribed already is opened anew.
   * @throws {Refusal} when one of them is refused
   */
  open(requests: readonly Request[]): void;
  /**
   * Subscribes to one topic without an opening, and without waiting for the origin.
   * @throws {Refusal} as `open`
   */
  follow(topic: string): void;
  /**
   * As `follow`, and waits for the origin's answer.
   * @returns the origin's answer to the join. Rejects with `HubError` when it refused, and with
   * `Refusal` as `open` throws
   */
  join(topic: string): Promise<Raw | undefined>;
  /** Ends the subscription to a topic. @returns false when there is none */
  close(topic: string): boolean;
  /** Ends all of them. Nothing is sent from here on. */
  closeAll(): void;
}

export interface SubscriptionsOptions {
  readonly sink: Sink;
  readonly format: Format;
  /** Whose topics it may have; of any hub when it is not said, in JSON. */
  readonly feed?: Feed<Raw>;
  readonly maxTopics: number;
  /** The client does not keep up: its connection SHOULD be closed. */
  onSlow(): void;
  /** The origin has ended this topic, after the client was told. */
  onEnded?(topic: string): void;
}

/** A declared topic, by its name. */
export interface Found extends Declared {
  readonly feed: Feed<Raw>;
}

/** What of the relay they work with. */
export interface SubscriptionsContext {
  /** @throws {Refusal} `invalid_topic` or `unknown_topic` */
  find(topic: string, feed?: Feed<Raw>): Found;
  readonly fanout: Fanout;
}

interface Held {
  readonly feed: Feed<Raw>;
  readonly entry: Entry;
  /** The last request for it: an earlier one that is still waiting gives way. */
  request: object;
  /** Who has it: a subscriber for each rate. */
  subscriber: OwnSubscriber;
  /** Whether it is in the audience. */
  placed: boolean;
}

/** A fan-out's subscriber that knows whose it is. */
interface OwnSubscriber extends Subscriber {
  drop(entry: Entry): void;
}

/** A topic has been ended by its origin, and this subscriber was told so: it has it no more. */
export function drop(subscriber: Subscriber, entry: Entry): void {
  (subscriber as OwnSubscriber).drop(entry); // every subscriber of a relay's fan-out is made here
}

export function createSubscriptions(
  { sink, format, feed, maxTopics, onSlow, onEnded }: SubscriptionsOptions,
  { find, fanout }: SubscriptionsContext,
): Subscriptions {
  const topics = new Map<string, Held>();
  let closed = false;
  const subscribers = new Map<number, OwnSubscriber>();
  const uncapped = subscriberAt(undefined);

  function subscriberAt(rate: number | undefined): OwnSubscriber {
    const periodMs = rate === undefined ? 0 : Math.ceil(1_000 / rate);
    let subscriber = subscribers.get(periodMs);
    if (!subscriber) {
      subscriber = {
        sink,
        format,
        periodMs,
        onSlow,
        cohort: undefined,
        place: 0,
        marks: undefined,
        drop(entry) {
          const held = topics.get(entry.topic.name);
          if (held?.entry !== entry) return;
          remove(entry.topic.name, held);
          onEnded?.(entry.topic.name);
        },
      };
      subscribers.set(periodMs, subscriber);
    }
    return subscriber;
  }

  function say(messages: readonly Message[]): void {
    fanout.send(uncapped, messages);
  }

  function place(subscriber: OwnSubscriber): void {
    const audiences = new Set<Audience>();
    for (const held of topics.values()) {
      if (held.placed && held.subscriber === subscriber) audiences.add(held.entry.audience);
    }
    fanout.place(subscriber, audiences);
    if (audiences.size === 0 && subscriber !== uncapped) subscribers.delete(subscriber.periodMs);
  }

  function remove(name: string, held: Held): void {
    topics.delete(name);
    if (held.placed) place(held.subscriber);
    held.feed.release(held.entry);
  }

  /** Of a topic that the origin ended before this client was in its audience. */
  function tellEnded(name: string, held: Held): void {
    if (held.entry.ended) say([{ type: "unsubscribed", topic: name, ...held.entry.ended }]);
    remove(name, held);
    onEnded?.(name);
  }

  /** Holds all of them or none. */
  function hold(founds: readonly (Found & Request)[], request: object): Held[] {
    const fresh: string[] = [];
    let batch: Held[];
    try {
      batch = founds.map(({ topic, feed, spec, parameters }) => {
        let held = topics.get(topic);
        if (!held) {
          if (topics.size >= maxTopics) {
            const text = `A connection may have ${maxTopics} topics at most`;
            throw new Refusal("too_many_topics", text, topic);
          }
          const entry = feed.hold(topic, { spec, parameters });
          held = { feed, entry, request, subscriber: uncapped, placed: false };
          topics.set(topic, held);
          fresh.push(topic);
        }
        return held;
      });
    } catch (error) {
      for (const topic of fresh) remove(topic, topics.get(topic) as Held);
      throw error;
    }
    for (const held of batch) held.request = request;
    return batch;
  }

  function enter(held: Held): void {
    if (held.placed) return;
    held.placed = true;
    place(held.subscriber);
  }

  return {
    get size() {
      return topics.size;
    },
    has: (topic) => topics.has(topic),
    isLive(topic) {
      const held = topics.get(topic);
      return held?.placed === true && held.entry.topic.state === "live";
    },

    open(requests) {
      if (closed) return;
      const founds = requests.map((request) => ({
        ...request,
        ...find(request.topic, feed),
      }));
      const batch = hold(founds, requests);
      // What is opened anew begins anew: nothing of it comes until its opening does.
      const again = batch.filter((held) => held.placed);
      for (const held of again) held.placed = false;
      for (const subscriber of subscribersOf(again)) place(subscriber);
      const since = new Map(requests.map((request) => [request.topic, request.since]));
      const rates = new Map(requests.map((request) => [request.topic, request.rate]));

      const finish = () => {
        if (closed) return;
        const ready: Held[] = [];
        for (const held of new Set(batch)) {
          const { name } = held.entry.topic;
          if (topics.get(name) !== held || held.request !== requests) continue;
          if (held.entry.ended) tellEnded(name, held);
          else ready.push(held);
        }
        if (closed) return; // who was just told of an end was found too slow for it
        // History is read and the audience entered in one synchronous step: nothing can come
        // between the two, so nothing is lost or doubled.
        for (const held of ready) {
          held.subscriber = subscriberAt(rates.get(held.entry.topic.name));
          held.placed = true;
        }
        for (const subscriber of subscribersOf(ready)) place(subscriber);
        if (closed) return; // one that was owed something was found too slow for it
        // All before the first of them shows a position, which has to be true for the others.
        for (const { entry } of ready) entry.topic.show();
        say(
          joinRuns(
            ready.map(({ feed, entry }) => feed.opening(entry, since.get(entry.topic.name))),
          ),
        );
      };

      const waits = batch.flatMap(
        ({ feed, entry }) => feed.settle(entry, since.get(entry.topic.name)) ?? [],
      );
      if (waits.length === 0) finish();
      else void Promise.all(waits).then(finish);
    },

    follow(topic) {
      if (closed) return;
      for (const held of hold([{ topic, ...find(topic, feed) }], {})) enter(held);
    },

    async join(topic) {
      // Held from here on it would never be released.
      if (closed) throw new Refusal("unavailable", "The connection has ended", topic);
      const request = {};
      const [held] = hold([{ topic, ...find(topic, feed) }], request) as [Held];
      // At once, so that nothing is missed that comes right behind the origin's answer.
      enter(held);
      try {
        const result = await held.feed.joined(held.entry);
        if (!closed && topics.get(topic) === held && held.entry.ended) tellEnded(topic, held);
        return result;
      } catch (error) {
        if (topics.get(topic) === held && held.request === request) remove(topic, held);
        throw error;
      }
    },

    close(topic) {
      const held = topics.get(topic);
      if (held) remove(topic, held);
      return held !== undefined;
    },

    closeAll() {
      closed = true;
      for (const subscriber of subscribers.values()) fanout.place(subscriber, new Set());
      for (const { feed, entry } of topics.values()) feed.release(entry);
      topics.clear();
    },
  };
}

function subscribersOf(batch: readonly Held[]): ReadonlySet<OwnSubscriber> {
  return new Set(batch.map(({ subscriber }) => subscriber));
}
