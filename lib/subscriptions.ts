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

export function createSubscriptions(
  options: SubscriptionsOptions,
  context: SubscriptionsContext,
): Subscriptions {
  return new OwnSubscriptions(options, context);
}

/** A topic has been ended by its origin, and this subscriber was told so: it has it no more. */
export function drop(subscriber: Subscriber, entry: Entry): void {
  (subscriber as OwnSubscriber).owner.drop(entry); // every subscriber of a relay's fan-out is made here
}

interface Held {
  readonly feed: Feed<Raw>;
  readonly entry: Entry;
  /** Number of the last request for it: an earlier one that is still waiting gives way. */
  request: number;
  /** Who has it: a subscriber for each rate. */
  subscriber: OwnSubscriber;
  /** Whether it is in the audience. */
  placed: boolean;
}

/** By topic. */
type Wishes = ReadonlyMap<string, Request>;

/** A fan-out's subscriber that knows whose it is. */
class OwnSubscriber implements Subscriber {
  readonly owner: OwnSubscriptions;
  readonly sink: Sink;
  readonly format: Format;
  readonly periodMs: number;
  cohort: Subscriber["cohort"];
  place = 0;
  marks: Subscriber["marks"];

  constructor(owner: OwnSubscriptions, periodMs: number) {
    const { sink, format } = owner.options;
    this.owner = owner;
    this.sink = sink;
    this.format = format;
    this.periodMs = periodMs;
  }

  onSlow(): void {
    this.owner.options.onSlow();
  }
}

/** A class: there is one for each connection, and closures would take several times the memory. */
class OwnSubscriptions implements Subscriptions {
  readonly options: SubscriptionsOptions;
  readonly #context: SubscriptionsContext;
  readonly #topics = new Map<string, Held>();
  /** Who is sent publications as they come. */
  readonly #uncapped: OwnSubscriber;
  /** By their period, ms. Few connections have any. */
  #capped: Map<number, OwnSubscriber> | undefined;
  #requestCount = 0;
  #closed = false;

  constructor(options: SubscriptionsOptions, context: SubscriptionsContext) {
    this.options = options;
    this.#context = context;
    this.#uncapped = new OwnSubscriber(this, 0);
  }

  get size(): number {
    return this.#topics.size;
  }

  has(topic: string): boolean {
    return this.#topics.has(topic);
  }

  isLive(topic: string): boolean {
    const held = this.#topics.get(topic);
    return held?.placed === true && held.entry.topic.state === "live";
  }

  open(requests: readonly Request[]): void {
    if (this.#closed) return;
    const request = ++this.#requestCount;
    const batch = this.#hold(requests, request);
    // What is opened anew begins anew: nothing of it comes until its opening does.
    const again = batch.filter((held) => held.placed);
    for (const held of again) held.placed = false;
    for (const subscriber of subscribersOf(again)) this.#place(subscriber);
    const wishes: Wishes = new Map(requests.map((wish) => [wish.topic, wish]));
    const waits = batch.flatMap(
      ({ feed, entry }) => feed.settle(entry, wishes.get(entry.topic.name)?.since) ?? [],
    );
    const finish = () =>
      this.#finish(
        batch.filter((held) => held.request === request),
        wishes,
      );
    if (waits.length === 0) finish();
    else void Promise.all(waits).then(finish);
  }

