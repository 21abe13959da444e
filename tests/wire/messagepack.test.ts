import {
  type HubMessage as ClientMessage,
  type InvocationMessage,
  MessageType,
  NullLogger,
} from "@microsoft/signalr";
import { MessagePackHubProtocol } from "@microsoft/signalr-protocol-msgpack";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ProtocolError } from "../../lib/errors.ts";
import type { Completion, HubMessage } from "../../lib/wire/hub.ts";
import { messagepackProtocol } from "../../lib/wire/messagepack.ts";
import { pieces } from "../support/pieces.ts";

const { parse, print, frame, encode, decode, createFraming } = messagepackProtocol;
const MAX_BYTES = 1_000_000;

function bytes(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/[0-9a-f]{2}/g) ?? [], (digits) => Number.parseInt(digits, 16));
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
}

/** Of plain bytes: a Buffer of Node is equal to none. */
function join(...pieces: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(pieces));
}

/** The records of a stream that comes in one piece. */
function cut(stream: Uint8Array): Uint8Array[] {
  return createFraming(MAX_BYTES).push(stream);
}

function read(framed: Uint8Array) {
  const [record, ...more] = cut(framed);
  if (!record || more.length > 0) throw new Error("Expected one record");
  return parse(record);
}

/** A record of these items. */
function record(...items: unknown[]): Uint8Array {
  return encode(items);
}

function kindOf(record: Uint8Array): string {
  try {
    parse(record);
    return "message";
  } catch (error) {
    return error instanceof ProtocolError ? "ProtocolError" : String(error);
  }
}

describe("each message as ASP.NET Core writes it", () => {
  const messages: readonly [hex: string, message: HubMessage<Uint8Array>][] = [
    [
      "0d 96 01 80 c0 a1 61 94 01 a1 78 c0 c3 90",
      {
        type: "invocation",
        target: "a",
        arguments: bytes("94 01 a1 78 c0 c3"),
        values: [1, "x", null, true],
      },
    ],
    [
      "0e 96 01 80 a2 73 31 a1 61 90 92 a1 31 a1 32",
      {
        type: "invocation",
        invocationId: "s1",
        target: "a",
        arguments: bytes("90"),
        values: [],
        streamIds: ["1", "2"],
      },
    ],
    [
      "0b 94 02 80 a1 31 81 a1 61 92 c2 05",
      {
        type: "streamItem",
        invocationId: "1",
        item: bytes("81 a1 61 92 c2 05"),
        value: { a: [false, 5] },
      },
    ],
    ["06 94 03 80 a1 31 02", { type: "completion", invocationId: "1" }],
    ["07 95 03 80 a1 31 03 c0", { type: "completion", invocationId: "1", result: bytes("c0") }],
    ["08 95 03 80 a1 31 01 a1 65", { type: "completion", invocationId: "1", error: "e" }],
    [
      "0a 96 04 80 a1 32 a1 61 91 07 90",
      {
        type: "streamInvocation",
        invocationId: "2",
        target: "a",
        arguments: bytes("91 07"),
        values: [7],
      },
    ],
    ["05 93 05 80 a1 32", { type: "cancelInvocation", invocationId: "2" }],
    ["02 91 06", { type: "ping" }],
    ["04 93 07 c0 c2", { type: "close", allowReconnect: false }],
    ["05 93 07 a1 65 c3", { type: "close", error: "e", allowReconnect: true }],
    ["03 92 08 24", { type: "ack", sequenceId: 36 }],
    ["05 92 09 cd 01 2c", { type: "sequence", sequenceId: 300 }],
  ];

  test.each(messages)("%s", (text, message) => {
    expect(hex(print(message))).toBe(text);
    expect(read(bytes(text))).toEqual(message);
  });

  test("a Close without an error or an invitation is a whole one all the same", () => {
    expect(hex(print({ type: "close" }))).toBe("04 93 07 c0 c2");
    expect(hex(print({ type: "close", error: "" }))).toBe("04 93 07 c0 c2");
  });

  test("the length of a record takes as many bytes as it needs", () => {
    for (const [length, prefix] of [
      [0x7f, "7f"],
      [0x80, "80 01"],
      [209, "d1 01"],
      [0x3fff, "ff 7f"],
      [0x4000, "80 80 01"],
      [0x20_0000, "80 80 80 01"],
    ] as const) {
      const record = new Uint8Array(length).fill(0xc0);
      expect(hex(frame(record).subarray(0, -length))).toBe(prefix);
      const [seen, ...more] = createFraming(0x40_0000).push(frame(record));
      expect(more).toEqual([]);
      expect(Buffer.compare(seen ?? bytes(""), record)).toBe(0); // toEqual takes seconds for 2 MiB
    }
  });
});

