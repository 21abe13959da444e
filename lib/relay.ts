/**
 * The relay: topics by name, and who subscribes to them. Everything between the origins' feeds and
 * the clients' sessions goes through here.
 */

import { Refusal } from "./errors.ts";
import type { Fanout } from "./fanout/fanout.ts";
import type { Entry, Feed } from "./feed/feed.ts";
import { findTopic, type HubSpec, isShared } from "./feed/spec.ts";
import {
  createSubscriptions,
  drop,
  type Found,
  type Subscriptions,
  type SubscriptionsContext,
  type SubscriptionsOptions,
} from "./subscriptions.ts";
import type { Publication } from "./topic/publication.ts";
import { isTopicName } from "./topic/template.ts";
import type { Raw } from "./wire/hub.ts";

/** A hub, with a feed for each hub protocol. */
export interface Hub {
  readonly spec: HubSpec;
  /** The feed of the plain protocols and of SignalR clients that speak JSON. */
  readonly json: Feed<string>;
  /** Of SignalR clients that speak MessagePack; it connects when one of them watches. */
  readonly messagepack: Feed<Uint8Array>;
}

/** The newest state of one topic. */
export interface State {
  readonly topic: string;
  readonly position: string;
  /** Changes with the state and no oftener. */
  readonly version: string;
  readonly state: "live" | "stale";
  readonly snapshot: Raw | undefined;
  readonly latest: readonly Publication[];
}

export interface Relay {
  /** By path in lower case. */
  readonly hubs: ReadonlyMap<string, Hub>;
  /** What waits for those who do not keep up. */
  readonly backlog: Pick<Fanout, "queuedBytes" | "laggardCount">;
  /** Connects to the origins of which anything is shared. */
  start(): void;
  /** Leaves the origins. */
  stop(): Promise<void>;
  /**
   * The declared topic of this name, in one feed or in the JSON feed of any hub.
   * @throws {Refusal} `invalid_topic` or `unknown_topic`
   */
  find(topic: string, feed?: Feed<Raw>): Found;
  /** Prepares the subscriptions of one connection. */
  subscriptions(options: SubscriptionsOptions): Subscriptions;
  /** Reads one topic. @throws {Refusal} as `find`; `unavailable` when nothing is known of it */
  read(topic: string): Promise<State>;
}

export function createRelay(options: {
  readonly fanout: Fanout;
  /** Makes the hubs; their feeds report topics that the origin has ended. */
  createHubs(onEnded: (entry: Entry) => void): readonly Hub[];
}): Relay {
  const { fanout } = options;
  const hubs = new Map(
    options.createHubs(onEnded).map((hub) => [hub.spec.path.toLowerCase(), hub]),
  );

  function onEnded(entry: Entry): void {
    fanout.flush(); // they are told before they leave
    for (const member of fanout.members(entry.audience)) drop(member, entry);
  }

  function find(topic: string, feed?: Feed<Raw>): Found {
    if (!isTopicName(topic)) {
      throw new Refusal("invalid_topic", `"${topic.slice(0, 128)}" is not a topic name`, topic);
    }
    const feeds = feed ? [feed] : [...hubs.values()].map((hub) => hub.json);
    for (const feed of feeds) {
      const found = findTopic(feed.spec, topic);
      if (found) return { feed, ...found };
    }
    throw new Refusal("unknown_topic", `No hub declares a topic "${topic}"`, topic);
  }

  const context: SubscriptionsContext = { find, fanout };
  return {
    hubs,
    backlog: fanout,
    start() {
      for (const { spec, json } of hubs.values()) if (isShared(spec)) json.line.start();
    },
    async stop() {
      const feeds = [...hubs.values()].flatMap((hub) => [hub.json, hub.messagepack]);
      await Promise.all(feeds.map(({ line }) => line.stop()));
    },
    find,

    subscriptions: (options) => createSubscriptions(options, context),

    async read(topic) {
      const { feed, spec, parameters } = find(topic);
      const entry = feed.hold(topic, { spec, parameters });
      try {
        await feed.settle(entry, undefined);
        const { ended } = entry;
        if (ended) throw new Refusal("rejected", ended.error ?? "The origin ended it", topic);
        const { state, snapshot, latest, version } = entry.topic;
        if (state === "joining") {
          throw new Refusal("unavailable", `The origin has not given a state of "${topic}"`, topic);
        }
        return {
          topic,
          position: feed.position,
          version: `${feed.line.epoch}:${version}`,
          state,
          snapshot: snapshot?.raw,
          latest: latest.after(snapshot?.sequence ?? -1),
        };
      } finally {
        feed.release(entry);
      }
    },
  };
}
