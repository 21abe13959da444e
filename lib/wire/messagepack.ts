/**
 * The MessagePack hub protocol: the length of a record, and the record, which is one array.
 *
 * A length is written 7 bits a byte, the lowest first, with the high bit on all bytes but the last.
 *
 * @see https://github.com/dotnet/aspnetcore/blob/main/src/SignalR/docs/specs/HubProtocol.md#messagepack-msgpack-encoding
 */

import { Decoder, Encoder } from "@msgpack/msgpack";
import { messageOf, ProtocolError } from "../errors.ts";
import { elements, type Kind, kindOf } from "./bytes.ts";
import type { Framing, HubMessage, HubProtocol, Unknown } from "./hub.ts";

export const messagepackProtocol: HubProtocol<Uint8Array> = {
  name: "messagepack",
  transferFormat: "Binary",
  createFraming,
  parse,
  frame: (record) => framed(record),
  print,
  decode,
  encode,
};

const NOTHING = new Uint8Array(0);

function createFraming(maxRecordBytes: number): Framing<Uint8Array> {
  return new Records(maxRecordBytes);
}

class Records implements Framing<Uint8Array> {
  readonly #maxBytes: number;
  /** The beginning of a record, in a buffer of our own that has room for more of it. */
  #held = NOTHING;
  #heldBytes = 0;

  constructor(maxRecordBytes: number) {
    this.#maxBytes = maxRecordBytes;
  }

  push(chunk: string | Uint8Array): Uint8Array[] {
    const bytes = typeof chunk === "string" ? new TextEncoder().encode(chunk) : chunk;
    const input = this.#heldBytes === 0 ? bytes : this.#hold(bytes);
    const records: Uint8Array[] = [];
    let at = 0;
    for (;;) {
      const found = readLength(input, at);
      if (found && found.end - at > this.#maxBytes) {
        throw new ProtocolError(
          `The maximum message size of ${this.#maxBytes}B was exceeded. The message size can be configured in AddHubOptions.`,
        );
      }
      if (!found || found.end > input.length) break;
      records.push(input.subarray(found.start, found.end));
      at = found.end;
    }
    if (this.#heldBytes === 0 || at > 0) {
      // The records are views of what was held: the next one gets a buffer of its own.
      this.#held = NOTHING;
      this.#heldBytes = 0;
      if (at < input.length) this.#hold(input.subarray(at));
    }
    return records;
  }