describe("what other writers leave out or add", () => {
  test("an invocation of a JavaScript client has no stream ids", () => {
    expect(read(bytes("0c 95 01 80 c0 a1 61 94 01 a1 78 c0 c3"))).toEqual({
      type: "invocation",
      target: "a",
      arguments: bytes("94 01 a1 78 c0 c3"),
      values: [1, "x", null, true],
    });
  });

  test("a Close of a JavaScript client has two items", () => {
    expect(read(bytes("03 92 07 c0"))).toEqual({ type: "close" });
    expect(read(bytes("04 92 07 a1 65"))).toEqual({ type: "close", error: "e" });
  });

  test("an empty id of an invocation is none", () => {
    expect(parse(record(1, {}, "", "a", []))).not.toHaveProperty("invocationId");
  });

  test("headers are read over", () => {
    expect(parse(record(5, { trace: "1" }, "2"))).toEqual({
      type: "cancelInvocation",
      invocationId: "2",
    });
  });

  test("further items are ignored, and so is what stands behind the array", () => {
    expect(parse(record(6, "more", [1]))).toEqual({ type: "ping" });
    expect(parse(record(5, {}, "2", "more"))).toEqual({
      type: "cancelInvocation",
      invocationId: "2",
    });
    expect(parse(record(7, null, true, "more"))).toEqual({ type: "close", allowReconnect: true });
    expect(parse(record(1, {}, null, "a", [], [], "more", null))).toMatchObject({ target: "a" });
    expect(parse(bytes("91 06 c1"))).toEqual({ type: "ping" });
  });

  test("an unknown type is a message, so that it can be skipped", () => {
    for (const code of [0, -1, 10, 99, -2147483648]) {
      expect(parse(record(code, "anything"))).toEqual({ type: "unknown", code });
    }
  });

  test("numbers and lengths may be written longer than they need be", () => {
    const long =
      "dd 00 00 00 05 d2 00 00 00 03 df 00 00 00 00 db 00 00 00 01 31 cd 00 03 da 00 01 78";
    expect(parse(bytes(long))).toEqual({
      type: "completion",
      invocationId: "1",
      result: bytes("da 00 01 78"),
    });
  });

  test("names are UTF-8, in which a byte order mark is a character and damage is marked", () => {
    expect(parse(bytes("95 01 80 c0 a4 ef bb bf 61 90"))).toMatchObject({ target: "\ufeffa" });
    expect(parse(bytes("95 01 80 c0 a2 61 ff 90"))).toMatchObject({ target: "a\ufffd" });
  });
});

