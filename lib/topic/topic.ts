/** The state of one topic: history, newest values, snapshot. No sockets, no timers. */

import type { Raw } from "../wire/hub.ts";
import type { HistoryBudget } from "./budget.ts";
import { createHistory, type History, type HistoryLimits } from "./history.ts";
import { createLatest, type Latest } from "./latest.ts";
import { NOWHERE, parsePosition, printPosition } from "./position.ts";
import type { Message, Publication, ResetReason } from "./publication.ts";
import type { CallTemplate, Parameters, TopicTemplate } from "./template.ts";

/** One declared kind of topic, compiled. Of `join` and `stream` at most one; neither is a broadcast. */
export interface TopicSpec {
  readonly template: TopicTemplate;
  readonly join: CallTemplate | undefined;
  readonly leave: CallTemplate | undefined;
  readonly stream: CallTemplate | undefined;
  readonly snapshot: CallTemplate | undefined;
  /** Age at which a newcomer has the snapshot fetched anew, ms. */
  readonly snapshotTtlMs: number;
  readonly history: HistoryLimits;
  readonly maxKeys: number;
  /** What becomes of a client that does not keep up. */
  readonly slow: SlowPolicy;
  /** How long the upstream subscription outlives the last subscriber, ms. */
  readonly lingerMs: number;
}

/**
 * - `conflate`: it is left behind, and given the newest of each key as soon as it reads again
 * - `disconnect`: it is cut once too much waits for it
 */
export type SlowPolicy = "conflate" | "disconnect";

/**
 * - `joining`: the origin has not accepted it yet
 * - `live`: joined, and its state is known
 * - `stale`: it was live, and the upstream connection has been lost since
 */
export type TopicState = "joining" | "live" | "stale";

export interface Snapshot {
  /** What the origin's method returned. */
  readonly raw: Raw;
  /** The feed's sequence when it was asked for: what comes after may be in it or not. */
  readonly sequence: number;
  /** When it was asked for, Unix ms. */
  readonly time: number;
}

/** How far the feed of a topic is. */
export interface Progress {
  readonly epoch: string;
  readonly sequence: number;
  readonly now: number;
  /** When something last came from the origin, Unix ms. */
  readonly lastMessageAt: number | undefined;
}

/** What a topic knows beside its publications. */
export interface Facts {
  readonly accepted: boolean;
  readonly joinResult: Raw | undefined;
  readonly snapshot: Snapshot | undefined;
}

/** All that a topic knows. */
export interface Contents extends Facts {
  readonly state: TopicState;
  /** Those of the history and the newest of each key, oldest first. */
  readonly publications: readonly Publication[];
  /** Sequence from which on none is missing among them. */
  readonly floor: number;
  /** Sequence at the last loss of the upstream connection. */
  readonly brokenAt: number;
}

/** How far a subscriber has been told of a topic. */
export interface Mark {
  readonly sequence: number;
  /** Publications of the topic until then. */
  readonly count: number;
  /** How often it had gone live by then. */
  readonly lives: number;
  readonly state: TopicState;
}

export class Topic {
  readonly name: string;
  readonly spec: TopicSpec;
  readonly parameters: Parameters;
  readonly history: History;
  readonly latest: Latest;
  state: TopicState = "joining";
  /** Whether the origin has accepted it, ever. */
  accepted = false;
  /** What the origin answered to the join; `undefined` until it has. */
  joinResult: Raw | undefined;
  #snapshot: Snapshot | undefined;
  /** Sequence of its newest publication or reset. */
  #changedAt = 0;
  /** Sequence of its newest publication; −1 before the first. */
  #newest = -1;
  /** Of the snapshot that it was made of. */
  #digest: { readonly raw: Raw | undefined; readonly text: string } | undefined;
  /** Sequence at the last loss of the upstream connection; −1 before the first. */
  #brokenAt = -1;
  /** How often it went live. */
  #lives = 0;
  #isShownBlank = false;
  /** Publications of it, ever. */
  #count = 0;

  /** @param sequence of the feed */
  constructor(
    name: string,
    spec: TopicSpec,
    parameters: Parameters,
    sequence: number,
    budget: HistoryBudget,
  ) {
    this.name = name;
    this.spec = spec;
    this.parameters = parameters;
    this.history = createHistory(spec.history, sequence, budget);
    this.latest = createLatest(spec.maxKeys);
  }

