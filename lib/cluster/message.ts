/** What the machines of a cluster say to each other, in MessagePack. */

import { Decoder, Encoder } from "@msgpack/msgpack";
import type { Bare, Image } from "../feed/message.ts";
import type { Facts } from "../topic/topic.ts";
import type { Raw } from "../wire/hub.ts";

/** What happened to a topic; its number in the log is its place in the feed. */
export type TopicEvent = { readonly name: string } & (
  | { readonly type: "published"; readonly publication: Omit<Bare, "sequence"> }
  | { readonly type: "stalled" }
  | { readonly type: "reset" | "changed"; readonly facts: Facts }
  | {
      readonly type: "ended";
      readonly reason: "rejected" | "ended";
      readonly error?: string | undefined;
    }
  /** The owner takes it that nobody wants it any more: nothing more is told of it. */
  | { readonly type: "left" }
);

/** An entry of a feed's log. */
export type LogEvent =
  | TopicEvent
  /** There is a new owner. All that is known of any topic ends here. */
  | { readonly type: "break"; readonly term: string }
  /** The owner is there. */
  | {
      readonly type: "beat";
      readonly term: string;
      readonly connected: boolean;
      readonly lastMessageAt?: number | undefined;
    }
  /** The owner has gone; another need not wait. */
  | { readonly type: "resigned" };

/** What the owner is asked. */
export type Ask =
  /** Wants topics from now on. */
  | { readonly type: "want"; readonly from: string; readonly names: readonly string[] }
  | {
      readonly type: "call";
      readonly method: string;
      readonly args: readonly unknown[];
      readonly maxAgeMs: number;
    };

/** All that the owner knows of the topics that were asked for. */
export interface Images {
  /** Number of the newest entry that is in them. */
  readonly asOf: number;
  readonly images: readonly Image[];
}

export type CallResult =
  | { readonly raw: Raw; readonly time: number }
  | { readonly kind: "hub" | "unavailable"; readonly error: string };

/** What a machine says to all. */
export type Note = { readonly from: string } /** It is there. */ & (
  | { readonly type: "alive" }
  | { readonly type: "gone" }
  | { readonly type: "leave"; readonly name: string }
  /** Some of what it wants; all of it comes round by and by, because a `leave` may have been lost. */
  | { readonly type: "interest"; readonly names: readonly string[] }
  | { readonly type: "refresh"; readonly name: string }
);

const encoder = new Encoder({ ignoreUndefined: true, useBigInt64: true });
const decoder = new Decoder({ useBigInt64: true });

export function encode(
  message: LogEvent | Ask | Images | CallResult | Note,
): Uint8Array<ArrayBuffer> {
  return encoder.encode(message);
}

/**
 * @returns the value as it was encoded: who may write here is as trustworthy as this machine
 * @throws when the bytes are no MessagePack
 */
export function decode<T extends LogEvent | Ask | Images | CallResult | Note>(
  bytes: Uint8Array,
): T {
  return decoder.decode(bytes) as T;
}
