/**
 * A feed that several machines share: each keeps its topics by what it reads in the feed's log, in the
 * one order of the log; one of them is the owner, which writes it.
 *
 * The log is the lock. Its owner shows that it is there by what it writes; when nothing has come for
 * a lease, another writes a break behind the newest entry, and only behind that: of several one
 * succeeds, and whatever the owner before still writes is refused, because it is not the newest entry
 * any more that it knows of.
 */

import { HubError, messageOf, UnavailableError } from "../errors.ts";
import type { Engine } from "../feed/engine.ts";
import { dress, dressAll, type Image } from "../feed/message.ts";
import type { HubSpec } from "../feed/spec.ts";
import type { TopicTable } from "../feed/table.ts";
import type { Stats } from "../stats.ts";
import { NOWHERE } from "../topic/position.ts";
import type { Topic } from "../topic/topic.ts";
import type { Answer } from "../upstream/calls.ts";
import type { Raw } from "../wire/hub.ts";
import { type CandidateOptions, createCandidate } from "./candidate.ts";
import {
  type Ask,
  type CallResult,
  decode,
  encode,
  type Images,
  type LogEvent,
  type Note,
  type TopicEvent,
} from "./message.ts";
import type { LogLimits } from "./port.ts";
import { rankOf } from "./rank.ts";
import { createLogReader, type LogReader } from "./reader.ts";
import { DEAD_MS } from "./term.ts";
import { createUnknowns } from "./unknowns.ts";

export interface ClusterOptions<R extends Raw> extends CandidateOptions<R> {
  readonly limits: LogLimits;
  /** Shared calls that wait for their answer at one time. */
  readonly maxCalls: number;
  readonly stats: Stats;
}

/** Names in one note. */
const NAMES_PER_NOTE = 256;

/** How long the owner may take to tell of topics, ms. */
const ASK_TIMEOUT_MS = 5_000;

/** How long a call may take. The origin's own limits are shorter as a rule. */
const CALL_TIMEOUT_MS = 30_000;

/** How often others are shown that this machine is there, ms. */
const ALIVE_MS = 1_000;

/** How often the owner is told again all that is wanted here, ms. */
const INTEREST_MS = 20_000;

/** Machines that go before this one for whom it waits: beyond, it may as well try. */
const MAX_RANK = 3;

