/**
 * The owner of a feed: it has the connection to the origin, joins what is wanted, and gives out the
 * sequence numbers.
 */

import type { Clock, Timer } from "../clock.ts";
import { HubError, messageOf } from "../errors.ts";
import type { Log } from "../log.ts";
import type { Stats } from "../stats.ts";
import { createEpoch, printPosition } from "../topic/position.ts";
import { type Publication, previousOf } from "../topic/publication.ts";
import type { Topic } from "../topic/topic.ts";
import { type Answer, type Calls, createCalls } from "../upstream/calls.ts";
import type { Source, SourceListener } from "../upstream/source.ts";
import type { Raw } from "../wire/hub.ts";
import type { Engine } from "./engine.ts";
import type { HubSpec } from "./spec.ts";
import type { TopicTable } from "./table.ts";

export interface OwnerOptions<R extends Raw> {
  createSource(listener: SourceListener<R>): Source<R>;
  /** Whether it connects only while a topic is wanted, or something has been asked. */
  readonly onDemand?: boolean;
  /** What its own begins above. */
  readonly sequence: number;
  readonly clock: Clock;
  readonly random: () => number;
  readonly stats: Stats;
  readonly log: Log;
}

/** How long a snapshot waits that could not be asked for, ms. */
const SNAPSHOT_RETRY_MS = 1_000;

/** How long an on-demand connection outlives its last use, ms. */
const IDLE_MS = 5_000;

export function createOwner<R extends Raw>(
  spec: HubSpec,
  table: TopicTable,
  options: OwnerOptions<R>,
): Engine<R> {
  const { clock, stats, log, onDemand = false } = options;
  const epoch = createEpoch(options.random);
  let { sequence } = options;
  let isRetired = false;
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
      if (isRetired) return;
      for (const topic of table.topics()) table.stall(topic, sequence);
    },
    joined(topic, result) {
      if (!isWanted(topic)) return;
      topic.accepted = true;
      topic.joinResult = result ?? topic.joinResult;
      if (topic.spec.snapshot) fetchState(topic);
      else goLive(topic);
      table.change(topic);
    },
    ended(topic, reason, error) {
      if (isWanted(topic)) table.end(topic, reason, error);
    },
    push({ target, arguments: raw, values }) {
      const name = spec.events.get(target)?.(values);
      if (name === undefined) {
        stats.unmatchedPushes++;
        return;
      }
      const topic = table.get(name);
      if (!topic || isRetired) {
        stats.unwatchedPushes++;
        return;
      }
      const key = spec.keys.get(target)?.(values);
      publish(topic, { event: target, raw, argumentCount: values.length, key });
    },
    item(topic, { item, value }) {
      const event = topic.spec.stream?.method;
      if (!isWanted(topic) || event === undefined) return;
      const key = spec.keys.get(event)?.([value]);
      publish(topic, { event, raw: item, argumentCount: undefined, key });
    },
  });

  const calls: Calls<R> = createCalls({
    invoke: source.invoke,
    sequence: () => sequence,
    clock,
    maxEntries: 2 * spec.maxTopics,
    keepMs: longestTtlMs(spec),
  });

  /** Whether what comes for a topic is still for this engine to tell. */
  function isWanted(topic: Topic): boolean {
    return !isRetired && table.has(topic);
  }

  function publish(
    topic: Topic,
    what: Pick<Publication, "event" | "raw" | "argumentCount"> & { key: string | undefined },
  ): void {
    sequence++;
    stats.publications++;
    const key = what.key === undefined ? what.event : `${what.event} ${what.key}`;
    const previous = topic.previous(key);
    table.publish(topic, {
      type: "publication",
      topic: topic.name,
      sequence,
      position: printPosition(epoch, sequence),
      event: what.event,
      raw: what.raw,
      argumentCount: what.argumentCount,
      key,
      previous: previousOf(previous),
      time: clock.now(),
      receivedAt: heardAt,
      rendered: new Map(),
    });
  }

  /** Fetches the snapshot of a topic that has just been joined, and goes live with it. */
  function fetchState(topic: Topic): void {
    const joinedIn = life;
    const isPast = () => life !== joinedIn || !isWanted(topic);
    // Joined, but the origin does not answer: better live without a snapshot than stale for good.
    const patience = clock.after(spec.openTimeoutMs, () => {
      if (!isPast()) goLive(topic);
    });
    askForSnapshot(topic, 0).then(
      (snapshot) => {
        patience.cancel();
        if (isPast()) return; // there is a new join to come, and with it another snapshot
        topic.snapshot = snapshot;
        goLive(topic); // once more, for those to whom patience has shown another state
      },
      (error) => {
        patience.cancel();
        if (isPast()) return;
        if (error instanceof HubError) {
          log.warn({ topic: topic.name, error: messageOf(error) }, "snapshot refused");
          goLive(topic);
        } else {
          // Too many calls are waiting already.
          clock.after(SNAPSHOT_RETRY_MS, () => {
            if (!isPast()) fetchState(topic);
          });
        }
      },
    );
  }

  /** Has the snapshot of a live topic fetched anew, for newcomers. */
  function refresh(topic: Topic): void {
    const askedIn = life;
    askForSnapshot(topic, topic.spec.snapshotTtlMs).then(
      (snapshot) => {
        if (isRetired) return;
        if (life === askedIn) topic.snapshot = snapshot;
        table.change(topic);
      },
      (error) => {
        log.warn({ topic: topic.name, error: messageOf(error) }, "snapshot refused");
        // Not asked for again at once by the next newcomer: as old as if it had been given.
        if (isRetired) return;
        if (topic.snapshot) topic.snapshot = { ...topic.snapshot, time: clock.now() };
        table.change(topic);
      },
    );
  }

  async function askForSnapshot(topic: Topic, maxAgeMs: number): Promise<Answer<R>> {
    const { snapshot } = topic.spec;
    if (!snapshot) throw new TypeError(`Topic "${topic.name}" has no snapshot`);
    return calls.ask(snapshot.method, snapshot.print(topic.parameters), maxAgeMs);
  }

  function goLive(topic: Topic): void {
    // A number of its own: who saw the publication before must not pass for having seen this reset.
    table.goLive(topic, ++sequence);
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
      if (table.size === 0 && asking === 0) void source.stop();
    });
  }

  return {
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
    retire() {
      isRetired = true;
      idle?.cancel();
      return source.stop();
    },
    join(topic) {
      if (onDemand) source.start();
      source.join(topic);
    },
    leave(topic) {
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
  };
}

/** How old an answer of the origin may be for anybody, ms. */
function longestTtlMs({ sharedCalls, topics }: HubSpec): number {
  return Math.max(
    0,
    ...sharedCalls.values(),
    ...topics.flatMap(({ snapshot, snapshotTtlMs }) => (snapshot ? [snapshotTtlMs] : [])),
  );
}
