/**
 * An isolate's part in a feed. Its topics outlive a change of the engine: when the owner is another
 * one from now on, they are stale until the new one has made sure of them.
 */

import type { HistoryBudget } from "../topic/budget.ts";
import type { Raw } from "../wire/hub.ts";
import type { Engine } from "./engine.ts";
import type { Line, LineListener } from "./line.ts";
import { createTopicTable, type TopicTable } from "./table.ts";

export interface Member<R extends Raw> {
  /** A line to the topics of this feed; lines share what they want both. */
  connect(listener: LineListener): Line<R>;
  /** Puts another engine in the place of the one before. */
  replace(create: CreateEngine<R>): void;
}

/** @param sequence what its own has to begin above */
export type CreateEngine<R extends Raw> = (table: TopicTable, sequence: number) => Engine<R>;

/**
 * A new owner begins this far above what it has seen: others may have seen more of the one before,
 * and what is numbered higher must be newer everywhere.
 */
const LEAP = 1_000_000;

export function createMember<R extends Raw>(
  create: CreateEngine<R>,
  budget: HistoryBudget,
): Member<R> {
  const table = createTopicTable(budget);
  let engine = create(table, 0);
  let isStarted = false;
  /** The highest number of any engine: one that has heard nothing yet must not make it lower. */
  let highest = 0;

  return {
    connect: (listener) => ({
      get epoch() {
        return engine.epoch;
      },
      get sequence() {
        return engine.sequence;
      },
      get connected() {
        return engine.connected;
      },
      get lastMessageAt() {
        return engine.lastMessageAt;
      },
      start() {
        isStarted = true;
        engine.start();
      },
      stop() {
        isStarted = false;
        return engine.stop();
      },
      want(name, declared) {
        const { topic, isNew } = table.want(name, declared, engine.sequence, listener);
        if (isNew) engine.join(topic);
        return topic;
      },
      leave(topic) {
        if (table.leave(topic, listener)) engine.leave(topic);
      },
      refresh: (topic) => engine.refresh(topic),
      call: (method, args, maxAgeMs) => engine.call(method, args, maxAgeMs),
    }),
    replace(create) {
      highest = Math.max(highest, engine.sequence);
      void engine.retire();
      for (const topic of table.topics()) table.stall(topic, highest);
      engine = create(table, highest + LEAP);
      if (isStarted) engine.start();
      for (const topic of table.topics()) engine.join(topic);
    },
  };
}