describe("the bytes of a value of each format are kept, and no others", () => {
  const blob = (head: string, length: number) =>
    join(bytes(head), new Uint8Array(length).fill(0xc1));
  const times = (head: string, count: number) => join(bytes(head), new Uint8Array(count).fill(7));

  test.each<[string, Uint8Array]>([
    ["positive fixint", bytes("7f")],
    ["fixmap", bytes("82 a1 61 01 a1 62 90")],
    ["fixarray", bytes("93 01 91 02 80")],
    ["fixstr", blob("bf", 31)],
    ["nil", bytes("c0")],
    ["false", bytes("c2")],
    ["true", bytes("c3")],
    ["bin 8", blob("c4 ff", 0xff)],
    ["bin 16", blob("c5 01 00", 0x100)],
    ["bin 32", blob("c6 00 01 00 00", 0x1_0000)],
    ["ext 8", blob("c7 ff 05", 0xff)],
    ["ext 16", blob("c8 01 00 05", 0x100)],
    ["ext 32", blob("c9 00 01 00 00 05", 0x1_0000)],
    ["float 32", blob("ca", 4)],
    ["float 64", blob("cb", 8)],
    ["uint 8", blob("cc", 1)],
    ["uint 16", blob("cd", 2)],
    ["uint 32", blob("ce", 4)],
    ["uint 64", blob("cf", 8)],
    ["int 8", blob("d0", 1)],
    ["int 16", blob("d1", 2)],
    ["int 32", blob("d2", 4)],
    ["int 64", blob("d3", 8)],
    ["fixext 1", blob("d4 05", 1)],
    ["fixext 2", blob("d5 05", 2)],
    ["fixext 4", blob("d6 05", 4)],
    ["fixext 8", blob("d7 05", 8)],
    ["fixext 16", blob("d8 05", 16)],
    ["str 8", blob("d9 ff", 0xff)],
    ["str 16", blob("da 01 00", 0x100)],
    ["str 32", blob("db 00 01 00 00", 0x1_0000)],
    ["array 16", times("dc 01 00", 0x100)],
    ["array 32", times("dd 00 01 00 00", 0x1_0000)],
    ["map 16", times("de 01 00", 0x200)],
    ["map 32", times("df 00 01 00 00", 0x2_0000)],
    ["negative fixint", bytes("e0")],
  ])("%s", (_, raw) => {
    const behind = join(bytes("96 03 80 a1 31 03"), raw, bytes("c3"));
    const { result } = parse(behind) as Completion<Uint8Array>;
    expect(Buffer.compare(result ?? bytes(""), raw)).toBe(0);
    const last = join(bytes("95 03 80 a1 31 03"), raw);
    expect(kindOf(last)).toBe("message");
    expect(kindOf(last.subarray(0, -1))).toBe("ProtocolError");
  });
});

