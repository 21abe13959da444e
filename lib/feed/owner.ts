/**
 * The owner of a feed: it has the connection to the origin, gives out the sequence numbers, and knows
 * the state of each topic that any line of it wants.
 */

import type { Clock, Timer } from "../clock.ts";
import { HubError, messageOf } from "../errors.ts";
import type { Log } from "../log.ts";
import type { Stats } from "../stats.ts";
import type { HistoryBudget } from "../topic/budget.ts";
import { createEpoch, printPosition } from "../topic/position.ts";
import type { Publication } from "../topic/publication.ts";
import { Topic } from "../topic/topic.ts";
import { type Answer, type Calls, createCalls } from "../upstream/calls.ts";
import type { Source, SourceListener } from "../upstream/source.ts";
import type { Raw } from "../wire/hub.ts";
import type { Line, LineListener } from "./line.ts";
import type { HubSpec } from "./spec.ts";

export interface Owner<R extends Raw> {
  /** A line to topics of this feed. They share what they both want. */
  connect(listener: LineListener): Line<R>;
}

export interface OwnerOptions<R extends Raw> {
  createSource(listener: SourceListener<R>): Source<R>;
  /** Whether it connects only while a topic is wanted, or something has been asked. */
  readonly onDemand?: boolean;
  /** The sequence begins above it. */
  readonly sequence?: number;
  /** What the topics' histories may keep, with those of other feeds. */
  readonly budget: HistoryBudget;
  readonly clock: Clock;
  readonly random: () => number;
  readonly stats: Stats;
  readonly log: Log;
}

interface Entry {
  readonly topic: Topic;
  readonly listeners: Set<LineListener>;
}

/** How long a snapshot waits that could not be asked for, ms. */
const SNAPSHOT_RETRY_MS = 1_000;

/** How long an on-demand connection outlives its last use, ms. */
const IDLE_MS = 5_000;

export function createOwner<R extends Raw>(spec: HubSpec, options: OwnerOptions<R>): Owner<R> {
  const { budget, clock, stats, log, onDemand = false } = options;
  const entries = new Map<string, Entry>();
  const epoch = createEpoch(options.random);
  let { sequence = 0 } = options;
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
      const entry = find(topic);
      if (!entry) return;
      topic.accepted = true;
      topic.joinResult = result ?? topic.joinResult;
      if (topic.spec.snapshot) fetchState(entry);
      else goLive(entry);
      tell(entry, (listener) => listener.changed(topic));
    },
    ended(topic, reason, error) {
      const entry = find(topic);
      if (!entry) return;
      entries.delete(topic.name);
      topic.drop();
      tell(entry, (listener) => listener.ended(topic, reason, error));
    },
    push({ target, arguments: raw, values }) {
      const name = spec.events.get(target)?.(values);
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
      const entry = find(topic);
      const event = topic.spec.stream?.method;
      if (!entry || event === undefined) return;
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

  /** The entry of a topic that is still wanted. */
  function find(topic: Topic): Entry | undefined {
    const entry = entries.get(topic.name);
    return entry?.topic === topic ? entry : undefined;
  }

  function tell({ listeners }: Entry, about: (listener: LineListener) => void): void {
    for (const listener of listeners) about(listener);
  }

  function publish(
    { topic, listeners }: Entry,
    what: Pick<Publication, "event" | "raw" | "argumentCount"> & { key: string | undefined },
  ): void {
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
    for (const listener of listeners) listener.published(topic, publication);
  }

  function stall(entry: Entry): void {
    const { topic } = entry;
    const wasLive = topic.state === "live";
    topic.break(sequence);
    if (wasLive) tell(entry, (listener) => listener.stalled(topic));
    tell(entry, (listener) => listener.changed(topic));
  }

  /** Fetches the snapshot of a topic that has just been joined, and goes live with it. */
  function fetchState(entry: Entry): void {
    const { topic } = entry;
    const joinedIn = life;
    const isPast = () => life !== joinedIn || find(topic) !== entry;
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
  function refresh(topic: Topic): void {
    const entry = find(topic);
    if (!entry) return;
    const askedIn = life;
    askForSnapshot(topic, topic.spec.snapshotTtlMs).then(
      (snapshot) => {
        if (life === askedIn) topic.snapshot = snapshot;
        tell(entry, (listener) => listener.changed(topic));
      },
      (error) => {
        log.warn({ topic: topic.name, error: messageOf(error) }, "snapshot refused");
        // Not asked for again at once by the next newcomer: as old as if it had been given.
        if (topic.snapshot) topic.snapshot = { ...topic.snapshot, time: clock.now() };
        tell(entry, (listener) => listener.changed(topic));
      },
    );
  }

  async function askForSnapshot(topic: Topic, maxAgeMs: number): Promise<Answer<R>> {
    const { snapshot } = topic.spec;
    if (!snapshot) throw new TypeError(`Topic "${topic.name}" has no snapshot`);
    return calls.ask(snapshot.method, snapshot.print(topic.parameters), maxAgeMs);
  }

  function goLive(entry: Entry): void {
    const { topic } = entry;
    const reason = topic.state === "joining" ? "new" : "break";
    const isLate = topic.state === "live";
    // A number of its own: who saw the publication before must not pass for having seen this reset.
    topic.goLive(++sequence);
    tell(entry, (listener) => listener.reset(topic, reason, isLate));
    tell(entry, (listener) => listener.changed(topic));
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

  return {
    connect: (listener) => ({
      epoch,
      get sequence() {
        return sequence;
      },
      get connected() {
        return source.connected;
      },
      get lastMessageAt() {
        return lastMessageAt;
      },
      start: () => source.start(),
      stop: () => source.stop(),
      want(name, { spec, parameters }) {
        let entry = entries.get(name);
        if (!entry) {
          const topic = new Topic(name, spec, parameters, sequence, budget);
          entry = { topic, listeners: new Set() };
          entries.set(name, entry);
          if (onDemand) source.start();
          source.join(topic);
        }
        entry.listeners.add(listener);
        return entry.topic;
      },
      leave(topic) {
        const entry = find(topic);
        if (!entry?.listeners.delete(listener) || entry.listeners.size > 0) return;
        entries.delete(topic.name);
        topic.drop();
        source.leave(topic);
        rest();
      },
      refresh,
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
    }),
  };
}