  #hold(bytes: Uint8Array): Uint8Array {
    const length = this.#heldBytes + bytes.length;
    if (length > this.#held.length) {
      // Twice the size: pieces of one byte must not cost a copy of everything each.
      const larger = new Uint8Array(Math.max(length, 2 * this.#held.length));
      larger.set(this.#held.subarray(0, this.#heldBytes));
      this.#held = larger;
    }
    this.#held.set(bytes, this.#heldBytes);
    this.#heldBytes = length;
    return this.#held.subarray(0, length);
  }
}

/**
 * @returns where the record that is announced at `at` starts and ends; `undefined` when its length
 * is not whole yet
 */
function readLength(bytes: Uint8Array, at: number): { start: number; end: number } | undefined {
  let length = 0;
  for (let i = 0; i < 5; i++) {
    const byte = bytes[at + i];
    if (byte === undefined) return undefined;
    length += (byte & 0x7f) * 2 ** (7 * i);
    if (byte >= 0x80) continue;
    if (length > 0x7fffffff) break;
    // Refused here already: a large frame of nothing but zeros would become millions of records.
    if (length === 0) throw new ProtocolError("Cannot read MessagePack: a record is empty");
    const start = at + i + 1;
    return { start, end: start + length };
  }
  throw new ProtocolError("Messages over 2GB in size are not supported.");
}

/** More than any type has: what a later version of the protocol adds is not looked at. */
const MAX_ITEMS = 6;

function parse(record: Uint8Array, sender?: "client"): HubMessage<Uint8Array> | Unknown {
  return (sender === "client" ? undefined : parsePush(record)) ?? parseAny(record);
}

// Nearly all that an origin sends are pushes, and .NET writes [1, {}, nil, target, arguments, []]. What
// stands before the arguments is the same for all of one target: it is compared, and not read again.

/** Bytes from the beginning of a push to its arguments, and the target that is among them. */
interface Head {
  readonly bytes: Uint8Array;
  readonly target: string;
}

/** Of the pushes that were read last, newest first: a hub has few targets. */
const heads: Head[] = [];
const MAX_HEADS = 8;

const PUSH = [0x96, 1, 0x80, 0xc0];
const NO_STREAMS = 0x90;

function parsePush(record: Uint8Array): HubMessage<Uint8Array> | undefined {
  if (record.at(-1) !== NO_STREAMS || !startsWith(record, PUSH)) return undefined;
  const head = knownHead(record);
  if (!head) return remember(record);
  const raw = record.subarray(head.bytes.length, -1);
  if (kindOf(raw) !== "array") return undefined;
  try {
    // It refuses more than one value: nothing else stands between the head and the last byte.
    const values = decoder.decode(raw) as readonly unknown[]; // an array, as just checked
    return { type: "invocation", target: head.target, arguments: raw, values };
  } catch {
    return undefined; // the general way finds out what it is
  }
}

function knownHead(record: Uint8Array): Head | undefined {
  for (const head of heads) if (startsWith(record, head.bytes)) return head;
  return undefined;
}

/** Reads a push in the general way, and remembers how it began. */
function remember(record: Uint8Array): HubMessage<Uint8Array> | undefined {
  const message = parseAny(record);
  if (message.type !== "invocation") return undefined;
  const bytes = record.slice(0, message.arguments.byteOffset - record.byteOffset);
  if (heads.unshift({ bytes, target: message.target }) > MAX_HEADS) heads.pop();
  return message;
}

function startsWith(record: Uint8Array, bytes: ArrayLike<number>): boolean {
  for (let i = 0; i < bytes.length; i++) if (record[i] !== bytes[i]) return false;
  return true;
}

function parseAny(record: Uint8Array): HubMessage<Uint8Array> | Unknown {
  assertKind(record, "array", "message");
  const [first, second, third, fourth, fifth, sixth] = elements(record, MAX_ITEMS);
  const code = integer(first, "messageType", 32);
  if (code >= 1 && code <= 5) checkHeaders(second);
  switch (code) {
    case 1: {
      const invocationId = string(third, "invocationId");
      return {
        type: "invocation",
        ...(invocationId ? { invocationId } : {}),
        ...invocationOf("Invocation", fourth, fifth, sixth),
      };
    }
    case 2: {
      const invocationId = idOf("StreamItem", third);
      if (fourth === undefined) throw unreadable("'item'");
      return { type: "streamItem", invocationId, item: fourth, value: decode(fourth) };
    }
    case 3: {
      const invocationId = idOf("Completion", third);
      return { type: "completion", invocationId, ...outcomeOf(fourth, fifth) };
    }
    case 4: {
      const invocationId = idOf("StreamInvocation", third);
      const invocation = invocationOf("StreamInvocation", fourth, fifth, sixth);
      return { type: "streamInvocation", invocationId, ...invocation };
    }
    case 5: {
      const invocationId = idOf("CancelInvocation", third);
      return { type: "cancelInvocation", invocationId };
    }
    case 6:
      return { type: "ping" };
    case 7: {
      const error = string(second, "error");
      return {
        type: "close",
        ...(error === undefined ? {} : { error }),
        ...(third === undefined ? {} : { allowReconnect: boolean(third, "allowReconnect") }),
      };
    }
    case 8:
      return { type: "ack", sequenceId: integer(second, "sequenceId", 64) };
    case 9:
      return { type: "sequence", sequenceId: integer(second, "sequenceId", 64) };
    default:
      return { type: "unknown", code };
  }
}

/** An item of a record; absent when the record ends before it. */
type Item = Uint8Array | undefined;

function idOf(type: string, item: Item): string {
  return filled(string(item, "invocationId"), `invocation ID for ${type} message`);
}

function invocationOf(type: string, name: Item, values: Item, streamIds: Item) {
  const target = filled(string(name, "target"), `target for ${type} message`);
  assertKind(values, "array", "arguments");
  const ids = streamIds === undefined ? [] : streamIdsOf(streamIds);
  return {
    target,
    arguments: values,
    values: decode(values) as readonly unknown[], // an array, as just checked
    ...(ids.length > 0 ? { streamIds: ids } : {}),
  };
}

function streamIdsOf(item: Uint8Array): string[] {
  assertKind(item, "array", "streamIds");
  return elements(item).map((id) => filled(string(id, "streamIds"), "value in streamIds received"));
}

const ERROR = 1;
const VOID = 2;
const RESULT = 3;

function outcomeOf(kind: Item, value: Item): { error?: string; result?: Uint8Array } {
  switch (integer(kind, "resultKind", 32)) {
    case ERROR: {
      const error = string(value, "error");
      return error === undefined ? {} : { error };
    }
    case VOID:
      return {};
    case RESULT:
      if (value === undefined) throw unreadable("'result'");
      return { result: value };
    default:
      throw new ProtocolError("Invalid invocation result kind.");
  }
}

function checkHeaders(item: Item): void {
  assertKind(item, "map", "headers");
  for (const [index, text] of elements(item).entries()) {
    const what = index % 2 === 0 ? "key" : "value";
    filled(string(text, "headers"), `${what} in header`);
  }
}

function assertKind(item: Item, kind: Kind, field: string): asserts item is Uint8Array {
  if (!item || kindOf(item) !== kind) throw unreadable(`${kind} length for '${field}'`);
}

/** @returns `undefined` for nil */
function string(item: Item, field: string): string | undefined {
  if (item && kindOf(item) === "nil") return undefined;
  if (!item || kindOf(item) !== "string") throw unreadable(`'${field}' as String`);
  const [head = 0] = item;
  return utf8.decode(item.subarray(head < 0xd9 ? 1 : 1 + 2 ** (head - 0xd9)));
}

function filled(text: string | undefined, what: string): string {
  if (!text) throw new ProtocolError(`Null or empty ${what}.`);
  return text;
}

/** @returns a number; beyond 53 bits it is not exact */
function integer(item: Item, field: string, bits: 32 | 64): number {
  const value = item && kindOf(item) === "integer" ? decoder.decode(item) : undefined;
  const limit = 2 ** (bits - 1);
  if (typeof value !== "number" || value < -limit || value > limit - 1) {
    throw unreadable(`'${field}' as Int${bits}`);
  }
  return value;
}

function boolean(item: Uint8Array, field: string): boolean {
  if (kindOf(item) !== "boolean") throw unreadable(`'${field}' as Boolean`);
  return item[0] === 0xc3;
}

function unreadable(what: string): ProtocolError {
  return new ProtocolError(`Reading ${what} failed.`);
}

/** UTF-8 as .NET reads it: what is broken becomes U+FFFD. */
const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
const decoder = new Decoder();
const encoder = new Encoder();

function decode(raw: Uint8Array): unknown {
  try {
    return decoder.decode(raw);
  } catch (error) {
    // Well-formed, but not for us: a map's key that is no string or number, a broken timestamp.
    throw new ProtocolError(`Cannot decode MessagePack: ${messageOf(error)}`);
  }
}

function encode(value: unknown): Uint8Array {
  return encoder.encode(value);
}

/** Items in the order and the number in which .NET writes them; no headers. */
function print(message: HubMessage<Uint8Array>): Uint8Array {
  switch (message.type) {
    case "invocation":
    case "streamInvocation": {
      const { invocationId, target, streamIds = [] } = message;
      const type = message.type === "invocation" ? 1 : 4;
      const id = encode(invocationId || null);
      return framed(0x96, type, 0x80, id, encode(target), message.arguments, encode(streamIds));
    }
    case "streamItem":
      return framed(0x94, 2, 0x80, encode(message.invocationId), message.item);
    case "completion": {
      const { error, result } = message;
      const id = encode(message.invocationId);
      if (error !== undefined) return framed(0x95, 3, 0x80, id, ERROR, encode(error));
      if (result !== undefined) return framed(0x95, 3, 0x80, id, RESULT, result);
      return framed(0x94, 3, 0x80, id, VOID);
    }
    case "cancelInvocation":
      return framed(0x93, 5, 0x80, encode(message.invocationId));
    case "ping":
      return framed(0x91, 6);
    case "close":
      return framed(0x93, 7, encode(message.error || null), message.allowReconnect ? 0xc3 : 0xc2);
    case "ack":
      return framed(0x92, 8, encode(message.sequenceId));
    case "sequence":
      return framed(0x92, 9, encode(message.sequenceId));
  }
}

/** Joins pieces, numbers being single bytes, and puts their length before them. */
function framed(...pieces: readonly (number | Uint8Array)[]): Uint8Array {
  let length = 0;
  for (const piece of pieces) length += typeof piece === "number" ? 1 : piece.length;
  const prefix: number[] = [];
  for (let rest = length; prefix.length === 0 || rest > 0; rest >>>= 7) {
    prefix.push(rest > 0x7f ? (rest & 0x7f) | 0x80 : rest);
  }
  const record = new Uint8Array(prefix.length + length);
  record.set(prefix);
  let at = prefix.length;
  for (const piece of pieces) {
    if (typeof piece === "number") record[at++] = piece;
    else {
      record.set(piece, at);
      at += piece.length;
    }
  }
  return record;
}
