/**
 * The JSON hub protocol: one JSON object and 0x1E a record.
 *
 * @see https://github.com/dotnet/aspnetcore/blob/main/src/SignalR/docs/specs/HubProtocol.md#json-encoding
 */

import { ProtocolError } from "../errors.ts";
import { byteLength } from "../socket.ts";
import type { Framing, HubMessage, HubProtocol, Unknown } from "./hub.ts";
import { MAX_DEPTH, members, printString, readInteger, readString } from "./text.ts";

/** Ends each record, U+001E. */
export const RECORD_SEPARATOR = "\u001e";

export const jsonProtocol: HubProtocol<string> = {
  name: "json",
  transferFormat: "Text",
  createFraming: createRecords,
  parse: parseRecord,
  frame: (record) => record + RECORD_SEPARATOR,
  print: (message) => body(message) + RECORD_SEPARATOR,
  decode: (raw) => JSON.parse(raw),
  encode: (value) => JSON.stringify(value ?? null),
};

/** @param maxRecordBytes limit of one record in UTF-8, its separator included */
export function createRecords(maxRecordBytes: number): Framing<string> {
  return new Records(maxRecordBytes);
}

class Records implements Framing<string> {
  readonly #maxBytes: number;
  /** Of a chunk that may be cut inside a character; it keeps the half of it. */
  #decoder: InstanceType<typeof TextDecoder> | undefined;
  #rest = "";

  constructor(maxRecordBytes: number) {
    this.#maxBytes = maxRecordBytes;
  }