describe("what is refused", () => {
  const deep = (levels: number) => [...Array(levels).fill(0x91), 0xc0];

  test.each<[string, Uint8Array, string]>([
    ["nothing", bytes(""), "Reading array length for 'message' failed."],
    ["no array", record().fill(0xc0), "Reading array length for 'message' failed."],
    ["a map", encode({ type: 6 }), "Reading array length for 'message' failed."],
    ["an empty array", record(), "Reading 'messageType' as Int32 failed."],
    ["a type that is text", record("6"), "Reading 'messageType' as Int32 failed."],
    ["a type that is a fraction", record(6.5), "Reading 'messageType' as Int32 failed."],
    [
      "a type written as a float",
      bytes("91 ca 40 c0 00 00"),
      "Reading 'messageType' as Int32 failed.",
    ],
    ["a type of 33 bits", record(2 ** 31), "Reading 'messageType' as Int32 failed."],
    ["no headers", record(1), "Reading map length for 'headers' failed."],
    ["headers that are nil", record(5, null, "1"), "Reading map length for 'headers' failed."],
    ["a header that is a number", record(5, { a: 1 }, "1"), "Reading 'headers' as String failed."],
    ["a header without a value", record(5, { a: "" }, "1"), "Null or empty value in header."],
    ["a header without a name", record(5, { "": "a" }, "1"), "Null or empty key in header."],
    [
      "an id that is a number",
      record(1, {}, 1, "a", []),
      "Reading 'invocationId' as String failed.",
    ],
    ["no target", record(1, {}, null), "Reading 'target' as String failed."],
    [
      "a target of nil",
      record(1, {}, null, null, []),
      "Null or empty target for Invocation message.",
    ],
    [
      "an empty target",
      record(1, {}, null, "", []),
      "Null or empty target for Invocation message.",
    ],
    ["no arguments", record(1, {}, null, "a"), "Reading array length for 'arguments' failed."],
    [
      "arguments that are a map",
      record(1, {}, null, "a", {}),
      "Reading array length for 'arguments' failed.",
    ],
    [
      "stream ids of nil",
      record(1, {}, null, "a", [], null),
      "Reading array length for 'streamIds' failed.",
    ],
    [
      "an empty stream id",
      record(1, {}, null, "a", [], [""]),
      "Null or empty value in streamIds received.",
    ],
    [
      "an item without an id",
      record(2, {}, null, 1),
      "Null or empty invocation ID for StreamItem message.",
    ],
    ["no item", record(2, {}, "1"), "Reading 'item' failed."],
    [
      "a completion without an id",
      record(3, {}, "", 2),
      "Null or empty invocation ID for Completion message.",
    ],
    ["a completion without a kind", record(3, {}, "1"), "Reading 'resultKind' as Int32 failed."],
    ["a completion of a fourth kind", record(3, {}, "1", 4), "Invalid invocation result kind."],
    ["a completion without its result", record(3, {}, "1", 3), "Reading 'result' failed."],
    ["an error that is a number", record(3, {}, "1", 1, 5), "Reading 'error' as String failed."],
    [
      "a stream without an id",
      record(4, {}, null, "a", []),
      "Null or empty invocation ID for StreamInvocation message.",
    ],
    [
      "a cancellation without an id",
      record(5, {}, ""),
      "Null or empty invocation ID for CancelInvocation message.",
    ],
    ["a Close without items", record(7), "Reading 'error' as String failed."],
    [
      "an invitation that is a number",
      record(7, null, 1),
      "Reading 'allowReconnect' as Boolean failed.",
    ],
    ["an acknowledgement of nothing", record(8), "Reading 'sequenceId' as Int64 failed."],
    ["an acknowledged fraction", record(9, 1.5), "Reading 'sequenceId' as Int64 failed."],
    [
      "a byte that is no type",
      bytes("95 01 80 c0 a1 61 91 c1"),
      "Cannot read MessagePack: 0xc1 is no type",
    ],
    [
      "an array that is cut off",
      bytes("95 01 80 c0 a1 61 92 01"),
      "Cannot read MessagePack: it is cut off at 8 bytes",
    ],
    [
      "a length that is cut off",
      bytes("94 02 80 a1 31 da 00"),
      "Cannot read MessagePack: it is cut off at 7 bytes",
    ],
    [
      "a number that is cut off",
      bytes("92 08 cf 00 00"),
      "Cannot read MessagePack: it is cut off at 5 bytes",
    ],
    [
      "a huge array",
      bytes("94 02 80 a1 31 dd ff ff ff ff"),
      "Cannot read MessagePack: it is cut off at 10 bytes",
    ],
    [
      "a huge map",
      bytes("94 02 80 a1 31 df ff ff ff ff"),
      "Cannot read MessagePack: it is cut off at 10 bytes",
    ],
    [
      "a huge string",
      bytes("94 02 80 a1 31 db ff ff ff ff"),
      "Cannot read MessagePack: it is cut off at 10 bytes",
    ],
    [
      "what is nested too deep",
      Uint8Array.of(0x94, 2, 0x80, 0xa1, 0x31, ...deep(501)),
      "Cannot read MessagePack: it is nested deeper than 500",
    ],
    [
      "a map with maps for keys",
      bytes("94 02 80 a1 31 81 80 c0"),
      "Cannot decode MessagePack: The type of key must be string or number but object",
    ],
    [
      "a prototype",
      record(2, {}, "1", JSON.parse('{"__proto__":1}')),
      "Cannot decode MessagePack: The key __proto__ is not allowed",
    ],
    [
      "a broken timestamp",
      bytes("94 02 80 a1 31 d4 ff 00"),
      "Cannot decode MessagePack: Unrecognized data size for timestamp (expected 4, 8, or 12): 1",
    ],
  ])("%s", (_, record, text) => {
    expect(() => parse(record)).toThrow(new ProtocolError(text));
  });

  test("nothing of what .NET nests", () => {
    expect(kindOf(Uint8Array.of(0x94, 2, 0x80, 0xa1, 0x31, ...deep(500)))).toBe("message");
  });

  test("nesting without end, in arrays and in maps, before it can exhaust the stack", () => {
    const arrays = new Uint8Array(MAX_BYTES).fill(0x91);
    const maps = new Uint8Array(MAX_BYTES).fill(0x81);
    for (const bomb of [arrays, maps]) {
      bomb.set([0x94, 2, 0x80, 0xa1, 0x31]);
      expect(kindOf(bomb)).toBe("ProtocolError");
    }
  });
});

