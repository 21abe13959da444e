/**
 * The JSON hub protocol: one JSON object and 0x1E a record.
 *
 * @see https://github.com/dotnet/aspnetcore/blob/main/src/SignalR/docs/specs/HubProtocol.md#json-encoding
 */

import { ProtocolError } from "../errors.ts";
import { byteLength } from "../socket.ts";
import type { Framing, HubMessage, HubProtocol, Unknown } from "./hub.ts";
import { members } from "./text.ts";

/** Ends each record, U+001E. */
export const RECORD_SEPARATOR = "\u001e";

export const jsonProtocol: HubProtocol<string> = {
  name: "json",
  transferFormat: "Text",
  createFraming: createRecords,
  parse: parseRecord,
  print: (message) => body(message) + RECORD_SEPARATOR,
  decode: (raw) => JSON.parse(raw),
  encode: (value) => JSON.stringify(value ?? null),
};

/** @param maxRecordBytes limit of one record in UTF-8, its separator included */
export function createRecords(maxRecordBytes: number): Framing<string> {
  // Bytes may be cut inside a character; the decoder keeps the half of it.
  let decoder: InstanceType<typeof TextDecoder> | undefined;
  let rest = "";
  return {
    push(chunk) {
      if (typeof chunk !== "string") {
        decoder ??= new TextDecoder();
        chunk = decoder.decode(chunk, { stream: true });
      }
      const records = (rest + chunk).split(RECORD_SEPARATOR);
      rest = records.pop() ?? "";
      for (const record of records) assertSize(record, 1, maxRecordBytes);
      assertSize(rest, 0, maxRecordBytes);
      return records;
    },
  };
}

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

function parseRecord(record: string): HubMessage<string> | Unknown {
  return parsePush(record) ?? parseItem(record) ?? parseAny(record);
}

// Nearly all that an origin sends is a push or a stream item, and .NET always writes its members in
// the same order. So the raw part is what stands between a known head and the last brace, and one
// JSON.parse both checks that (a further member behind it would be a syntax error) and decodes it.

const PUSH = '{"type":1,"target":"';
const PUSH_ARGUMENTS = ',"arguments":';

function parsePush(record: string): HubMessage<string> | undefined {
  if (!record.startsWith(PUSH)) return undefined;
  const quote = record.indexOf('"', PUSH.length);
  if (!record.startsWith(PUSH_ARGUMENTS, quote + 1)) return undefined;
  const target = record.slice(PUSH.length, quote);
  const raw = record.slice(quote + 1 + PUSH_ARGUMENTS.length, -1);
  const values = record.endsWith("}") && !target.includes("\\") ? tryParse(raw) : undefined;
  if (!Array.isArray(values)) return undefined;
  return { type: "invocation", target, arguments: raw, values };
}

const ITEM = '{"type":2,"invocationId":"';
const ITEM_ITEM = ',"item":';

function parseItem(record: string): HubMessage<string> | undefined {
  if (!record.startsWith(ITEM)) return undefined;
  const quote = record.indexOf('"', ITEM.length);
  if (!record.startsWith(ITEM_ITEM, quote + 1)) return undefined;
  const invocationId = record.slice(ITEM.length, quote);
  const item = record.slice(quote + 1 + ITEM_ITEM.length, -1);
  if (!record.endsWith("}") || invocationId.includes("\\")) return undefined;
  const value = tryParse(item);
  return value === undefined ? undefined : { type: "streamItem", invocationId, item, value };
}

function tryParse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined; // not of the usual order: the general way finds out what it is
  }
}

