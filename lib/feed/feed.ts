/**
 * A feed: one hub in one hub protocol, with the topics that are watched here. It stands between the
 * line, which knows what happens to them, and the fan-out, which knows the clients.
 */

import type { Clock, Timer } from "../clock.ts";
import { HubError, Refusal } from "../errors.ts";
import type { Audience } from "../fanout/audience.ts";
import type { Fanout } from "../fanout/fanout.ts";
import type { Stats } from "../stats.ts";
import { printPosition } from "../topic/position.ts";
import type { Message } from "../topic/publication.ts";
import type { Mark, Progress, Topic } from "../topic/topic.ts";
import type { Answer } from "../upstream/calls.ts";
import type { Raw } from "../wire/hub.ts";
import type { Line, LineListener } from "./line.ts";
import type { Declared, HubSpec } from "./spec.ts";

/** A topic in a feed, with who watches it. */
export interface Entry {
  readonly topic: Topic;
  readonly audience: Audience;
  /** Set once the origin has ended the topic: it gets nothing more. */
  readonly ended:
    | { readonly reason: "rejected" | "ended"; readonly error: string | undefined }
    | undefined;
}

interface OwnEntry extends Entry {
  ended: Entry["ended"];
  holds: number;
  linger: Timer | undefined;
  /** Called at each change of state, until it returns true. */
  readonly waiting: Set<() => void>;
}

export interface Feed<R extends Raw> {
  readonly spec: HubSpec;
  readonly line: Line<R>;
  readonly position: string;
  readonly topicCount: number;
  /**
   * Keeps a topic subscribed upstream until `release`.
   * @throws {Refusal} `overloaded` when there are too many topics
   */
  hold(name: string, declared: Declared): Entry;
  release(entry: Entry): void;
  /**
   * Waits until the topic's state is there and fresh enough for a newcomer, but no longer than
   * `openTimeoutMs`.
   * @returns `undefined` when there is nothing to wait for, so that the caller can go on at once
   */
  settle(entry: Entry, since: string | undefined): Promise<void> | undefined;
  /** Waits for the origin's answer to the join. Rejects with `HubError` when it refused. */
  joined(entry: Entry): Promise<R | undefined>;
  /** What a newcomer is to be sent before it enters the audience, in the same synchronous step. */
  opening(entry: Entry, since: string | undefined): readonly Message[];
  /** A shared call. Rejects as `Source.invoke` does. */
  call(method: string, args: readonly unknown[], maxAgeMs: number): Promise<Answer<R>>;
}

