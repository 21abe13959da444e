/** The topics of a feed that are wanted here, each with whom to tell of what happens to it. */

import type { HistoryBudget } from "../topic/budget.ts";
import type { Publication } from "../topic/publication.ts";
import { type Contents, Topic, type TopicState } from "../topic/topic.ts";
import type { LineListener } from "./line.ts";
import type { Declared } from "./spec.ts";

export interface TopicTable {
  readonly size: number;
  get(name: string): Topic | undefined;
  /** Whether this very topic is still wanted. */
  has(topic: Topic): boolean;
  topics(): readonly Topic[];
  /**
   * @param sequence of the feed
   * @returns the topic, and whether it is new
   */
  want(
    name: string,
    declared: Declared,
    sequence: number,
    listener: LineListener,
  ): { readonly topic: Topic; readonly isNew: boolean };
  /** @returns whether nobody wants it any more */
  leave(topic: Topic, listener: LineListener): boolean;
  publish(topic: Topic, publication: Publication): void;
  /** Publications may be missed from here on. */
  stall(topic: Topic, sequence: number): void;
  /** The state of a topic has been made sure of. */
  goLive(topic: Topic, sequence: number): void;
  /** Everything about a topic is another's word from now on. */
  adopt(topic: Topic, contents: Contents, sequence: number): void;
  end(topic: Topic, reason: "rejected" | "ended", error: string | undefined): void;
  /** Something that one may wait for. */
  change(topic: Topic): void;
}

interface Entry {
  readonly topic: Topic;
  readonly listeners: Set<LineListener>;
}

/** @param budget what the topics' histories may keep, with those of other feeds */
export function createTopicTable(budget: HistoryBudget): TopicTable {
  const entries = new Map<string, Entry>();

  function find(topic: Topic): Entry | undefined {
    const entry = entries.get(topic.name);
    return entry?.topic === topic ? entry : undefined;
  }

  function tell(topic: Topic, about: (listener: LineListener) => void): void {
    for (const listener of find(topic)?.listeners ?? []) about(listener);
  }

  function tellReset(topic: Topic, before: TopicState): void {
    const reason = before === "joining" ? "new" : "break";
    tell(topic, (listener) => listener.reset(topic, reason, before === "live"));
  }

  function change(topic: Topic): void {
    tell(topic, (listener) => listener.changed(topic));
  }

  return {
    get size() {
      return entries.size;
    },
    get: (name) => entries.get(name)?.topic,
    has: (topic) => find(topic) !== undefined,
    topics: () => [...entries.values()].map(({ topic }) => topic),
    want(name, { spec, parameters }, sequence, listener) {
      let entry = entries.get(name);
      const isNew = entry === undefined;
      if (!entry) {
        const topic = new Topic(name, spec, parameters, sequence, budget);
        entry = { topic, listeners: new Set() };
        entries.set(name, entry);
      }
      entry.listeners.add(listener);
      return { topic: entry.topic, isNew };
    },
    leave(topic, listener) {
      const entry = find(topic);
      if (!entry?.listeners.delete(listener) || entry.listeners.size > 0) return false;
      entries.delete(topic.name);
      topic.drop();
      return true;
    },
    publish(topic, publication) {
      const entry = find(topic);
      if (!entry) return;
      topic.append(publication);
      for (const listener of entry.listeners) listener.published(topic, publication);
    },
    stall(topic, sequence) {
      const wasLive = topic.state === "live";
      topic.break(sequence);
      if (wasLive) tell(topic, (listener) => listener.stalled(topic));
      change(topic);
    },
    goLive(topic, sequence) {
      const { state } = topic;
      topic.goLive(sequence);
      tellReset(topic, state);
      change(topic);
    },
    adopt(topic, contents, sequence) {
      const { state } = topic;
      topic.adopt(contents, sequence);
      if (topic.state === "live") tellReset(topic, state);
      else if (state === "live") tell(topic, (listener) => listener.stalled(topic));
      change(topic);
    },
    end(topic, reason, error) {
      const entry = find(topic);
      if (!entry) return;
      entries.delete(topic.name);
      topic.drop();
      for (const listener of entry.listeners) listener.ended(topic, reason, error);
    },
    change,
  };
}
