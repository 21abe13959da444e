/** What the owner of a feed and its replicas say to each other. All of it is plain data. */

import { printPosition } from "../topic/position.ts";
import { type Publication, previousOf } from "../topic/publication.ts";
import type { Contents, Facts } from "../topic/topic.ts";
import type { Raw } from "../wire/hub.ts";

/** A publication without what each isolate makes of it. */
export interface Bare
  extends Pick<
    Publication,
    "sequence" | "event" | "raw" | "argumentCount" | "key" | "time" | "receivedAt"
  > {
  /** Sequence of the one before of its key, if everybody has it. */
  readonly base: number | undefined;
}

export function bareOf(publication: Publication): Bare {
  const { sequence, event, raw, argumentCount, key, time, receivedAt, previous } = publication;
  const base = previous?.sequence;
  return { sequence, event, raw, argumentCount, key, time, receivedAt, base };
}

/** @param before the newest of its key until then, as far as it is known */
export function dress(
  { base, ...bare }: Bare,
  topic: string,
  epoch: string,
  before: Publication | undefined,
): Publication {
  return {
    type: "publication",
    topic,
    position: printPosition(epoch, bare.sequence),
    previous: before?.sequence === base ? previousOf(before) : undefined,
    rendered: new Map(),
    ...bare,
  };
}

/** The publications of a topic's image. */
export function dressAll({ name, publications }: Image, epoch: string): Publication[] {
  const newest = new Map<string, Publication>();
  return publications.map((bare) => {
    const publication = dress(bare, name, epoch, newest.get(bare.key));
    newest.set(bare.key, publication);
    return publication;
  });
}

/** All that the owner knows of a topic. */
export interface Image extends Omit<Contents, "publications"> {
  readonly name: string;
  readonly publications: readonly Bare[];
}

/** A time in which a replica has lost something. */
export interface Lapse {
  /** Distinct among those of the replica. */
  readonly id: number;
  /** Sequence up to which it has everything. */
  readonly since: number;
}

/** From a replica to the owner. */
export type Request =
  /** Wants topics; all of them whole, or what was missed in a lapse. */
  | { readonly type: "want"; readonly names: readonly string[]; readonly lapse?: Lapse | undefined }
  | { readonly type: "leave"; readonly name: string }
  /** All that it wants, now and then: a `leave` may have been lost. */
  | { readonly type: "interest"; readonly names: readonly string[] }
  | { readonly type: "refresh"; readonly name: string }
  | {
      readonly type: "call";
      readonly id: number;
      readonly method: string;
      readonly args: readonly unknown[];
      readonly maxAgeMs: number;
    };

/** What happened to a topic. */
export type Event =
  | { readonly type: "published"; readonly name: string; readonly publication: Bare }
  | { readonly type: "stalled"; readonly name: string }
  /** No replica wants it any more, as far as the owner knows: nothing of it is told from here on. */
  | { readonly type: "dropped"; readonly name: string }
  | {
      readonly type: "ended";
      readonly name: string;
      readonly reason: "rejected" | "ended";
      readonly error: string | undefined;
    }
  | {
      readonly type: "reset";
      readonly name: string;
      readonly sequence: number;
      readonly facts: Facts;
    }
  | { readonly type: "changed"; readonly name: string; readonly facts: Facts };

/** From the owner to all replicas. */
export interface Batch {
  readonly type: "batch";
  /** Counts batches, from 1: who misses one knows it. */
  readonly number: number;
  readonly epoch: string;
  readonly sequence: number;
  readonly connected: boolean;
  readonly lastMessageAt: number | undefined;
  /** What happened since the batch before; nothing in one that only shows that the owner is there. */
  readonly events: readonly Event[];
}

/** From the owner to one replica. */
export type Reply = { readonly to: string } & (
  | ({ readonly type: "images"; readonly images: readonly Image[] } & AsOf)
  /** Of all topics that were asked for, in the order of the feed. */
  | ({
      readonly type: "missed";
      readonly missed: readonly { readonly name: string; readonly publication: Bare }[];
    } & AsOf)
  | {
      readonly type: "answer";
      readonly id: number;
      readonly result:
        | { readonly raw: Raw; readonly sequence: number; readonly time: number }
        | { readonly kind: "hub" | "unavailable"; readonly error: string };
    }
);

/** Where the feed was when it was said. */
export interface AsOf {
  /**
   * Id of the lapse that was asked about. What was asked in another one was of other topics, even if
   * both are since the same place.
   */
  readonly lapse: number | undefined;
  readonly epoch: string;
  /** Of the newest batch. */
  readonly number: number;
  readonly sequence: number;
}

export type FeedMessage = Request | Batch | Reply;
