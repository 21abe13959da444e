/**
 * The subscriptions of one client's connection: which topics it has, and how they are opened.
 */

import { Refusal } from "./errors.ts";
import type { Audience, Fanout, Subscriber } from "./fanout/fanout.ts";
import { type Format, renderAll } from "./fanout/format.ts";
import type { Sink } from "./fanout/sink.ts";
import type { Entry, Feed } from "./feed.ts";
import { byteLength } from "./socket.ts";
import type { Stats } from "./stats.ts";
import type { Message, Notice, Publication } from "./topic/publication.ts";
import type { Parameters } from "./topic/template.ts";
import type { TopicSpec } from "./topic/topic.ts";
import type { Raw } from "./wire/hub.ts";

/** One topic that a client wants. */
export interface Request {
  readonly topic: string;
  /** The client's position, as it wrote it. */
  readonly since?: string | undefined;
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
export interface Found {
  readonly feed: Feed<Raw>;
  readonly spec: TopicSpec;
  readonly parameters: Parameters;
}

/** What of the relay they work with. */
export interface SubscriptionsContext {
  /** @throws {Refusal} `invalid_topic` or `unknown_topic` */
  find(topic: string, feed?: Feed<Raw>): Found;
  readonly fanout: Fanout;
  readonly stats: Stats;
}

interface Held {
  readonly feed: Feed<Raw>;
  readonly entry: Entry;
  /** The last request for it: an earlier one that is still waiting gives way. */
  request: object;
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
  { find, fanout, stats }: SubscriptionsContext,
): Subscriptions {
  const topics = new Map<string, Held>();
  let closed = false;
  const subscriber: OwnSubscriber = {
    sink,
    format,
    onSlow,
    cohort: undefined,
    place: 0,
    drop(entry) {
      const held = topics.get(entry.topic.name);
      if (held?.entry !== entry) return;
      remove(entry.topic.name, held);
      onEnded?.(entry.topic.name);
    },
  };

  function say(messages: readonly Message[]): void {
    const batch = renderAll(format, messages);
    if (batch === undefined) return;
    // Judged by what waited before: an opening itself may be large, and is needed whole.
    if (sink.bufferedBytes > fanout.maxQueueBytes) return onSlow();
    stats.deliveries += batch.count;
    stats.sentBytes += byteLength(batch.frame);
    sink.send(batch.frame, batch.count);
  }

  function place(): void {
    const audiences = new Set<Audience>();
    for (const { entry, placed } of topics.values()) if (placed) audiences.add(entry.audience);
    fanout.place(subscriber, audiences);
  }

  function remove(name: string, held: Held): void {
    topics.delete(name);
    if (held.placed) place();
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
          held = { feed, entry: feed.hold(topic, spec, parameters), request, placed: false };
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
    place();
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
      if (again.length > 0) place();
      const since = new Map(requests.map((request) => [request.topic, request.since]));

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
        for (const held of ready) held.placed = true;
        place();
        say(
          merge(ready.map(({ feed, entry }) => feed.opening(entry, since.get(entry.topic.name)))),
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
      fanout.place(subscriber, new Set());
      for (const { feed, entry } of topics.values()) feed.release(entry);
      topics.clear();
    },
  };
}

/**
 * Joins the openings of several topics so that, in whatever message a client is cut, the last
 * position it saw is true for all of them. When all recovered, their publications go in the order
 * of the feed. Otherwise no position is shown before all states have been.
 */
function merge(openings: readonly (readonly Message[])[]): readonly Message[] {
  if (openings.length === 1) return openings[0] as readonly Message[];
  const publications: Publication[] = [];
  const states: Notice[] = [];
  const ends: Notice[] = [];
  for (const message of openings.flat()) {
    if (message.type === "publication") publications.push(message);
    else if (message.type === "subscribed") ends.push(message);
    else states.push(message);
  }
  publications.sort((a, b) => a.sequence - b.sequence);
  if (states.length === 0) return [...publications, ...ends];
  const values = publications.map((publication) => ({ type: "value", publication }) as const);
  return [...states, ...values, ...ends];
}
