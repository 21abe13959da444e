/**
 * One machine's time as the owner of a feed: it has the connection to the origin, joins what any
 * machine wants, and writes to the log what happens. It tells nobody anything that the log might not
 * have, so that what it said last before it was fenced off has been said to nobody.
 */

import type { Clock } from "../clock.ts";
import { HubError, messageOf, Refusal } from "../errors.ts";
import type { LineListener } from "../feed/line.ts";
import type { CreateEngine } from "../feed/member.ts";
import { bareOf, type Image } from "../feed/message.ts";
import { findTopic, type HubSpec } from "../feed/spec.ts";
import { createTopicTable } from "../feed/table.ts";
import type { HistoryBudget } from "../topic/budget.ts";
import type { Topic } from "../topic/topic.ts";
import type { Raw } from "../wire/hub.ts";
import { createLedger } from "./ledger.ts";
import { type Ask, type CallResult, encode, type Images, type Note } from "./message.ts";
import type { FeedNames } from "./names.ts";
import type { Writer } from "./writer.ts";

export interface Term {
  /** Answers a question; `undefined` when there is nobody left to believe the answer. */
  answer(ask: Ask): Promise<Uint8Array | undefined>;
  hear(note: Note): void;
  /** Shows that it is there, and lets go of what is wanted no more. To be called now and then. */
  beat(): void;
  /** Leaves the origin. */
  end(): Promise<void>;
}

/** A machine that is not heard of for this long wants nothing any more, ms. */
export const DEAD_MS = 5_000;

/** How long a topic stays wanted by a machine that does not say so again, ms. */
export const INTEREST_TTL_MS = 60_000;

/** The ledger's topics have nobody to tell but the log. */
const nobody: LineListener = {
  published() {},
  stalled() {},
  reset() {},
  ended() {},
  changed() {},
};

export function createTerm<R extends Raw>(
  spec: HubSpec,
  options: {
    /** This machine. */
    readonly id: string;
    /** The epoch of the feed while it lasts. */
    readonly epoch: string;
    readonly names: FeedNames;
    readonly writer: Writer;
    createOwn: CreateEngine<R>;
    /** Whether it connects to the origin only while something is wanted. */
    readonly onDemand: boolean;
    readonly budget: HistoryBudget;
    readonly clock: Clock;
  },
): Term {
  const { id, epoch, names, writer, budget, clock } = options;
  /** Topics that machines want: each machine, and when it last said so, on the monotonic clock. */
  const wanted = new Map<string, { readonly topic: Topic; readonly by: Map<string, number> }>();
  const heardAt = new Map<string, number>();
  const table = createTopicTable(budget);
  const ledger = createLedger(table, { writer, names, onEnded: (name) => wanted.delete(name) });
  const engine = options.createOwn(ledger, 0);
  if (!options.onDemand) engine.start();
  let isEnded = false;

  function want(from: string, name: string): Topic | undefined {
    let entry = wanted.get(name);
    if (!entry) {
      const declared = wanted.size < spec.maxTopics ? declaredOf(name) : undefined;
      if (!declared) return undefined;
      const { topic } = table.want(name, declared, writer.number, nobody);
      entry = { topic, by: new Map() };
      wanted.set(name, entry);
      engine.join(topic);
    }
    entry.by.set(from, clock.monotonic());
    return entry.topic;
  }

  /** Machines may be configured differently for a while. */
  function declaredOf(name: string) {
    try {
      return findTopic(spec, name);
    } catch (error) {
      if (error instanceof Refusal) return undefined;
      throw error;
    }
  }

  function leave(from: string, name: string): void {
    const entry = wanted.get(name);
    if (!entry?.by.delete(from) || entry.by.size > 0) return;
    wanted.delete(name);
    table.leave(entry.topic, nobody);
    engine.leave(entry.topic);
    // Somebody may want it still, whom this machine has lost sight of: it has to ask anew.
    writer.write(names.topic(name), { type: "left", name });
  }

  function imageOf(topic: Topic): Image {
    const { publications, ...contents } = topic.contents(clock.now());
    const { name } = topic;
    return { ...contents, ...ledger.factsOf(topic), name, publications: publications.map(bareOf) };
  }

  async function call({
    method,
    args,
    maxAgeMs,
  }: Extract<Ask, { type: "call" }>): Promise<CallResult> {
    try {
      const { raw, time } = await engine.call(method, args, maxAgeMs);
      return { raw, time };
    } catch (error) {
      const kind = error instanceof HubError ? "hub" : "unavailable";
      return { kind, error: messageOf(error) };
    }
  }

  return {
    async answer(ask) {
      if (isEnded) return undefined;
      if (ask.type === "call") return encode(await call(ask));
      heardAt.set(ask.from, clock.monotonic());
      const topics = ask.names.flatMap((name) => want(ask.from, name) ?? []);
      const answer: Images = { asOf: writer.number, images: topics.map(imageOf) };
      const bytes = encode(answer);
      try {
        await writer.stored();
        return bytes;
      } catch {
        return undefined; // it is an owner no more, which has its own consequences
      }
    },
    hear(note) {
      const now = clock.monotonic();
      heardAt.set(note.from, now);
      switch (note.type) {
        case "alive":
          return;
        case "leave":
          return leave(note.from, note.name);
        case "interest":
          // Of what has been left the log has told, and whoever wants it asks.
          for (const name of note.names) wanted.get(name)?.by.set(note.from, now);
          return;
        case "refresh": {
          const topic = wanted.get(note.name)?.topic;
          if (topic?.state === "live") engine.refresh(topic);
          return;
        }
        case "gone":
          heardAt.delete(note.from);
          for (const name of [...wanted.keys()]) leave(note.from, name);
      }
    },
    beat() {
      const { connected, lastMessageAt } = engine;
      writer.write(names.control, { type: "beat", term: epoch, connected, lastMessageAt });
      const now = clock.monotonic();
      heardAt.set(id, now);
      for (const [from, at] of heardAt) if (now - at > DEAD_MS) heardAt.delete(from);
      for (const [name, { by }] of [...wanted]) {
        for (const [from, at] of [...by]) {
          if (!heardAt.has(from) || now - at > INTEREST_TTL_MS) leave(from, name);
        }
      }
    },
    async end() {
      isEnded = true;
      for (const { topic } of wanted.values()) topic.drop();
      wanted.clear();
      await engine.retire();
    },
  };
}