const id = fc.string({ minLength: 1, maxLength: 8, unit: "binary" });
const text = fc.string({ maxLength: 12, unit: "binary" });
/** Any value with its bytes; of those that are equal to themselves after they were written and read. */
const value = fc
  .letrec<{ any: unknown; key: string }>((tie) => ({
    key: text.filter((key) => key !== "__proto__"),
    any: fc.oneof(
      { maxDepth: 3 },
      fc.constantFrom(null, true, false, "x".repeat(300), "é".repeat(40), 2 ** 53 - 1),
      fc.integer(),
      fc.double({ noNaN: true }).map((number) => number + 0), // 0 for -0
      text,
      fc.uint8Array({ maxLength: 300 }),
      fc.date({ noInvalidDate: true }),
      fc.array(tie("any"), { maxLength: 20 }),
      fc.dictionary(tie("key"), tie("any"), { maxKeys: 20, noNullPrototype: true }),
    ),
  }))
  .any.map((value) => ({ value, raw: encode(value) }));

const invocation = fc
  .record(
    {
      invocationId: id,
      target: text.filter((target) => target !== ""),
      list: fc.array(value, { maxLength: 20 }),
      streamIds: fc.array(id, { minLength: 1, maxLength: 20 }),
    },
    { requiredKeys: ["target", "list"] },
  )
  .map(({ list, ...fields }) => {
    const values = list.map(({ value }) => value);
    return { ...fields, arguments: encode(values), values };
  });

const message: fc.Arbitrary<HubMessage<Uint8Array>> = fc.oneof(
  invocation.map((fields) => ({ type: "invocation" as const, ...fields })),
  fc.tuple(invocation, id).map(([fields, invocationId]) => ({
    ...fields,
    type: "streamInvocation" as const,
    invocationId,
  })),
  fc.tuple(id, value).map(([invocationId, { raw, value }]) => ({
    type: "streamItem" as const,
    invocationId,
    item: raw,
    value,
  })),
  id.map((invocationId) => ({ type: "completion" as const, invocationId })),
  fc.tuple(id, value).map(([invocationId, { raw }]) => ({
    type: "completion" as const,
    invocationId,
    result: raw,
  })),
  fc
    .tuple(id, text)
    .map(([invocationId, error]) => ({ type: "completion" as const, invocationId, error })),
  id.map((invocationId) => ({ type: "cancelInvocation" as const, invocationId })),
  fc.constant({ type: "ping" as const }),
  fc
    .record(
      { error: text.filter((error) => error !== ""), allowReconnect: fc.boolean() },
      { requiredKeys: ["allowReconnect"] },
    )
    .map((fields) => ({ type: "close" as const, ...fields })),
  fc.maxSafeInteger().map((sequenceId) => ({ type: "ack" as const, sequenceId })),
  fc.maxSafeInteger().map((sequenceId) => ({ type: "sequence" as const, sequenceId })),
);

test("what was written is read as it was", () => {
  fc.assert(
    fc.property(message, (message) => {
      expect(read(print(message))).toEqual(message);
    }),
    { numRuns: 1000 },
  );
});

test("a raw piece is read as the value of which it was made", () => {
  fc.assert(
    fc.property(value, ({ value, raw }) => {
      expect(decode(raw)).toEqual(value);
    }),
  );
});