  follow(topic: string): void {
    if (this.#closed) return;
    for (const held of this.#hold([{ topic }], ++this.#requestCount)) this.#enter(held);
  }

  async join(topic: string): Promise<Raw | undefined> {
    // Held from here on it would never be released.
    if (this.#closed) throw new Refusal("unavailable", "The connection has ended", topic);
    const request = ++this.#requestCount;
    const [held] = this.#hold([{ topic }], request) as [Held];
    // At once, so that nothing is missed that comes right behind the origin's answer.
    this.#enter(held);
    const isHeld = () => this.#topics.get(topic) === held;
    try {
      const result = await held.feed.joined(held.entry);
      if (!this.#closed && isHeld() && held.entry.ended) this.#tellEnded(topic, held);
      return result;
    } catch (error) {
      if (isHeld() && held.request === request) this.#remove(topic, held);
      throw error;
    }
  }

  close(topic: string): boolean {
    const held = this.#topics.get(topic);
    if (held) this.#remove(topic, held);
    return held !== undefined;
  }

  closeAll(): void {
    this.#closed = true;
    const { fanout } = this.#context;
    for (const subscriber of [this.#uncapped, ...(this.#capped?.values() ?? [])]) {
      fanout.place(subscriber, new Set());
    }
    for (const { feed, entry } of this.#topics.values()) feed.release(entry);
    this.#topics.clear();
  }

  /** The origin has ended this topic, and the client was told. */
  drop(entry: Entry): void {
    const { name } = entry.topic;
    const held = this.#topics.get(name);
    if (held?.entry !== entry) return;
    this.#remove(name, held);
    this.options.onEnded?.(name);
  }

  /** Opens those of a batch that are still there. */
  #finish(batch: readonly Held[], wishes: Wishes): void {
    if (this.#closed) return;
    const ready: Held[] = [];
    for (const held of new Set(batch)) {
      const { name } = held.entry.topic;
      if (this.#topics.get(name) !== held) continue;
      if (held.entry.ended) this.#tellEnded(name, held);
      else ready.push(held);
    }
    if (this.#closed) return; // who was just told of an end was found too slow for it
    const wishOf = ({ entry }: Held) => wishes.get(entry.topic.name);
    // History is read and the audience entered in one synchronous step: nothing can come
    // between the two, so nothing is lost or doubled.
    for (const held of ready) {
      held.subscriber = this.#subscriberAt(wishOf(held)?.rate);
      held.placed = true;
    }
    for (const subscriber of subscribersOf(ready)) this.#place(subscriber);
    if (this.#closed) return; // one that was owed something was found too slow for it
    // All before the first of them shows a position, which has to be true for the others.
    for (const { entry } of ready) entry.topic.show();
    this.#say(joinRuns(ready.map((held) => held.feed.opening(held.entry, wishOf(held)?.since))));
  }

  #say(messages: readonly Message[]): void {
    this.#context.fanout.send(this.#uncapped, messages);
  }

  #subscriberAt(rate: number | undefined): OwnSubscriber {
    if (rate === undefined) return this.#uncapped;
    const periodMs = Math.ceil(1_000 / rate);
    this.#capped ??= new Map();
    let subscriber = this.#capped.get(periodMs);
    if (!subscriber) {
      subscriber = new OwnSubscriber(this, periodMs);
      this.#capped.set(periodMs, subscriber);
    }
    return subscriber;
  }

  #place(subscriber: OwnSubscriber): void {
    const audiences = new Set<Audience>();
    for (const held of this.#topics.values()) {
      if (held.placed && held.subscriber === subscriber) audiences.add(held.entry.audience);
    }
    this.#context.fanout.place(subscriber, audiences);
    if (audiences.size === 0) this.#capped?.delete(subscriber.periodMs);
  }

  #enter(held: Held): void {
    if (held.placed) return;
    held.placed = true;
    this.#place(held.subscriber);
  }

  #remove(name: string, held: Held): void {
    this.#topics.delete(name);
    if (held.placed) this.#place(held.subscriber);
    held.feed.release(held.entry);
  }

  /** Of a topic that the origin ended before this client was in its audience. */
  #tellEnded(name: string, held: Held): void {
    if (held.entry.ended) {
      this.#say([{ type: "unsubscribed", topic: name, ...held.entry.ended }]);
    }
    this.#remove(name, held);
    this.options.onEnded?.(name);
  }

  /** Holds all of them or none. */
  #hold(wanted: readonly { readonly topic: string }[], request: number): Held[] {
    const { feed: only, maxTopics } = this.options;
    const { find } = this.#context;
    // Each is found before the first is held.
    const founds = wanted.map(({ topic }) => ({ topic, ...find(topic, only) }));
    const fresh: string[] = [];
    let batch: Held[];
    try {
      batch = founds.map(({ topic, feed, spec, parameters }) => {
        let held = this.#topics.get(topic);
        if (!held) {
          if (this.#topics.size >= maxTopics) {
            const text = `A connection may have ${maxTopics} topics at most`;
            throw new Refusal("too_many_topics", text, topic);
          }
          const entry = feed.hold(topic, { spec, parameters });
          held = { feed, entry, request, subscriber: this.#uncapped, placed: false };
          // By the name that all have, not by a copy that would be kept for each.
          this.#topics.set(entry.topic.name, held);
          fresh.push(topic);
        }
        return held;
      });
    } catch (error) {
      for (const topic of fresh) this.#remove(topic, this.#topics.get(topic) as Held);
      throw error;
    }
    for (const held of batch) held.request = request;
    return batch;
  }
}

function subscribersOf(batch: readonly Held[]): ReadonlySet<OwnSubscriber> {
  return new Set(batch.map(({ subscriber }) => subscriber));
}