  get snapshot(): Snapshot | undefined {
    return this.#snapshot;
  }

  set snapshot(snapshot: Snapshot | undefined) {
    this.#snapshot = snapshot;
  }

  /**
   * Changes with the topic's state, and no oftener. It is made of nothing else: in one epoch it is the
   * same wherever the state is, however it came there.
   */
  get version(): string {
    const raw = this.#snapshot?.raw;
    if (!this.#digest || this.#digest.raw !== raw) this.#digest = { raw, text: digest(raw) };
    return `${this.#newest}.${this.#digest.text}.${this.state}`;
  }

  get facts(): Facts {
    const { accepted, joinResult, snapshot } = this;
    return { accepted, joinResult, snapshot };
  }

  set facts({ accepted, joinResult, snapshot }: Facts) {
    this.accepted = accepted;
    this.joinResult = joinResult;
    this.snapshot = snapshot;
  }

  contents(now: number): Contents {
    const { state, history, facts } = this;
    const kept = new Set([...this.latest.after(-1), ...history.all(now)]);
    const publications = [...kept].sort((a, b) => a.sequence - b.sequence);
    return { ...facts, state, publications, floor: history.floor, brokenAt: this.#brokenAt };
  }

  /**
   * Takes over what another knows of it, in place of all it knew.
   * @param sequence of the feed
   */
  adopt(contents: Contents, sequence: number): void {
    const { publications, state, brokenAt } = contents;
    // Who was shown a position when nothing was known here has not seen what came before it.
    const floor = Math.max(contents.floor, this.#isShownBlank ? sequence : 0);
    this.facts = contents;
    this.state = state;
    this.latest.clear();
    this.history.restart(floor);
    this.#newest = publications.at(-1)?.sequence ?? -1;
    for (const publication of publications) {
      this.latest.put(publication);
      if (publication.sequence > floor) this.history.append(publication);
    }
    this.#brokenAt = brokenAt;
    this.#changedAt = sequence;
    if (state === "live") this.#goLive();
  }

  /** Nobody wants it any more. */
  drop(): void {
    this.history.restart(this.#changedAt);
  }

  /**
   * The publication before of a key, when everybody has it who knows this topic's state: a snapshot
   * that newcomers are given stands for all that came before it.
   */
  previous(key: string): Publication | undefined {
    const before = this.latest.get(key);
    return before && before.sequence > (this.#snapshot?.sequence ?? -1) ? before : undefined;
  }

  append(publication: Publication): void {
    this.#changedAt = publication.sequence;
    this.#newest = publication.sequence;
    this.#count++;
    this.history.append(publication);
    this.latest.put(publication);
  }

  /** The upstream connection is lost: nobody recovers across this place. */
  break(sequence: number): void {
    if (this.state === "stale") return; // the first loss is where its history ends
    if (this.state === "live") this.state = "stale";
    this.#brokenAt = sequence;
  }

  /** The origin has accepted it and its state is known: from here on nothing is missing. */
  goLive(sequence: number): void {
    // The feed went on meanwhile: positions between the loss and here are no better than before it.
    if (this.state !== "joining") this.#brokenAt = sequence;
    this.#changedAt = sequence;
    this.#goLive();
    this.history.restart(sequence);
  }

  #goLive(): void {
    this.state = "live";
    this.#lives++;
    this.#isShownBlank = false;
  }

  /** Somebody is about to be told what is known, with a position. */
  show(): void {
    if (this.state !== "live") this.#isShownBlank = true;
  }

  /** Whether somebody has been given a position while its state was not known. */
  get isShownBlank(): boolean {
    return this.#isShownBlank;
  }

  /**
   * All that a subscriber is to be sent before it enters the audience, in the same synchronous step.
   * @param since the client's position as it wrote it
   */
  opening(since: string | undefined, progress: Progress): readonly Message[] {
    const { epoch, sequence } = progress;
    const missed = this.#missed(since, progress);
    this.show();
    const subscribed = {
      type: "subscribed",
      topic: this.name,
      position: printPosition(epoch, sequence),
      recovered: Array.isArray(missed),
      state: this.state === "live" ? "live" : "stale",
    } as const;
    if (typeof missed === "string") return [...this.reset(missed), subscribed];
    return [...missed, subscribed];
  }

  /** Where somebody stands who has been told everything. */
  mark({ sequence }: Progress): Mark {
    return { sequence, count: this.#count, lives: this.#lives, state: this.state };
  }

  /**
   * What somebody has to be told who was left behind at a mark: the newest of each key, with what
   * became of the topic meanwhile.
   */
  since(mark: Mark, progress: Progress): readonly Message[] {
    const stale = {
      type: "stale",
      topic: this.name,
      lastMessageAt: progress.lastMessageAt,
    } as const;
    const messages: Message[] = [];
    const wasLive = mark.state === "live";
    const isReset = this.#lives > mark.lives;
    const isEvicted = this.state === "live" && this.latest.forgotten > mark.sequence;
    if (isReset || isEvicted) {
      const position = printPosition(progress.epoch, progress.sequence);
      if (wasLive) messages.push(stale);
      const reason = isReset ? (mark.state === "joining" ? "new" : "break") : "evicted";
      messages.push(...this.reset(reason), { type: "live", topic: this.name, position });
      if (this.state !== "live") messages.push(stale);
      return messages;
    }
    // What came before a break is in the reset that follows it.
    if (this.state !== "live") return wasLive ? [stale] : [];
    const newest = this.latest.after(mark.sequence);
    const skipped = this.#count - mark.count - newest.length;
    if (skipped === 0) return newest;
    return [
      { type: "conflated", topic: this.name, skipped },
      ...newest.map((publication) => ({ type: "newest", publication }) as const),
    ];
  }

  /** As `since`, of publications alone; `undefined` when some that matter are forgotten. */
  newestSince(mark: Mark): readonly Publication[] | undefined {
    return this.latest.forgotten > mark.sequence ? undefined : this.latest.after(mark.sequence);
  }

  /** Whether `since` can be answered without a reset. */
  recovers(since: string, progress: Progress): boolean {
    return typeof this.#missed(since, progress) !== "string";
  }

  /** A reset with the state that is known: the snapshot, and what came after it. */
  reset(reason: ResetReason): readonly Message[] {
    const values = this.latest.after(this.snapshot?.sequence ?? -1);
    return [
      { type: "reset", topic: this.name, reason, snapshot: this.snapshot?.raw },
      ...values.map((publication) => ({ type: "value", publication }) as const),
    ];
  }

  /** @returns what came after `since`, or why that cannot be said */
  #missed(since: string | undefined, progress: Progress): readonly Publication[] | ResetReason {
    if (since === undefined) return "new";
    const position = parsePosition(since);
    if (!position) return "invalid";
    if (position.epoch === NOWHERE || position.epoch !== progress.epoch) return "epoch";
    if (position.sequence > progress.sequence) return "invalid";
    if (this.state === "joining") return "evicted"; // what was known of it went when it was left
    const missed = this.history.since(position.sequence, progress.now);
    if (!missed) return position.sequence <= this.#brokenAt ? "break" : "evicted";
    // What came after the loss is in the reset that follows it.
    return this.state === "live" ? missed : missed.filter((one) => one.sequence <= this.#brokenAt);
  }
}

/** 52 bits by which one snapshot is told from another: cyrb53, in hex. */
function digest(raw: Raw | undefined): string {
  if (raw === undefined) return "";
  let [a, b] = [0xdeadbeef, 0x41c6ce57];
  for (let i = 0; i < raw.length; i++) {
    const unit = typeof raw === "string" ? raw.charCodeAt(i) : (raw[i] as number); // below its length
    a = Math.imul(a ^ unit, 0x9e3779b1);
    b = Math.imul(b ^ unit, 0x5f356495);
  }
  a = Math.imul(a ^ (a >>> 16), 0x85ebca6b) ^ Math.imul(b ^ (b >>> 13), 0xc2b2ae35);
  b = Math.imul(b ^ (b >>> 16), 0x85ebca6b) ^ Math.imul(a ^ (a >>> 13), 0xc2b2ae35);
  return ((b >>> 12) * 2 ** 32 + (a >>> 0)).toString(16);
}