describe("a push that begins as one before it", () => {
  const KNOWN = record(1, {}, null, "Known", [0], []);
  /** As `KNOWN`, with other bytes for its arguments and what is behind them. */
  const withTail = (hex: string) => join(KNOWN.subarray(0, -3), bytes(hex));

  test.each([
    ["no arguments", "90 90"],
    ["several", "93 01 a1 78 c0 90"],
    ["a stream", "91 01 91 a1 39"],
    ["an item more", "91 01 90 90"],
  ])("with %s is read as by itself", (_, tail) => {
    parse(KNOWN);
    expect(parse(withTail(tail))).toEqual(parse(withTail(tail), "client"));
  });

  test.each([
    ["no array", "80 90"],
    ["nothing", "90"],
    ["an array that is cut off", "92 01 90"],
    ["an array that takes in what stands for no streams", "91 90"],
  ])("with %s for its arguments is refused, or read as by itself", (_, tail) => {
    parse(KNOWN);
    const read = (sender?: "client") => {
      try {
        return parse(withTail(tail), sender);
      } catch (error) {
        expect(error).toBeInstanceOf(ProtocolError);
        return "refused";
      }
    };
    expect(read()).toEqual(read("client"));
  });

  test("is told from those of other targets, however many there are", () => {
    for (const i of [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 9, 1]) {
      const message = parse(record(1, {}, null, `T${i}`, [i], []));
      expect(message).toMatchObject({ target: `T${i}`, values: [i] });
    }
  });
});

describe("cutting a stream into records", () => {
  const streams = fc
    .array(fc.uint8Array({ minLength: 1, maxLength: 300 }), { maxLength: 6 })
    .chain((records) =>
      fc.tuple(fc.constant(records), pieces(join(...records.map((record) => frame(record))))),
    );

  test("it does not matter where it is cut, nor what comes as text", () => {
    fc.assert(
      fc.property(streams, ([records, chunks]) => {
        const framing = createFraming(MAX_BYTES);
        expect(chunks.flatMap((chunk) => framing.push(chunk))).toEqual(records);
      }),
      { numRuns: 1000 },
    );
  });

  test("records stay what they are, whatever comes later and whoever writes over the chunks", () => {
    fc.assert(
      fc.property(streams, ([records, chunks]) => {
        const framing = createFraming(MAX_BYTES);
        const seen: Uint8Array[] = [];
        for (const chunk of chunks) {
          const copy = typeof chunk === "string" ? chunk : chunk.slice();
          const found = framing.push(copy);
          // A record may be a view of the chunk that ended it, of no other.
          if (found.length === 0 && typeof copy !== "string") copy.fill(0xff);
          seen.push(...found);
        }
        for (let i = 0; i < 10; i++) framing.push(new Uint8Array(10).fill(0x55));
        expect(seen).toEqual(records);
      }),
    );
  });

  test("a record of single bytes costs no more than its size", () => {
    const stream = frame(new Uint8Array(100_000).fill(7));
    const framing = createFraming(MAX_BYTES);
    const records: Uint8Array[] = [];
    for (const byte of stream) records.push(...framing.push(Uint8Array.of(byte)));
    expect(records).toEqual([new Uint8Array(100_000).fill(7)]);
  });

  test("the limit includes the length, and is each record's own", () => {
    const largest = frame(new Uint8Array(32_765));
    expect(largest).toHaveLength(32_768);
    expect(createFraming(32_768).push(join(largest, largest, largest))).toHaveLength(3);
    expect(() => createFraming(32_768).push(frame(new Uint8Array(32_766)))).toThrow(
      new ProtocolError(
        "The maximum message size of 32768B was exceeded. The message size can be configured in AddHubOptions.",
      ),
    );
  });

  test("a record that is announced too large is refused before it comes", () => {
    const framing = createFraming(32_768);
    expect(framing.push(bytes("fe ff"))).toEqual([]);
    expect(() => framing.push(bytes("01"))).toThrow(ProtocolError);
  });

  test("a record of no bytes is refused", () => {
    expect(() => createFraming(MAX_BYTES).push(bytes("02 91 06 00"))).toThrow(
      new ProtocolError("Cannot read MessagePack: a record is empty"),
    );
  });

  test("a length of more than 31 bits is refused", () => {
    for (const length of ["80 80 80 80 08", "ff ff ff ff 0f", "80 80 80 80 80", "ff ff ff ff ff"]) {
      expect(() => createFraming(Number.POSITIVE_INFINITY).push(bytes(length))).toThrow(
        new ProtocolError("Messages over 2GB in size are not supported."),
      );
    }
    expect(createFraming(2 ** 32).push(bytes("ff ff ff ff 07"))).toEqual([]);
  });
});