export function createFeed<R extends Raw>(
  spec: HubSpec,
  options: {
    createLine(listener: LineListener): Line<R>;
    /** Called after a topic was ended by the origin and its audience was told: forget it. */
    onEnded(entry: Entry): void;
    readonly fanout: Fanout;
    readonly clock: Clock;
    readonly stats: Stats;
  },
): Feed<R> {
  const { fanout, clock, stats, onEnded } = options;
  const entries = new Map<string, OwnEntry>();

  const line = options.createLine({
    published(topic, publication) {
      const entry = find(topic);
      // Until its state has been made sure of, clients that know states wait for the reset instead:
      // this publication will be in it.
      const statelessOnly = topic.state !== "live";
      if (entry) fanout.publish(entry.audience, publication, { statelessOnly });
    },
    stalled(topic) {
      const entry = find(topic);
      if (entry) fanout.publish(entry.audience, staleNotice(topic));
    },
    reset(topic, reason, late) {
      const entry = find(topic);
      if (!entry || entry.audience.cohorts.size === 0) return;
      stats.resets++;
      const { audience } = entry;
      // What was shown as live was not: no reset comes without a stale.
      if (late) fanout.publish(audience, staleNotice(topic));
      for (const message of topic.reset(reason)) fanout.publish(audience, message);
      fanout.publish(audience, { type: "live", topic: topic.name, position: position() });
    },
    ended(topic, reason, error) {
      const entry = find(topic);
      if (!entry) return;
      entry.ended = { reason, error };
      entry.linger?.cancel();
      entries.delete(topic.name);
      fanout.publish(entry.audience, { type: "unsubscribed", topic: topic.name, reason, error });
      wake(entry);
      onEnded(entry);
    },
    changed(topic) {
      const entry = find(topic);
      if (entry) wake(entry);
    },
  });

  function find(topic: Topic): OwnEntry | undefined {
    const entry = entries.get(topic.name);
    return entry?.topic === topic ? entry : undefined;
  }

  function staleNotice(topic: Topic): Message {
    return { type: "stale", topic: topic.name, lastMessageAt: line.lastMessageAt };
  }

  function position(): string {
    return printPosition(line.epoch, line.sequence);
  }

  function progress(): Progress {
    const { epoch, sequence, lastMessageAt } = line;
    return { epoch, sequence, now: clock.now(), lastMessageAt };
  }

  function wake(entry: OwnEntry): void {
    for (const check of [...entry.waiting]) check();
  }

  /** Waits for `done`, checked at each change of the entry; rejects never, resolves at the timeout. */
  function wait(entry: OwnEntry, done: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const finish = () => {
        timer.cancel();
        entry.waiting.delete(check);
        resolve();
      };
      const check = () => {
        if (entry.ended || done()) finish();
      };
      const timer = clock.after(spec.openTimeoutMs, finish);
      entry.waiting.add(check);
    });
  }

  function own(entry: Entry): OwnEntry {
    return entry as OwnEntry; // entries are made here only
  }

  return {
    spec,
    line,
    get position() {
      return position();
    },
    get topicCount() {
      return entries.size;
    },

    hold(name, declared) {
      let entry = entries.get(name);
      if (!entry) {
        if (entries.size >= spec.maxTopics) {
          throw new Refusal("overloaded", `Cannot subscribe to "${name}": too many topics`, name);
        }
        const topic = line.want(name, declared);
        const backlog = {
          mark: () => topic.mark(progress()),
          since: (mark: Mark, stateful: boolean) =>
            stateful ? topic.since(mark, progress()) : topic.newestSince(mark),
        };
        entry = {
          topic,
          audience: fanout.createAudience(backlog, declared.spec.slow),
          holds: 0,
          linger: undefined,
          waiting: new Set(),
          ended: undefined,
        };
        entries.set(name, entry);
      }
      entry.linger?.cancel();
      entry.linger = undefined;
      entry.holds++;
      return entry;
    },

    release(held) {
      const entry = own(held);
      if (--entry.holds > 0 || entry.ended) return;
      entry.linger = clock.after(entry.topic.spec.lingerMs, () => {
        entries.delete(entry.topic.name);
        line.leave(entry.topic);
      });
    },

    settle(held, since) {
      const entry = own(held);
      const { topic } = entry;
      if (entry.ended) return undefined;
      const isFresh = () => {
        if (topic.state !== "live") return false;
        if (!topic.spec.snapshot || !topic.snapshot) return true;
        return clock.now() - topic.snapshot.time < topic.spec.snapshotTtlMs;
      };
      if (isFresh()) return undefined;
      if (topic.state === "live") {
        if (since !== undefined && topic.recovers(since, progress())) return undefined;
        // The result is taken whatever its age is by then: the wait ends at the first one.
        const before = topic.snapshot;
        line.refresh(topic);
        return wait(entry, () => topic.snapshot !== before || topic.state !== "live");
      }
      // A topic that is stale has a state to show; only who could have the first one waits.
      return topic.state === "stale" && !line.connected ? undefined : wait(entry, isFresh);
    },

    async joined(held) {
      const entry = own(held);
      const { topic } = entry;
      const isAccepted = () => topic.accepted;
      if (!isAccepted() && !entry.ended) await wait(entry, isAccepted);
      if (entry.ended?.error !== undefined) throw new HubError(entry.ended.error);
      if (!isAccepted()) {
        throw new Refusal("unavailable", `The origin did not accept "${topic.name}" in time`);
      }
      return topic.joinResult as R | undefined;
    },

    opening: ({ topic }, since) => {
      const messages = topic.opening(since, progress());
      if (messages[0]?.type !== "reset") stats.recoveries++;
      else if (since !== undefined) stats.resets++;
      return messages;
    },

    call: (method, args, maxAgeMs) => line.call(method, args, maxAgeMs),
  };
}
