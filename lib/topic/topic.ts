/** The state of one topic: history, newest values, snapshot. No sockets, no timers. */

import type { Raw } from "../wire/hub.ts";
import { createHistory, type History, type HistoryLimits } from "./history.ts";
import { createLatest, type Latest } from "./latest.ts";
import { parsePosition, printPosition } from "./position.ts";
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
  /** How long the upstream subscription outlives the last subscriber, ms. */
  readonly lingerMs: number;
}

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
  /** How often the snapshot was another than the one before. */
  #snapshots = 0;
  /** Sequence at the last loss of the upstream connection; −1 before the first. */
  #brokenAt = -1;

  constructor(name: string, spec: TopicSpec, parameters: Parameters, sequence: number) {
    this.name = name;
    this.spec = spec;
    this.parameters = parameters;
    this.history = createHistory(spec.history, sequence);
    this.latest = createLatest(spec.maxKeys);
  }

  get snapshot(): Snapshot | undefined {
    return this.#snapshot;
  }

  set snapshot(snapshot: Snapshot | undefined) {
    if (String(snapshot?.raw) !== String(this.#snapshot?.raw)) this.#snapshots++;
    this.#snapshot = snapshot;
  }

  /** Changes with the topic's state, and no oftener. */
  get version(): string {
    return `${this.#changedAt}.${this.#snapshots}.${this.state}`;
  }

  append(publication: Publication): void {
    this.#changedAt = publication.sequence;
    this.history.append(publication);
    this.latest.put(publication);
  }

  /** The upstream connection is lost: nobody recovers across this place. */
  break(sequence: number): void {
    if (this.state === "live") this.state = "stale";
    this.#brokenAt = sequence;
  }

  /** The origin has accepted it and its state is known: from here on nothing is missing. */
  goLive(sequence: number): void {
    this.state = "live";
    this.#changedAt = sequence;
    this.history.restart(sequence);
  }

  /**
   * All that a subscriber is to be sent before it enters the audience, in the same synchronous step.
   * @param since the client's position as it wrote it
   */
  opening(since: string | undefined, progress: Progress): readonly Message[] {
    const { epoch, sequence } = progress;
    const missed = this.#missed(since, progress);
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
    if (position.epoch !== progress.epoch) return "epoch";
    if (position.sequence > progress.sequence) return "invalid";
    if (this.state !== "live") return "break";
    const missed = this.history.since(position.sequence, progress.now);
    return missed ?? (position.sequence <= this.#brokenAt ? "break" : "evicted");
  }
}
