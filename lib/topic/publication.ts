/** What flows from a topic to its subscribers. The two types everybody shares. */

import type { Raw } from "../wire/hub.ts";

/** One item of a topic. Made once, shared by all, never changed. */
export interface Publication {
  readonly type: "publication";
  readonly topic: string;
  /** Place in the feed: rises with every publication of any of its topics. */
  readonly sequence: number;
  readonly position: string;
  /** Target of the push, or method of the stream. */
  readonly event: string;
  /** The argument list of a push or the item of a stream, as the origin wrote it. */
  readonly raw: Raw;
  /** How many arguments `raw` holds; `undefined` when it is a stream's item. */
  readonly argumentCount: number | undefined;
  /** What conflation keeps the latest of: event and key value. */
  readonly key: string;
  /** The one before of the same key; `undefined` when it is not known. */
  readonly previous: Pick<Publication, "sequence" | "raw" | "argumentCount"> | undefined;
  /** When it came from the origin, Unix ms. */
  readonly time: number;
  /** The same moment as the clock's `monotonic` shows it. */
  readonly receivedAt: number;
  /** Its renderings so far, by the function of a format that made them. At most as many as there are formats that several share. */
  readonly rendered: Map<object, Raw>;
}

/** What a publication keeps of the one before: no more, or all that ever were would hang together. */
export function previousOf(before: Publication | undefined): Publication["previous"] {
  if (!before) return undefined;
  const { sequence, raw, argumentCount } = before;
  return { sequence, raw, argumentCount };
}

/** Why a topic's subscriber has to begin anew: PROTOCOL.md section 2. */
export type ResetReason = "new" | "invalid" | "epoch" | "evicted" | "break";

/** What a subscriber is told beside publications: PROTOCOL.md sections 2 and 3. */
export type Notice =
  | {
      readonly type: "reset";
      readonly topic: string;
      readonly reason: ResetReason;
      /** Result of the topic's snapshot call. */
      readonly snapshot: Raw | undefined;
    }
  /** The newest publication of a key, behind a reset: shown without its position. */
  | { readonly type: "value"; readonly publication: Publication }
  /** Others were left out: what follows are the newest publications of the keys that changed. */
  | { readonly type: "conflated"; readonly topic: string; readonly skipped: number }
  /** A publication behind others that were left out: shown whole, with its position. */
  | { readonly type: "newest"; readonly publication: Publication }
  | {
      readonly type: "subscribed";
      readonly topic: string;
      readonly position: string;
      readonly recovered: boolean;
      readonly state: "live" | "stale";
    }
  | {
      readonly type: "stale";
      readonly topic: string;
      /** Unix ms of the last message from the origin; `undefined` before the first. */
      readonly lastMessageAt: number | undefined;
    }
  | { readonly type: "live"; readonly topic: string; readonly position: string }
  | {
      readonly type: "unsubscribed";
      readonly topic: string;
      readonly reason: "requested" | "rejected" | "ended";
      /** The origin's text. */
      readonly error: string | undefined;
    };

export type Message = Publication | Notice;
