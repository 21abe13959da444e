/**
 * A feed: one hub in one hub protocol, with the topics that are watched here and the sequence they
 * share. It stands between the source, which knows the origin, and the fan-out, which knows the
 * clients.
 */

import type { Clock, Timer } from "./clock.ts";
import { HubError, messageOf, Refusal } from "./errors.ts";
import type { Audience } from "./fanout/audience.ts";
import type { Fanout } from "./fanout/fanout.ts";
import type { Log } from "./log.ts";
import type { Stats } from "./stats.ts";
import type { HistoryBudget } from "./topic/budget.ts";
import { createEpoch, printPosition } from "./topic/position.ts";
import type { Message, Publication } from "./topic/publication.ts";
import type { Parameters, ValueTemplate } from "./topic/template.ts";
import { type Progress, Topic, type TopicSpec } from "./topic/topic.ts";
import { type Answer, type Calls, createCalls } from "./upstream/calls.ts";
import type { Source, SourceListener } from "./upstream/source.ts";
import type { Raw } from "./wire/hub.ts";

/** What is declared of one hub, compiled. */
export interface HubSpec {
  /** Where clients find it, such as `/hubs/odds`. */
  readonly path: string;
  readonly topics: readonly TopicSpec[];
  /** By target of a push: the topic it belongs to. */
  readonly events: ReadonlyMap<string, ValueTemplate>;
  /** By event: what conflation keeps the latest of. An event without one has a single key. */
  readonly keys: ReadonlyMap<string, ValueTemplate>;
  /** By method in lower case: calls that clients share, and for how long an answer serves, ms. */
  readonly sharedCalls: ReadonlyMap<string, number>;
  /** By method in lower case, what becomes of other calls; `undeclared` of those that it lacks. */
  readonly methods: ReadonlyMap<string, "private" | "deny">;
  readonly undeclared: "private" | "deny";
  /** When a SignalR client's private connection is opened: with its own, when needed, or never. */
  readonly privateLane: "eager" | "lazy" | "off";
  /** Topics of this hub at once. */
  readonly maxTopics: number;
  /** How long an opening waits for the origin, ms. */
  readonly openTimeoutMs: number;
}

/** Whether clients share anything of a hub, so that the relay needs a connection of its own to it. */
export function isShared({ topics, sharedCalls }: HubSpec): boolean {
  return topics.length > 0 || sharedCalls.size > 0;
}

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
  readonly epoch: string;
  readonly sequence: number;
  readonly position: string;
  /** Whether the origin is there. */
  readonly connected: boolean;
  /** When something last came from the origin, Unix ms. */
  readonly lastMessageAt: number | undefined;
  readonly topicCount: number;
  start(): void;
  stop(): Promise<void>;
  /**
   * The declared topic of this name; `undefined` when there is none.
   * @throws {Refusal} `invalid_topic` when a parameter forbids its value
   */
  find(name: string): { readonly spec: TopicSpec; readonly parameters: Parameters } | undefined;
  /**
   * Keeps a topic subscribed upstream until `release`.
   * @throws {Refusal} `overloaded` when there are too many topics
   */
  hold(name: string, spec: TopicSpec, parameters: Parameters): Entry;
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

/** How long a snapshot waits that could not be asked for, ms. */
const SNAPSHOT_RETRY_MS = 1_000;

/** How long an on-demand connection outlives its last use, ms. */
const IDLE_MS = 5_000;