export function createClusterEngine<R extends Raw>(
  spec: HubSpec,
  table: TopicTable,
  options: ClusterOptions<R>,
): Engine<R> {
  const { port, id, names, limits, leaseMs, onDemand, maxCalls, clock, stats, log } = options;
  const candidate = createCandidate(spec, options);

  /** The owner's term; none is known at first. */
  let epoch = NOWHERE;
  let beat: Extract<LogEvent, { type: "beat" }> | undefined;
  let lastMessageAt: number | undefined;

  const reader: LogReader = createLogReader(
    { port, name: names.log, limits, clock, log },
    { began, missed, event: apply, read },
  );
  let hasResigned = false;
  /** Nothing has been heard for so long that what is known may be old. */
  let isAway = true;
  /** Topics that are stale for no other reason. */
  const quiet = new Set<Topic>();

  const unknowns = createUnknowns({
    ask: (names) =>
      epoch === NOWHERE || !isStarted || !port.connected
        ? undefined
        : request({ type: "want", from: id, names }, ASK_TIMEOUT_MS).then((bytes) =>
            decode<Images>(bytes),
          ),
    number: () => reader.number,
    find: (name) => (isRetired ? undefined : table.get(name)),
    onKnown: adopt,
    onEnded: (topic, { reason, error }) => table.end(topic, reason, error),
    clock,
  });

  /** Told when there is another owner, or none any more for this engine. */
  const onChange = new Set<() => void>();
  let callCount = 0;

  /** When other machines were heard of, on the monotonic clock, ms. */
  const peers = new Map<string, number>();
  let isStarted = false;
  let isRetired = false;
  let stopAll: (() => void)[] = [];

  function start(): void {
    if (isStarted || isRetired) return;
    isStarted = true;
    const ticks = clock.every(leaseMs / 6, tick);
    const alive = clock.every(ALIVE_MS, () => post({ type: "alive", from: id }));
    const interest = clock.every(INTEREST_MS, tellInterest);
    stopAll = [
      () => ticks.cancel(),
      () => alive.cancel(),
      () => interest.cancel(),
      port.watch(() => void reader.open()),
      port.listen(names.notes, hearNote),
    ];
    post({ type: "alive", from: id });
    void reader.open();
  }

  /**
   * The epoch of what is shown now. A position is for all topics of a stream, and other machines may
   * know of each what came before it: so nobody goes on from one that is not true for all here.
   */
  function shownEpoch(): string {
    return quiet.size > 0 || unknowns.isShown ? NOWHERE : epoch;
  }

  function began(isAnother: boolean): void {
    epoch = NOWHERE;
    if (isAnother) {
      // What is numbered higher must be newer: nothing of the numbers before may stay.
      const at = reader.number;
      const nothing = { publications: [], floor: at, brokenAt: at, state: "joining" } as const;
      for (const topic of table.topics()) {
        table.stall(topic, at);
        table.adopt(topic, { ...topic.facts, snapshot: undefined, ...nothing }, at);
        topic.show(); // whoever watches it was told of it by other numbers
      }
    }
    forget();
  }

  /** There may be another owner by now; its next beat tells. */
  function missed(): void {
    epoch = NOWHERE;
    forget();
  }

  /** Nothing is known of any topic from here on. */
  function forget(): void {
    for (const topic of table.topics()) forgetTopic(topic);
  }

  function forgetTopic(topic: Topic): void {
    quiet.delete(topic);
    if (topic.state === "live") table.stall(topic, reader.number);
    unknowns.add(topic);
  }

  function read(isNewest: boolean): void {
    unknowns.advance();
    if (isNewest && isAway) comeBack();
  }

  function apply(event: LogEvent): void {
    switch (event.type) {
      case "break":
        return setTerm(event.term);
      case "beat":
        if (event.term !== epoch) setTerm(event.term);
        beat = event;
        lastMessageAt = Math.max(lastMessageAt ?? 0, event.lastMessageAt ?? 0) || undefined;
        return;
      case "resigned":
        hasResigned = true;
        beat = undefined;
        return;
      default:
        return applyTo(table.get(event.name), event);
    }
  }

  function setTerm(next: string): void {
    epoch = next;
    beat = undefined;
    hasResigned = false;
    forget();
    for (const tell of [...onChange]) tell();
  }

  function applyTo(topic: Topic | undefined, event: TopicEvent): void {
    if (!topic) return;
    if (unknowns.note(topic, { number: reader.number, event })) return;
    if (event.type !== "published" && event.type !== "changed") quiet.delete(topic);
    switch (event.type) {
      case "published": {
        // The owner has counted it when it came.
        if (!candidate.isOwner) stats.publications++;
        const { publication } = event;
        lastMessageAt = Math.max(lastMessageAt ?? 0, publication.time);
        // The clocks of two machines do not run alike: elsewhere it counts from its arrival here.
        const receivedAt = candidate.isOwner ? publication.receivedAt : reader.heardAt;
        const bare = { ...publication, sequence: reader.number, receivedAt };
        return table.publish(
          topic,
          dress(bare, topic.name, shownEpoch(), topic.latest.get(bare.key)),
        );
      }
      case "stalled":
        return table.stall(topic, reader.number);
      case "reset":
        topic.facts = event.facts;
        return table.goLive(topic, reader.number);
      case "changed":
        topic.facts = event.facts;
        return table.change(topic);
      case "ended":
        return table.end(topic, event.reason, event.error);
      case "left":
        return forgetTopic(topic);
    }
  }

  function request(what: Ask, timeoutMs: number): Promise<Uint8Array> {
    return port.request(names.asks(epoch), encode(what), timeoutMs);
  }

  function adopt(topic: Topic, image: Image): void {
    const publications = dressAll(image, epoch);
    if (image.state !== "joining" || topic.state !== "stale") {
      return table.adopt(topic, { ...image, publications }, reader.number);
    }
    // The owner has only begun to join it: what was known here is the best there is, with what has
    // come since.
    const known = topic.latest.after(-1).at(-1)?.sequence ?? -1;
    for (const one of publications) if (one.sequence > known) table.publish(topic, one);
  }

  /** Something has been read again, and everything up to now. */
  function comeBack(): void {
    isAway = false;
    for (const topic of quiet) {
      quiet.delete(topic);
      if (!table.has(topic) || topic.state !== "stale" || unknowns.has(topic)) continue;
      // Nothing is missing here; who has been told that it is stale is told that it is not.
      table.adopt(topic, { ...topic.contents(clock.now()), state: "live" }, reader.number);
    }
  }

  function goAway(): void {
    isAway = true;
    for (const topic of table.topics()) {
      if (topic.state !== "live") continue;
      quiet.add(topic);
      table.stall(topic, reader.number);
    }
  }

  function tick(): void {
    const now = clock.monotonic();
    for (const [peer, at] of peers) if (now - at > DEAD_MS) peers.delete(peer);
    if (now - reader.heardAt > 2 * leaseMs) goAway();
    if (!reader.isReading || reader.silenceMs > 2 * leaseMs) void reader.open(); // it may be stuck
    unknowns.ask();
    if (!reader.isCurrent || !port.connected || candidate.isBusy) return;
    // Whoever goes before this machine is given time to do so.
    const rank = rankOf(id, peers.keys(), names.log);
    const turn = (Math.min(rank, MAX_RANK) * leaseMs) / 4;
    const isFree = hasResigned || reader.number === 0;
    if (reader.silenceMs > (isFree ? turn : leaseMs + turn)) void take();
  }

  /** Tries to become the owner. */
  async function take(): Promise<void> {
    const { journal, number } = reader;
    if (!journal) return;
    const isOwner = await candidate.take(journal, number);
    if (!isStarted) return candidate.resign();
    if (!isOwner) await reader.open(); // there is something to read, or the log is not what it was
  }

  function hearNote(bytes: Uint8Array): void {
    let note: Note;
    try {
      note = decode<Note>(bytes);
    } catch (error) {
      return log.warn({ subject: names.notes, error: messageOf(error) }, "a note cannot be read");
    }
    if (note.type === "gone") peers.delete(note.from);
    else peers.set(note.from, clock.monotonic());
    candidate.hear(note);
  }

  function post(note: Note): void {
    if (isStarted && port.connected) port.post(names.notes, encode(note));
  }

  function tellInterest(): void {
    const wanted = table.topics().map(({ name }) => name);
    for (let i = 0; i < wanted.length; i += NAMES_PER_NOTE) {
      post({ type: "interest", from: id, names: wanted.slice(i, i + NAMES_PER_NOTE) });
    }
    // What the owner could not take on before, it may be able to now.
    unknowns.retry();
  }

  async function rest(): Promise<void> {
    if (!isStarted) return;
    post({ type: "gone", from: id });
    isStarted = false;
    reader.stop();
    for (const stop of stopAll) stop();
    stopAll = [];
    for (const tell of [...onChange]) tell();
    isAway = true;
    beat = undefined;
    await candidate.resign();
  }

  /** Waits for a change of the owner, but no longer than this. */
  function change(timeoutMs: number): { readonly came: Promise<void>; cancel(): void } {
    let finish = () => {};
    const came = new Promise<void>((resolve) => {
      const timer = clock.after(timeoutMs, () => finish());
      finish = () => {
        timer.cancel();
        onChange.delete(finish);
        resolve();
      };
      onChange.add(finish);
    });
    return { came, cancel: () => finish() };
  }

  async function callOwner(ask: Ask): Promise<CallResult> {
    if (epoch === NOWHERE) await change(spec.openTimeoutMs).came;
    if (epoch === NOWHERE || !port.connected) throw new UnavailableError("The feed has no owner");
    const other = change(CALL_TIMEOUT_MS);
    const answer = await Promise.race([
      request(ask, CALL_TIMEOUT_MS).catch(() => undefined),
      other.came.then(() => undefined),
    ]);
    other.cancel();
    if (!answer) throw new UnavailableError("The owner of the feed did not answer");
    return decode<CallResult>(answer);
  }

  async function call(
    method: string,
    args: readonly unknown[],
    maxAgeMs: number,
  ): Promise<Answer<R>> {
    if (callCount >= maxCalls) throw new UnavailableError("Too many calls wait for the origin");
    callCount++;
    try {
      if (onDemand) start();
      const asked = reader.number;
      const result = await callOwner({ type: "call", method, args, maxAgeMs });
      // The owner's feed is of the same protocol.
      if ("raw" in result) return { raw: result.raw as R, sequence: asked, time: result.time };
      throw new (result.kind === "hub" ? HubError : UnavailableError)(result.error);
    } finally {
      callCount--;
    }
  }

  return {
    get epoch() {
      return shownEpoch();
    },
    get sequence() {
      return reader.number;
    },
    get connected() {
      return !isAway && beat?.connected === true;
    },
    get lastMessageAt() {
      return lastMessageAt;
    },
    start,
    async stop() {
      const resting = rest();
      forget();
      await resting;
    },
    retire() {
      const resting = rest();
      isRetired = true;
      return resting;
    },
    join(topic) {
      unknowns.add(topic);
      if (onDemand) start();
    },
    leave(topic) {
      unknowns.delete(topic);
      quiet.delete(topic);
      post({ type: "leave", from: id, name: topic.name });
    },
    refresh: ({ name }) => post({ type: "refresh", from: id, name }),
    call,
  };
}