  push(chunk: string | Uint8Array): string[] {
    const text = typeof chunk === "string" ? chunk : this.#decode(chunk);
    // Nearly always a chunk is one record, and is not searched for others twice.
    if (this.#rest === "" && text !== "" && text.indexOf(RECORD_SEPARATOR) === text.length - 1) {
      assertSize(text, 0, this.#maxBytes);
      return [text.slice(0, -1)];
    }
    const records = (this.#rest + text).split(RECORD_SEPARATOR);
    this.#rest = records.pop() ?? "";
    for (const record of records) assertSize(record, 1, this.#maxBytes);
    assertSize(this.#rest, 0, this.#maxBytes);
    return records;
  }

  #decode(chunk: Uint8Array): string {
    const isWhole = chunk.at(-1) === RECORD_SEPARATOR.charCodeAt(0);
    if (isWhole && !this.#decoder) return utf8.decode(chunk);
    this.#decoder ??= createDecoder();
    const text = this.#decoder.decode(chunk, { stream: true });
    if (isWhole) this.#decoder = undefined;
    return text;
  }
}

function createDecoder(): InstanceType<typeof TextDecoder> {
  return new TextDecoder("utf-8", { ignoreBOM: true }); // .NET refuses one
}

/** For whole records, of all connections. */
const utf8 = createDecoder();

function assertSize(record: string, separatorBytes: 0 | 1, maxBytes: number): void {
  const room = maxBytes - separatorBytes;
  // One UTF-16 unit is at most three bytes: nearly every record is passed without being measured.
  if (record.length * 3 <= room) return;
  if (record.length > room || byteLength(record) > room) {
    throw new ProtocolError(
      `The maximum message size of ${maxBytes}B was exceeded. The message size can be configured in AddHubOptions.`,
    );
  }
}

function parseRecord(record: string, sender?: "client"): HubMessage<string> | Unknown {
  if (sender === "client") return parseAny(record, MAX_DEPTH);
  return parsePush(record) ?? parseItem(record) ?? parseAny(record);
}

// Nearly all that an origin sends is a push or a stream item, and .NET always writes its members in
// the same order. So the raw part is what stands between a known head and the last brace, and one
// JSON.parse both checks that (a further member behind it would be a syntax error) and decodes it.

const PUSH = '{"type":1,"target":"';
const PUSH_ARGUMENTS = ',"arguments":';

/** How pushes begin whose target is this. */
interface Head {
  readonly text: string;
  readonly target: string;
}

/** Of the pushes that were read last, newest first: a hub has few targets. */
const heads: Head[] = [];
const MAX_HEADS = 8;

function parsePush(record: string): HubMessage<string> | undefined {
  if (!record.startsWith(PUSH) || !record.endsWith("}")) return undefined;
  const head = knownHead(record) ?? readHead(record);
  if (!head) return undefined;
  const raw = record.slice(head.text.length, -1);
  const values = tryParse(raw);
  if (!Array.isArray(values)) return undefined;
  return { type: "invocation", target: head.target, arguments: raw, values };
}

function knownHead(record: string): Head | undefined {
  for (const head of heads) if (record.startsWith(head.text)) return head;
  return undefined;
}

function readHead(record: string): Head | undefined {
  const quote = record.indexOf('"', PUSH.length);
  if (!record.startsWith(PUSH_ARGUMENTS, quote + 1)) return undefined;
  const target = record.slice(PUSH.length, quote);
  if (!NAME.test(target)) return undefined;
  const head = { text: `${PUSH}${target}"${PUSH_ARGUMENTS}`, target };
  if (heads.unshift(head) > MAX_HEADS) heads.pop();
  return head;
}

const ITEM = '{"type":2,"invocationId":"';
const ITEM_ITEM = ',"item":';

function parseItem(record: string): HubMessage<string> | undefined {
  if (!record.startsWith(ITEM)) return undefined;
  const quote = record.indexOf('"', ITEM.length);
  if (!record.startsWith(ITEM_ITEM, quote + 1)) return undefined;
  const invocationId = record.slice(ITEM.length, quote);
  const item = record.slice(quote + 1 + ITEM_ITEM.length, -1);
  if (!record.endsWith("}") || !NAME.test(invocationId)) return undefined;
  const value = tryParse(item);
  return value === undefined ? undefined : { type: "streamItem", invocationId, item, value };
}

/** A name as it is mostly: not empty, and no character in it that is or must be escaped. */
const NAME = /^[ -[\]-\uffff]+$/;

function tryParse(json: string): unknown {
  // Space around a raw piece is no part of it.
  if (json.charCodeAt(0) <= 0x20 || json.charCodeAt(json.length - 1) <= 0x20) return undefined;
  try {
    return JSON.parse(json);
  } catch {
    return undefined; // not of the usual order: the general way finds out what it is
  }
}

/**
 * Members in any order. Each is checked whatever the type of the message, as .NET does; of equal names
 * only the last one, though .NET checks all of them.
 */
function parseAny(record: string, maxDepth?: number): HubMessage<string> | Unknown {
  const raw = members(record, maxDepth);
  const type = readInteger(raw.get("type"), "type", 32);
  const invocationId = readString(raw.get("invocationId"), "invocationId");
  const target = readString(raw.get("target"), "target");
  const error = readString(raw.get("error"), "error");
  const sequenceId = readInteger(raw.get("sequenceId"), "sequenceId", 64);
  const allowReconnect = readBoolean(raw.get("allowReconnect"), "allowReconnect");
  const streamIds = readStreamIds(raw.get("streamIds"));
  const list = raw.get("arguments");
  if (list !== undefined && list[0] !== "[") throw wrong("arguments", "Array");
  checkHeaders(raw.get("headers"));
  const item = raw.get("item");
  const result = raw.get("result");

  const id = () => {
    if (!invocationId) throw missing("invocationId");
    return invocationId;
  };
  const invocation = () => {
    if (target === undefined) throw missing("target");
    if (list === undefined) throw missing("arguments");
    const values: unknown[] = JSON.parse(list);
    return { target, arguments: list, values, ...(streamIds?.length ? { streamIds } : {}) };
  };

  switch (type) {
    case undefined:
      throw raw.has("type") ? wrong("type", "Number") : missing("type");
    case 1:
      return {
        type: "invocation",
        ...(invocationId ? { invocationId } : {}),
        ...invocation(),
      };
    case 2: {
      const invocationId = id();
      if (item === undefined) throw missing("item");
      return { type: "streamItem", invocationId, item, value: JSON.parse(item) };
    }
    case 3: {
      const invocationId = id();
      if (error !== undefined && result !== undefined) {
        throw new ProtocolError("The 'error' and 'result' properties are mutually exclusive.");
      }
      return {
        type: "completion",
        invocationId,
        ...(error === undefined ? {} : { error }),
        ...(result === undefined ? {} : { result }),
      };
    }
    case 4:
      return { type: "streamInvocation", ...invocation(), invocationId: id() };
    case 5:
      return { type: "cancelInvocation", invocationId: id() };
    case 6:
      return { type: "ping" };
    case 7:
      return {
        type: "close",
        ...(error === undefined ? {} : { error }),
        ...(allowReconnect === undefined ? {} : { allowReconnect }),
      };
    case 8:
    case 9:
      if (sequenceId === undefined) throw missing("sequenceId");
      return { type: type === 8 ? "ack" : "sequence", sequenceId };
    default:
      return { type: "unknown", code: type };
  }
}

function readBoolean(raw: string | undefined, name: string): boolean | undefined {
  if (raw === undefined) return undefined;
  if (raw === "true" || raw === "false") return raw === "true";
  throw new ProtocolError(`Expected '${name}' to be true or false.`);
}

function readStreamIds(raw: string | undefined): readonly string[] | undefined {
  if (raw === undefined) return undefined;
  const ids: unknown = JSON.parse(raw);
  if (Array.isArray(ids) && ids.every((id) => typeof id === "string")) return ids;
  throw wrong("streamIds", "Array");
}

function checkHeaders(raw: string | undefined): void {
  if (raw === undefined) return;
  if (raw[0] !== "{") throw wrong("headers", "StartObject");
  for (const [name, value] of members(raw)) {
    if (value[0] !== '"') {
      throw new ProtocolError(`Expected header '${name}' to be of type String.`);
    }
  }
}

function missing(name: string): ProtocolError {
  return new ProtocolError(`Missing required property '${name}'.`);
}

function wrong(name: string, type: string): ProtocolError {
  return new ProtocolError(`Expected '${name}' to be of type ${type}.`);
}

/** Members in the order in which .NET writes them. */
function body(message: HubMessage<string>): string {
  switch (message.type) {
    case "invocation":
    case "streamInvocation": {
      const type = message.type === "invocation" ? 1 : 4;
      const { invocationId, streamIds } = message;
      const id = invocationId ? `,"invocationId":${printString(invocationId)}` : "";
      const ids = streamIds?.map(printString).join(",");
      const streams = ids ? `,"streamIds":[${ids}]` : "";
      return `{"type":${type}${id},"target":${printString(message.target)},"arguments":${message.arguments}${streams}}`;
    }
    case "streamItem":
      return `{"type":2,"invocationId":${printString(message.invocationId)},"item":${message.item}}`;
    case "completion": {
      const { error, result } = message;
      const outcome =
        error !== undefined
          ? `,"error":${printString(error)}`
          : result !== undefined
            ? `,"result":${result}`
            : "";
      return `{"type":3,"invocationId":${printString(message.invocationId)}${outcome}}`;
    }
    case "cancelInvocation":
      return `{"type":5,"invocationId":${printString(message.invocationId)}}`;
    case "ping":
      return '{"type":6}';
    case "close": {
      const error = message.error === undefined ? "" : `,"error":${printString(message.error)}`;
      return `{"type":7${error}${message.allowReconnect ? ',"allowReconnect":true' : ""}}`;
    }
    case "ack":
      return `{"type":8,"sequenceId":${message.sequenceId}}`;
    case "sequence":
      return `{"type":9,"sequenceId":${message.sequenceId}}`;
  }
}
