/**
 * The client of the plain protocols: topics of a relay as updates, over WebSocket or Server-Sent
 * Events, resumed without a gap. Runs on browsers and their workers, Bun, Deno and Node, and depends
 * on nothing. This is the one module an application imports.
 */

import { backoff } from "./backoff.ts";
import { createConnection, type FeedStatus } from "./connection.ts";
import { type Attachment, iterate } from "./iterator.ts";
import { assertPositive, type FeedOptions, settle } from "./options.ts";
import { guard } from "./report.ts";
import { conform, type StandardSchemaV1 } from "./schema.ts";
import { createTopic, type Topic } from "./topic.ts";
import type { TopicState, Update } from "./update.ts";

export type { FeedStatus } from "./connection.ts";
export type { FeedOptions } from "./options.ts";
export type { StandardSchemaV1 } from "./schema.ts";
export type {
  ConflatedUpdate,
  EndUpdate,
  Latest,
  PublicationUpdate,
  RecoveredUpdate,
  ResetUpdate,
  StateUpdate,
  TopicState,
  Update,
} from "./update.ts";

/** One connection to a relay, and the topics it carries. */
export interface Feed {
  readonly status: FeedStatus;
  /** Calls `listener` with each later status. Gives a function that stops it. */
  onStatus(listener: (status: FeedStatus) => void, options?: ListenOptions): () => void;
  /**
   * A topic, such as `match/42`. Nothing is asked of the relay before somebody listens or iterates,
   * and it is asked once however many do.
   *
   * @throws RangeError when `maxPending` or `rate` is not above 0.
   */
  topic<T = unknown>(name: string, options?: TopicOptions<T>): TopicFeed<T>;
  /** Closes the connection for good and lets all listeners and iterations go. */
  close(): void;
}

/** Options of a listener. */
export interface ListenOptions {
  /** Stops the listener. */
  readonly signal?: AbortSignal | undefined;
}

/** Options of a topic. */
export interface TopicOptions<T> {
  /**
   * Checks and types `data`. It must be synchronous. Data that does not conform is reported (to
   * `reportError`, or the console) and left out.
   */
  readonly schema?: StandardSchemaV1<unknown, T> | undefined;
  /** Stops all listeners and iterations made from this object; loops end as if by `break`. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Updates that may wait for a loop, default 1,000. When there are more, they are dropped, and the
   * loop goes on with a reset whose reason is `overflow`.
   */
  readonly maxPending?: number | undefined;
  /**
   * Updates a second at most, 0.01 to 100: the relay leaves out what is older than that, and each time
   * sends the newest of each key. By default all are sent. A topic is asked for once, at the highest
   * rate that any of its listeners wants.
   */
  readonly rate?: number | undefined;
}

/**
 * Updates of one topic: each listener and each loop gets all of them, from a `reset` on. One that
 * comes when the topic is open already makes the others get that reset as well.
 */
export interface TopicFeed<T> extends AsyncIterable<Update<T>> {
  readonly state: TopicState;
  /** Calls `listener` with each update. What it throws is reported. Gives a function that stops it. */
  on(listener: (update: Update<T>) => void, options?: ListenOptions): () => void;
}

/**
 * Makes a feed of the relay at `url`: http, https, ws or wss, with a path if the relay has a prefix,
 * relative in a browser. It connects when the first topic is wanted, rests when none is, and comes
 * back by itself as often as it takes.
 *
 * @throws TypeError when `url` or `transport` cannot be used; RangeError when a time cannot.
 *
 * @example
 * ```ts
 * const feed = createFeed("https://relay.example");
 * feed.topic("match/42").on((update) => {
 *   if (update.type === "reset") console.log("state", update.snapshot, update.latest);
 *   if (update.type === "publication") console.log(update.event, update.data);
 * });
 * feed.close();
 * ```
 */
