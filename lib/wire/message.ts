/**
 * The messages of the plain protocols, PROTOCOL.md section 3: JSON objects both ways.
 */

import { z } from "zod";
import { ProtocolError, Refusal, type RefusalCode } from "../errors.ts";
import type { Notice, Publication } from "../topic/publication.ts";
import type { Raw } from "./hub.ts";

/** What a client chose to name its message by. */
export type MessageId = string | number;

/** A client's message, read and checked. */
export type ClientMessage =
  | {
      readonly type: "subscribe";
      readonly id?: MessageId | undefined;
      readonly topics: readonly {
        readonly topic: string;
        readonly since?: string | undefined;
        readonly rate?: number | undefined;
      }[];
    }
  | {
      readonly type: "unsubscribe";
      readonly id?: MessageId | undefined;
      readonly topics: readonly string[];
    }
  | { readonly type: "ping"; readonly id?: MessageId | undefined };

/** Updates a second that a client may ask for. */
export const MIN_RATE = 0.01;
export const MAX_RATE = 100;

const rate: z.ZodType<number> = z.number().min(MIN_RATE).max(MAX_RATE);

/** Entries of `topics` in one message at most. */
export const MAX_TOPICS_PER_MESSAGE = 100;

const id: z.ZodType<MessageId | undefined> = z
  .union([z.string().max(64), z.int()], "must be a string of at most 64 characters or an integer")
  .optional();

const name: z.ZodType<string> = z.string().max(256);

function list<T>(entry: z.ZodType<T>): z.ZodType<T[]> {
  return z.array(entry).min(1).max(MAX_TOPICS_PER_MESSAGE);
}

const clientMessage: z.ZodType<ClientMessage> = z.discriminatedUnion("type", [
  z.object({
    type: z.literal("subscribe"),
    id,
    topics: list(
      z.union(
        [
          name.transform((topic) => ({ topic })),
          z.object({ topic: name, since: z.string().max(64).optional(), rate: rate.optional() }),
        ],
        `must be a topic name or an object with topic, since and a rate of ${MIN_RATE} to ${MAX_RATE}`,
      ),
    ),
  }),
  z.object({ type: z.literal("unsubscribe"), id, topics: list(name) }),
  z.object({ type: z.literal("ping"), id }),
]);

/**
 * Reads one text frame of a client.
 * @throws {ProtocolError} when it is not JSON
 * @throws {InvalidMessage} when it is JSON, but no message
 */
export function parseClientMessage(text: string): ClientMessage {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new ProtocolError("Cannot parse message: it is not JSON");
  }
  const parsed = clientMessage.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const field = issue?.path.join(".") || "message";
  const given = (value as { id?: unknown } | null)?.id;
  const named = id.safeParse(given);
  throw new InvalidMessage(`Invalid field "${field}": ${issue?.message}`, named.data);
}

/** JSON that is not a message. The connection goes on. */
export class InvalidMessage extends Refusal {
  /** The message's id, when at least that could be read. */
  readonly id: MessageId | undefined;

  constructor(message: string, id: MessageId | undefined) {
    super("invalid_message", message);
    this.id = id;
  }
}

/**
 * The `data` of a publication: its argument, or the array of its arguments when there is not
 * exactly one; a stream's item as it is.
 * @param publication of a JSON feed
 * @returns JSON text, as the origin wrote it
 */
export function printData({ raw, argumentCount }: Publication): string {
  const json = jsonOf(raw);
  // Of an array with one element, the element is what stands between the brackets.
  return argumentCount === 1 ? json.trim().slice(1, -1).trim() : json;
}

/** On one line, as each message is: within JSON's strings a line break cannot stand unescaped. */
function jsonOf(raw: Raw): string {
  // Plain formats are made for JSON feeds only.
  if (typeof raw !== "string") throw new TypeError("Cannot print data: the feed is not JSON");
  return /[\r\n]/.test(raw) ? raw.replaceAll(/[\r\n]+/g, " ") : raw;
}

/** @param position absent behind a reset */
export function printPublication(publication: Publication, position?: string): string {
  const { topic, event } = publication;
  const at = position === undefined ? "" : `,"position":"${position}"`;
  return `{"type":"publication","topic":${JSON.stringify(topic)}${at},"event":${JSON.stringify(event)},"data":${printData(publication)}}`;
}

/** Writes a notice, whole. */
export function printNotice(notice: Exclude<Notice, { type: "newest" }>): string {
  if (notice.type === "value") return printPublication(notice.publication);
  const { type, position, json } = noticeFields(notice);
  const at = position === undefined ? "" : `"position":"${position}",`;
  return `{"type":"${type}",${at}${json.slice(1)}`;
}

/** The parts of a notice: type, position, and its other fields as a JSON object's text. */
export function noticeFields(notice: Exclude<Notice, { type: "value" | "newest" }>): {
  readonly type: string;
  readonly position: string | undefined;
  readonly json: string;
} {
  if (notice.type !== "reset") {
    const { type, position, ...fields } = { position: undefined, ...notice };
    return { type, position, json: JSON.stringify(fields) };
  }
  const { type, topic, reason, snapshot } = notice;
  const head = JSON.stringify({ topic, reason });
  // The snapshot goes in as the origin wrote it.
  const json =
    snapshot === undefined ? head : `${head.slice(0, -1)},"snapshot":${jsonOf(snapshot)}}`;
  return { type, position: undefined, json };
}

/** The newest state of a topic: PROTOCOL.md section 5. */
export function printState(state: {
  readonly topic: string;
  readonly position: string;
  readonly state: "live" | "stale";
  readonly snapshot: Raw | undefined;
  readonly latest: readonly Publication[];
}): string {
  const { topic, position, snapshot, latest } = state;
  const head = JSON.stringify({ topic, position, state: state.state }).slice(0, -1);
  const whole = snapshot === undefined ? "" : `,"snapshot":${jsonOf(snapshot)}`;
  const values = latest.map(
    (value) => `{"event":${JSON.stringify(value.event)},"data":${printData(value)}}`,
  );
  return `${head}${whole},"latest":[${values.join(",")}]}`;
}

export function printError(
  code: RefusalCode,
  message: string,
  about: { readonly id?: MessageId | undefined; readonly topic?: string | undefined },
): string {
  return JSON.stringify({ type: "error", code, message, ...about });
}

export function printPong(id: MessageId | undefined): string {
  return JSON.stringify({ type: "pong", id });
}

export const HEARTBEAT = '{"type":"heartbeat"}';

/** @param retryMs when the client shall come back */
export function printDrain(retryMs: number): string {
  return JSON.stringify({ type: "drain", retryMs });
}