export function createFeed<R extends Raw>(
  spec: HubSpec,
  options: {
    createSource(listener: SourceListener<R>): Source<R>;
    /** Whether it connects only while a topic is watched, or something has been asked. */
    readonly onDemand?: boolean;
    /** Called after a topic was ended by the origin and its audience was told: forget it. */
    onEnded(entry: Entry): void;
    readonly fanout: Fanout;
    /** What the topics' histories may keep, with those of other feeds. */
    readonly budget: HistoryBudget;
    readonly clock: Clock;
    readonly random: () => number;
    readonly stats: Stats;
    readonly log: Log;
  },
): Feed<R> {
  const { fanout, budget, clock, stats, log, onEnded, onDemand = false } = options;
  const entries = new Map<string, OwnEntry>();
  const epoch = createEpoch(options.random);
  let sequence = 0;
  let lastMessageAt: number | undefined;
  /** The same moment, as the clock's `monotonic` shows it. */
  let heardAt = 0;
  /** Called when the connection is there. */
  const connecting = new Set<() => void>();
  let idle: Timer | undefined;
  /** Calls that wait for their answer. */
  let asking = 0;
  /** Which of the source's connections this is, so that what belonged to an earlier one is known. */
  let life = 0;

  const source = options.createSource({
    heard() {
      lastMessageAt = clock.now();
      heardAt = clock.monotonic();
    },
    up() {
      for (const check of [...connecting]) check();
    },
    down() {
      life++;
      calls.clear();
      for (const entry of entries.values()) stall(entry);
    },
    joined(topic, result) {
      const entry = entries.get(topic.name);
      if (entry?.topic !== topic) return;
      topic.accepted = true;
      topic.joinResult = result ?? topic.joinResult;
      if (topic.spec.snapshot) fetchState(entry);
      else goLive(entry);
      wake(entry);
    },
    ended: (topic, reason, error) => {
      const entry = entries.get(topic.name);
      if (entry?.topic === topic) end(entry, reason, error);
    },
    push({ target, arguments: raw, values }) {
      const template = spec.events.get(target);
      const name = template?.(values);
      if (name === undefined) {
        stats.unmatchedPushes++;
        return;
      }
      const entry = entries.get(name);
      if (!entry) {
        stats.unwatchedPushes++;
        return;
      }
      const key = spec.keys.get(target)?.(values);
      publish(entry, { event: target, raw, argumentCount: values.length, key });
    },
    item(topic, { item, value }) {
      const entry = entries.get(topic.name);
      const event = topic.spec.stream?.method;
      if (entry?.topic !== topic || event === undefined) return;
      const key = spec.keys.get(event)?.([value]);
      publish(entry, { event, raw: item, argumentCount: undefined, key });
    },
  });

  const calls: Calls<R> = createCalls({
    invoke: source.invoke,
    sequence: () => sequence,
    clock,
    maxEntries: 2 * spec.maxTopics,
  });

  function publish(
    entry: OwnEntry,
    what: Pick<Publication, "event" | "raw" | "argumentCount"> & { key: string | undefined },
  ): void {
    const { topic, audience } = entry;
    sequence++;
    stats.publications++;
    const key = what.key === undefined ? what.event : `${what.event} ${what.key}`;
    const previous = topic.previous(key);
    const publication: Publication = {
      type: "publication",
      topic: topic.name,
      sequence,
      position: printPosition(epoch, sequence),
      event: what.event,
      raw: what.raw,
      argumentCount: what.argumentCount,
      key,
      previous: previous && { sequence: previous.sequence, raw: previous.raw },
      time: clock.now(),
      receivedAt: heardAt,
      rendered: new Map(),
    };
    topic.append(publication);
    // Until its state has been made sure of, clients that know states wait for the reset instead:
    // this publication will be in it.
    fanout.publish(audience, publication, { statelessOnly: topic.state !== "live" });
  }

  function progress(): Progress {
    return { epoch, sequence, now: clock.now(), lastMessageAt };
  }

  function stall(entry: OwnEntry): void {
    const { topic, audience } = entry;
    const wasLive = topic.state === "live";
    topic.break(sequence);
    if (wasLive) fanout.publish(audience, { type: "stale", topic: topic.name, lastMessageAt });
    wake(entry);
  }

  /** Fetches the snapshot of a topic that has just been joined, and goes live with it. */
  function fetchState(entry: OwnEntry): void {
    const { topic } = entry;
    const joinedIn = life;
    const isPast = () => life !== joinedIn || entries.get(topic.name) !== entry;
    // Joined, but the origin does not answer: better live without a snapshot than stale for good.
    const patience = clock.after(spec.openTimeoutMs, () => {
      if (!isPast()) goLive(entry);
    });
    askForSnapshot(topic, 0).then(
      (snapshot) => {
        patience.cancel();
        if (isPast()) return; // there is a new join to come, and with it another snapshot
        topic.snapshot = snapshot;
        goLive(entry); // once more, for those to whom patience has shown another state
      },
      (error) => {
        patience.cancel();
        if (isPast()) return;
        if (error instanceof HubError) {
          log.warn({ topic: topic.name, error: messageOf(error) }, "snapshot refused");
          goLive(entry);
        } else {
          // Too many calls are waiting already.
          clock.after(SNAPSHOT_RETRY_MS, () => {
            if (!isPast()) fetchState(entry);
          });
        }
      },
    );
  }

  /** Has the snapshot of a live topic fetched anew, for newcomers. */
  function refresh(entry: OwnEntry): void {
    const { topic } = entry;
    const askedIn = life;
    askForSnapshot(topic, topic.spec.snapshotTtlMs).then(
      (snapshot) => {
        if (life === askedIn) topic.snapshot = snapshot;
        wake(entry);
      },
      (error) => {
        log.warn({ topic: topic.name, error: messageOf(error) }, "snapshot refused");
        // Not asked for again at once by the next newcomer: as old as if it had been given.
        if (topic.snapshot) topic.snapshot = { ...topic.snapshot, time: clock.now() };
        wake(entry);
      },
    );
  }

  async function askForSnapshot(topic: Topic, maxAgeMs: number): Promise<Answer<R>> {
    const { snapshot } = topic.spec;
    if (!snapshot) throw new TypeError(`Topic "${topic.name}" has no snapshot`);
    return calls.ask(snapshot.method, snapshot.print(topic.parameters), maxAgeMs);
  }

  function goLive(entry: OwnEntry): void {
    const { topic, audience } = entry;
    const reason = topic.state === "joining" ? "new" : "break";
    if (topic.state === "live") {
      // Its state comes late, and what was shown as live was not: no reset comes without a stale.
      fanout.publish(audience, { type: "stale", topic: topic.name, lastMessageAt });
    }
    // A number of its own: who saw the publication before must not pass for having seen this reset.
    topic.goLive(++sequence);
    if (audience.cohorts.size > 0) {
      stats.resets++;
      for (const message of topic.reset(reason)) fanout.publish(audience, message);
      const position = printPosition(epoch, sequence);
      fanout.publish(audience, { type: "live", topic: topic.name, position });
    }
    wake(entry);
  }

  function end(entry: OwnEntry, reason: "rejected" | "ended", error: string | undefined): void {
    const { topic, audience } = entry;
    entry.ended = { reason, error };
    entry.linger?.cancel();
    entries.delete(topic.name);
    topic.drop();
    fanout.publish(audience, { type: "unsubscribed", topic: topic.name, reason, error });
    wake(entry);
    onEnded(entry);
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

  /** Waits for the connection, but no longer than `openTimeoutMs`. */
  function connect(): Promise<void> {
    source.start();
    return new Promise((resolve) => {
      const finish = () => {
        timer.cancel();
        connecting.delete(finish);
        resolve();
      };
      const timer = clock.after(spec.openTimeoutMs, finish);
      connecting.add(finish);
    });
  }

  /** A connection that is there on demand goes when nothing has been wanted for a while. */
  function rest(): void {
    if (!onDemand) return;
    idle?.cancel();
    idle = clock.after(IDLE_MS, () => {
      if (entries.size === 0 && asking === 0) void source.stop();
    });
  }

  function own(entry: Entry): OwnEntry {
    return entry as OwnEntry; // entries are made here only
  }

  return {
    spec,
    epoch,
    get sequence() {
      return sequence;
    },
    get position() {
      return printPosition(epoch, sequence);
    },
    get connected() {
      return source.connected;
    },
    get lastMessageAt() {
      return lastMessageAt;
    },
    get topicCount() {
      return entries.size;
    },
    start: () => source.start(),
    stop: () => source.stop(),

    find(name) {
      for (const topic of spec.topics) {
        const match = topic.template.match(name);
        if (!match) continue;
        if ("parameters" in match) return { spec: topic, parameters: match.parameters };
        throw new Refusal(
          "invalid_topic",
          `Cannot subscribe to "${name}": the value of {${match.forbidden}} is not allowed`,
          name,
        );
      }
      return undefined;
    },

    hold(name, topicSpec, parameters) {
      let entry = entries.get(name);
      if (!entry) {
        if (entries.size >= spec.maxTopics) {
          throw new Refusal("overloaded", `Cannot subscribe to "${name}": too many topics`, name);
        }
        const topic = new Topic(name, topicSpec, parameters, sequence, budget);
        entry = {
          topic,
          audience: fanout.createAudience(
            {
              mark: () => topic.mark(progress()),
              since: (mark, stateful) =>
                stateful ? topic.since(mark, progress()) : topic.newestSince(mark),
            },
            topicSpec.slow,
          ),
          holds: 0,
          linger: undefined,
          waiting: new Set(),
          ended: undefined,
        };
        entries.set(name, entry);
        if (onDemand) source.start();
        source.join(entry.topic);
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
        entry.topic.drop();
        source.leave(entry.topic);
        rest();
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
        if (since !== undefined && topic.recovers(since, progress())) {
          return undefined;
        }
        // The result is taken whatever its age is by then: the wait ends at the first one.
        const before = topic.snapshot;
        refresh(entry);
        return wait(entry, () => topic.snapshot !== before || topic.state !== "live");
      }
      // A topic that is stale has a state to show; only who could have the first one waits.
      return topic.state === "stale" && !source.connected ? undefined : wait(entry, isFresh);
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

    async call(method, args, maxAgeMs) {
      asking++;
      try {
        if (onDemand && !source.connected) await connect();
        return await calls.ask(method, args, maxAgeMs);
      } finally {
        asking--;
        rest();
      }
    },
  };
}