test("garbage is refused as such or read, and nothing else", () => {
  const damaged = fc
    .tuple(message, fc.nat(), fc.nat(3), fc.uint8Array({ maxLength: 5 }))
    .map(([message, at, length, bytes]) => {
      const [record = new Uint8Array(0)] = cut(print(message));
      const start = at % (record.length + 1);
      return join(record.subarray(0, start), bytes, record.subarray(start + length));
    });
  const likely = fc
    .tuple(fc.integer({ min: 1, max: 9 }), fc.uint8Array({ maxLength: 40 }))
    .map(([type, bytes]) => Uint8Array.of(0x96, type, 0x80, ...bytes));
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array(), likely, damaged), (record) => {
      expect(["message", "ProtocolError"]).toContain(kindOf(record));
    }),
    { numRuns: 5000 },
  );
});

describe("with the official client", () => {
  const official = new MessagePackHubProtocol();

  /** The same message as the client has it. */
  function asClient(message: HubMessage<Uint8Array>): ClientMessage {
    switch (message.type) {
      case "invocation":
      case "streamInvocation": {
        const { invocationId, target, values, streamIds } = message;
        const type =
          message.type === "invocation" ? MessageType.Invocation : MessageType.StreamInvocation;
        const fields = { type, target, arguments: [...values] };
        return {
          ...fields,
          ...(invocationId ? { invocationId } : {}),
          ...(streamIds ? { streamIds: [...streamIds] } : {}),
        } as ClientMessage; // a union for each type, though they look alike
      }
      case "streamItem":
        return {
          type: MessageType.StreamItem,
          invocationId: message.invocationId,
          item: message.value,
        };
      case "completion": {
        const { invocationId, error, result } = message;
        return {
          type: MessageType.Completion,
          invocationId,
          ...(error === undefined ? {} : { error }),
          ...(result === undefined ? {} : { result: decode(result) }),
        };
      }
      case "cancelInvocation":
        return { type: MessageType.CancelInvocation, invocationId: message.invocationId };
      case "ping":
        return { type: MessageType.Ping };
      case "close":
        return { ...message, type: MessageType.Close };
      case "ack":
        return { type: MessageType.Ack, sequenceId: message.sequenceId };
      case "sequence":
        return { type: MessageType.Sequence, sequenceId: message.sequenceId };
    }
  }

  test("it reads what we write to clients", () => {
    const sent = message.filter(
      ({ type }) => type !== "streamInvocation" && type !== "cancelInvocation",
    );
    fc.assert(
      fc.property(sent, (message) => {
        const { streamIds: _, ...expected } = asClient(message) as InvocationMessage; // not read
        const framed = print(message);
        expect(official.parseMessages(framed.slice().buffer, NullLogger.instance)).toEqual([
          expect.objectContaining(expected),
        ]);
      }),
      { numRuns: 1000 },
    );
  });

  test("we read what it writes", () => {
    // Of a Close it writes nothing but the type, and of an empty error that there is none.
    const written = message.filter(
      (message) =>
        message.type !== "close" && !(message.type === "completion" && message.error === ""),
    );
    fc.assert(
      fc.property(written, (message) => {
        const framed = new Uint8Array(official.writeMessage(asClient(message)));
        expect(read(framed)).toEqual(message);
      }),
      { numRuns: 1000 },
    );
    expect(read(new Uint8Array(official.writeMessage({ type: MessageType.Close })))).toEqual({
      type: "close",
    });
  });
});