function parseAny(record: string): HubMessage<string> | Unknown {
  let value: unknown;
  try {
    value = JSON.parse(record);
  } catch {
    throw new ProtocolError("Error reading JSON.");
  }
  if (!isObject(value)) {
    const kind = Array.isArray(value) ? "Array" : value === null ? "Null" : kindOf(value);
    throw new ProtocolError(`Unexpected JSON Token Type '${kind}'. Expected a JSON Object.`);
  }
  const raw = members(record);
  const { type } = value;
  if (type === undefined) throw new ProtocolError("Missing required property 'type'.");
  if (typeof type !== "number") throw new ProtocolError("Expected 'type' to be of type Number.");
  switch (type) {
    case 1: {
      const invocationId = optionalString(value, "invocationId");
      return {
        type: "invocation",
        ...(invocationId ? { invocationId } : {}),
        ...invocationOf(value, raw),
      };
    }
    case 2:
      if (!raw.has("item")) throw new ProtocolError("Missing required property 'item'.");
      return {
        type: "streamItem",
        invocationId: requiredString(value, "invocationId"),
        item: raw.get("item") as string,
        value: value.item,
      };
    case 3: {
      const error = optionalString(value, "error");
      const result = raw.get("result");
      if (error !== undefined && result !== undefined) {
        throw new ProtocolError("The 'error' and 'result' properties are mutually exclusive.");
      }
      return {
        type: "completion",
        invocationId: requiredString(value, "invocationId"),
        ...(error === undefined ? {} : { error }),
        ...(result === undefined ? {} : { result }),
      };
    }
    case 4: {
      const invocationId = requiredString(value, "invocationId");
      return { type: "streamInvocation", invocationId, ...invocationOf(value, raw) };
    }
    case 5:
      return { type: "cancelInvocation", invocationId: requiredString(value, "invocationId") };
    case 6:
      return { type: "ping" };
    case 7: {
      const error = optionalString(value, "error");
      const { allowReconnect } = value;
      if (allowReconnect !== undefined && typeof allowReconnect !== "boolean") {
        throw new ProtocolError("Expected 'allowReconnect' to be true or false.");
      }
      return {
        type: "close",
        ...(error === undefined ? {} : { error }),
        ...(allowReconnect === undefined ? {} : { allowReconnect }),
      };
    }
    case 8:
      return { type: "ack", sequenceId: requiredInteger(value, "sequenceId") };
    case 9:
      return { type: "sequence", sequenceId: requiredInteger(value, "sequenceId") };
    default:
      return { type: "unknown", code: type };
  }
}

function invocationOf(value: Members, raw: Map<string, string>) {
  const target = requiredString(value, "target", true);
  const values = value.arguments;
  if (values === undefined) throw new ProtocolError("Missing required property 'arguments'.");
  if (!Array.isArray(values)) {
    throw new ProtocolError("Expected 'arguments' to be of type Array.");
  }
  const { streamIds } = value;
  if (streamIds !== undefined && !isStrings(streamIds)) {
    throw new ProtocolError("Expected 'streamIds' to be of type Array.");
  }
  return {
    target,
    arguments: raw.get("arguments") as string, // there, as `values` is
    values: values as readonly unknown[],
    ...(streamIds?.length ? { streamIds } : {}),
  };
}

type Members = Readonly<Record<string, unknown>>;

function isObject(value: unknown): value is Members {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isStrings(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}

function kindOf(value: unknown): string {
  if (typeof value === "boolean") return value ? "True" : "False";
  return typeof value === "string" ? "String" : "Number";
}

function optionalString(value: Members, name: string): string | undefined {
  const member = value[name];
  if (member === undefined || typeof member === "string") return member;
  throw new ProtocolError(`Expected '${name}' to be of type String.`);
}

function requiredString(value: Members, name: string, mayBeEmpty = false): string {
  const member = optionalString(value, name);
  if (member === undefined || (member === "" && !mayBeEmpty)) {
    throw new ProtocolError(`Missing required property '${name}'.`);
  }
  return member;
}

function requiredInteger(value: Members, name: string): number {
  const member = value[name];
  if (member === undefined) throw new ProtocolError(`Missing required property '${name}'.`);
  if (!Number.isSafeInteger(member)) {
    throw new ProtocolError(`Expected '${name}' to be of type Number.`);
  }
  return member as number; // just checked
}

/** Members in the order in which .NET writes them. */
function body(message: HubMessage<string>): string {
  switch (message.type) {
    case "invocation":
    case "streamInvocation": {
      const type = message.type === "invocation" ? 1 : 4;
      const { invocationId, streamIds } = message;
      const id =
        invocationId === undefined ? "" : `,"invocationId":${JSON.stringify(invocationId)}`;
      const streams = streamIds?.length ? `,"streamIds":${JSON.stringify(streamIds)}` : "";
      return `{"type":${type}${id},"target":${JSON.stringify(message.target)},"arguments":${message.arguments}${streams}}`;
    }
    case "streamItem":
      return `{"type":2,"invocationId":${JSON.stringify(message.invocationId)},"item":${message.item}}`;
    case "completion": {
      const { error, result } = message;
      const outcome =
        error !== undefined
          ? `,"error":${JSON.stringify(error)}`
          : result !== undefined
            ? `,"result":${result}`
            : "";
      return `{"type":3,"invocationId":${JSON.stringify(message.invocationId)}${outcome}}`;
    }
    case "cancelInvocation":
      return `{"type":5,"invocationId":${JSON.stringify(message.invocationId)}}`;
    case "ping":
      return '{"type":6}';
    case "close": {
      const error = message.error === undefined ? "" : `,"error":${JSON.stringify(message.error)}`;
      return `{"type":7${error}${message.allowReconnect ? ',"allowReconnect":true' : ""}}`;
    }
    case "ack":
      return `{"type":8,"sequenceId":${message.sequenceId}}`;
    case "sequence":
      return `{"type":9,"sequenceId":${message.sequenceId}}`;
  }
}