export function createFeed(url: string | URL, options: FeedOptions = {}): Feed {
  const settings = settle(url, options);
  const topics = new Map<string, Topic>();
  const watchers = new Set<(status: FeedStatus) => void>();
  let status: FeedStatus = { state: "connecting" };
  let isScheduled = false;

  const connection = createConnection({
    topics,
    settings,
    onStatus(next) {
      if (status.state === "closed") return;
      status = next;
      for (const watcher of watchers) guard(() => watcher(next));
    },
    onMessage(message) {
      if ("topic" in message) topics.get(message.topic ?? "")?.accept(message);
    },
    onStop: shut,
  });

  /** All that changes in one go becomes one request. */
  function schedule(): void {
    if (isScheduled) return;
    isScheduled = true;
    queueMicrotask(() => {
      isScheduled = false;
      if (status.state !== "closed") connection.sync();
    });
  }

  function open(name: string): Topic {
    const topic = createTopic(name, {
      revive: (value) =>
        options.deserialize && isBoxed(value) ? options.deserialize(value) : value,
      waitMs: (losses) => backoff(losses, settings.backoff),
      onDue: schedule,
      onGone() {
        if (topics.get(name) === topic) topics.delete(name);
        schedule();
      },
    });
    topics.set(name, topic);
    return topic;
  }

  function shut(error?: string): void {
    if (status.state === "closed") return;
    options.signal?.removeEventListener("abort", close);
    connection.close();
    const left = [...topics.values()];
    topics.clear();
    status = { state: "closed", error };
    for (const topic of left) {
      if (error === undefined) topic.close();
      else topic.end("rejected", error);
    }
    for (const watcher of watchers) guard(() => watcher(status));
    watchers.clear();
  }

  const close = (): void => shut();
  options.signal?.addEventListener("abort", close);
  if (options.signal?.aborted) close();

  return {
    get status() {
      return status;
    },
    onStatus(listener, { signal } = {}) {
      const watcher = (next: FeedStatus) => listener(next);
      if (!signal?.aborted && status.state !== "closed") watchers.add(watcher);
      function stop(): void {
        signal?.removeEventListener("abort", stop);
        watchers.delete(watcher);
      }
      signal?.addEventListener("abort", stop);
      return stop;
    },
    topic<T>(
      name: string,
      { schema, signal, maxPending = 1_000, rate = Infinity }: TopicOptions<T> = {},
    ): TopicFeed<T> {
      assertPositive({ maxPending, rate });
      let topic: Topic | undefined;

      function attach(
        sink: (update: Update<T>) => void,
        finish: () => void,
        own?: AbortSignal,
      ): Attachment {
        const signals = [signal, own];
        if (status.state === "closed" || signals.some((each) => each?.aborted)) {
          finish();
          return { refresh() {}, detach() {} };
        }
        topic = topics.get(name) ?? open(name);
        const place = topic.attach(
          (update) => {
            const fit = conform(update, schema);
            if (fit) sink(fit);
          },
          leave,
          rate,
        );
        function leave(): void {
          for (const each of signals) each?.removeEventListener("abort", leave);
          place.detach();
          finish();
        }
        for (const each of signals) each?.addEventListener("abort", leave);
        return { refresh: place.refresh, detach: leave };
      }

      return {
        get state() {
          if (status.state === "closed") return "closed";
          return (topics.get(name) ?? topic)?.state ?? "connecting";
        },
        on(listener, { signal: own } = {}) {
          return attach(
            (update) => guard(() => listener(update)),
            () => {},
            own,
          ).detach;
        },
        [Symbol.asyncIterator]: () => iterate<T>(attach, maxPending),
      };
    },
    close,
  };
}

/** True for what superjson writes: `{json}` or `{json, meta}`. */
function isBoxed(value: unknown): boolean {
  if (typeof value !== "object" || value === null || !("json" in value)) return false;
  return Object.keys(value).every((key) => key === "json" || key === "meta");
}
