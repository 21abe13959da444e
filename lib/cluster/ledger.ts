/** The topics that the owner of a feed keeps for all machines: every change is written to the log. */

import { bareOf } from "../feed/message.ts";
import type { TopicTable } from "../feed/table.ts";
import type { Facts, Topic } from "../topic/topic.ts";
import type { FeedNames } from "./names.ts";
import { createNumbering } from "./numbering.ts";
import type { Writer } from "./writer.ts";

export interface Ledger extends TopicTable {
  /** What a topic knows beside its publications, in the numbers of the log. */
  factsOf(topic: Topic): Facts;
}

/**
 * @param table where the topics are, in the numbers of the log
 * @param options.onEnded called after a topic was ended
 */
export function createLedger(
  table: TopicTable,
  options: {
    readonly writer: Writer;
    readonly names: FeedNames;
    onEnded(name: string): void;
  },
): Ledger {
  const { writer, names, onEnded } = options;
  const numbering = createNumbering(writer.number);
  /** What the log has of each topic's facts, so that what has not changed is not written again. */
  const written = new WeakMap<Topic, Facts>();

  function factsOf({ facts }: Topic): Facts {
    const { snapshot } = facts;
    if (!snapshot) return facts;
    return { ...facts, snapshot: { ...snapshot, sequence: numbering.logged(snapshot.sequence) } };
  }

  return {
    ...table,
    get size() {
      return table.size;
    },
    factsOf,
    publish(topic, publication) {
      const { sequence: _, ...bare } = bareOf(publication);
      const event = { type: "published", name: topic.name, publication: bare } as const;
      const sequence = writer.write(names.topic(topic.name), event);
      numbering.add(sequence);
      table.publish(topic, { ...publication, sequence });
    },
    stall(topic) {
      const { name, state } = topic;
      if (state === "live") writer.write(names.topic(name), { type: "stalled", name });
      table.stall(topic, writer.number);
    },
    goLive(topic) {
      const { name } = topic;
      const facts = factsOf(topic);
      written.set(topic, topic.facts);
      const logged = writer.write(names.topic(name), { type: "reset", name, facts });
      numbering.add(logged);
      table.goLive(topic, logged);
    },
    change(topic) {
      const { name, facts } = topic;
      const before = written.get(topic);
      const isKnown =
        before?.accepted === facts.accepted &&
        before.joinResult === facts.joinResult &&
        before.snapshot === facts.snapshot;
      if (!isKnown) {
        written.set(topic, facts);
        writer.write(names.topic(name), { type: "changed", name, facts: factsOf(topic) });
      }
      table.change(topic);
    },
    end(topic, reason, error) {
      const { name } = topic;
      writer.write(names.topic(name), { type: "ended", name, reason, error });
      table.end(topic, reason, error);
      onEnded(name);
    },
  };
}
