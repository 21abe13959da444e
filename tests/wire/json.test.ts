import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ProtocolError } from "../../lib/errors.ts";
import type { HubMessage, Unknown } from "../../lib/wire/hub.ts";
import { createRecords, jsonProtocol } from "../../lib/wire/json.ts";
import { hubMessage } from "../support/hub-message.ts";
import { arrayText, jsonText, objectText, stringText } from "../support/json.ts";
import { pieces } from "../support/pieces.ts";

const RS = "\u001e";
const { parse, print } = jsonProtocol;

describe("each message as ASP.NET Core writes it", () => {
  const messages: readonly [text: string, message: HubMessage<string>][] = [
    [
      '{"type":1,"target":"Send","arguments":[42,"x",null,true]}',
      {
        type: "invocation",
        target: "Send",
        arguments: '[42,"x",null,true]',
        values: [42, "x", null, true],
      },
    ],
    [
      '{"type":1,"invocationId":"s1","target":"Ask","arguments":["q"]}',
      {
        type: "invocation",
        invocationId: "s1",
        target: "Ask",
        arguments: '["q"]',
        values: ["q"],
      },
    ],
    [
      '{"type":1,"target":"Upload","arguments":[],"streamIds":["1","2"]}',
      { type: "invocation", target: "Upload", arguments: "[]", values: [], streamIds: ["1", "2"] },
    ],
    [
      '{"type":2,"invocationId":"1","item":{"price":2.10}}',
      {
        type: "streamItem",
        invocationId: "1",
        item: '{"price":2.10}',
        value: { price: 2.1 },
      },
    ],
    ['{"type":3,"invocationId":"1"}', { type: "completion", invocationId: "1" }],
    [
      '{"type":3,"invocationId":"1","result":null}',
      { type: "completion", invocationId: "1", result: "null" },
    ],
    [
      '{"type":3,"invocationId":"1","error":"It\'s \\"full\\""}',
      { type: "completion", invocationId: "1", error: 'It\'s "full"' },
    ],
    [
      '{"type":4,"invocationId":"2","target":"Ticker","arguments":["tennis"]}',
      {
        type: "streamInvocation",
        invocationId: "2",
        target: "Ticker",
        arguments: '["tennis"]',
        values: ["tennis"],
      },
    ],
    ['{"type":5,"invocationId":"2"}', { type: "cancelInvocation", invocationId: "2" }],
    ['{"type":6}', { type: "ping" }],
    ['{"type":7}', { type: "close" }],
    [
      '{"type":7,"error":"Connection closed with an error.","allowReconnect":true}',
      { type: "close", error: "Connection closed with an error.", allowReconnect: true },
    ],
    ['{"type":8,"sequenceId":36}', { type: "ack", sequenceId: 36 }],
    ['{"type":9,"sequenceId":300}', { type: "sequence", sequenceId: 300 }],
  ];

  test.each(messages)("%s", (text, message) => {
    expect(print(message)).toBe(text + RS);
    expect(parse(text)).toEqual(message);
  });

  test("a Close that does not invite back says nothing of it", () => {
    expect(print({ type: "close", allowReconnect: false })).toBe(`{"type":7}${RS}`);
  });
});

describe("reading a record", () => {
  test("what was written is read as it was", () => {
    fc.assert(
      fc.property(hubMessage, (message) => {
        const text = print(message);
        expect(text.indexOf(RS)).toBe(text.length - 1);
        expect(parse(text.slice(0, -1))).toEqual(message);
      }),
      { numRuns: 1000 },
    );
  });

  test("garbage is refused as such or read, and nothing else", () => {
    const damaged = fc
      .tuple(hubMessage, fc.nat(), fc.nat(2), fc.string({ maxLength: 2 }))
      .map(([message, at, length, text]) => {
        const record = print(message).slice(0, -1);
        const start = at % record.length;
        return record.slice(0, start) + text + record.slice(start + length);
      });
    fc.assert(
      fc.property(fc.oneof(fc.string(), jsonText, damaged), (record) => {
        expect(["message", "ProtocolError"]).toContain(kindOf(record));
      }),
      { numRuns: 2000 },
    );
  });

  test("deep nesting does no harm", () => {
    const deep = `${"[".repeat(100_000)}${"]".repeat(100_000)}`;
    expect(["message", "ProtocolError"]).toContain(
      kindOf(`{"type":1,"target":"a","arguments":${deep}}`),
    );
    expect(["message", "ProtocolError"]).toContain(
      kindOf(`{"target":"a","type":1,"arguments":${deep}}`),
    );
  });

  test("the members may stand in any order, with any others between them", () => {
    const members = fc.shuffledSubarray(
      [
        ['"type"', "1"],
        ['"invocationId"', '"7"'],
        ['"target"', '"a"'],
        ['"arguments"', '[1.0,{"b" : [ "]" ]}]'],
        ['"headers"', '{"x":"}"}'],
        ['"\\u0074rail"', "1e400"],
      ] as const,
      { minLength: 6 },
    );
    fc.assert(
      fc.property(members.chain(objectText), (record) => {
        expect(parse(` ${record}\n`)).toEqual({
          type: "invocation",
          invocationId: "7",
          target: "a",
          arguments: '[1.0,{"b" : [ "]" ]}]',
          values: [1, { b: ["]"] }],
        });
      }),
    );
  });

  test("arguments, items and results are kept to the byte", () => {
    const before = fc.array(fc.tuple(stringText, jsonText), { maxLength: 3 });
    fc.assert(
      fc.property(
        before.chain((others) =>
          fc
            .tuple(arrayText, jsonText)
            .chain(([array, value]) =>
              fc.tuple(
                fc.constant({ array, value }),
                objectText([
                  ...others,
                  ['"type"', "1"],
                  ['"target"', '"a"'],
                  ['"arguments"', array],
                ]),
                objectText([
                  ...others,
                  ['"item"', value],
                  ['"type"', "2"],
                  ['"invocationId"', '"1"'],
                ]),
                objectText([
                  ...others,
                  ['"type"', "3"],
                  ['"invocationId"', '"1"'],
                  ['"result"', value],
                ]),
              ),
            ),
        ),
        ([{ array, value }, push, item, completion]) => {
          expect(parse(push)).toMatchObject({ arguments: array });
          expect(parse(item)).toMatchObject({ item: value });
          expect(parse(completion)).toMatchObject({ result: value });
        },
      ),
      { numRuns: 1000 },
    );
  });

  test("of equal names the last one wins, however it is spelt", () => {
    expect(parse('{"type":1,"target":"a","arguments":[1],"arguments":[2]}')).toMatchObject({
      arguments: "[2]",
      values: [2],
    });
    expect(parse('{"type":1,"target":"a","arguments":[1],"\\u0061rguments":[2]}')).toMatchObject({
      arguments: "[2]",
      values: [2],
    });
    expect(parse('{"type":2,"invocationId":"1","item":1,"item":2}')).toMatchObject({ item: "2" });
    expect(parse('{"type":1,"target":"a","arguments":[1],"type":6}')).toEqual({ type: "ping" });
  });

  // Most records are read by a short way that relies on the order in which .NET writes; a space
  // behind the record leads to the general way.
  test("the short way reads what the general way reads", () => {
    const name = fc.oneof(
      fc.constantFrom("", "Odds", "1", 'a"b', "a\\", "\\u0061", "a\nb", "a\u0000"),
      stringText.map((text) => text.slice(1, -1)),
      fc.string({ maxLength: 4, unit: "binary" }),
    );
    const space = fc.constantFrom("", "", " ", "\n");
    const tail = fc.constantFrom(
      ...["", "", "", "]", "}", ' ,"arguments":[2]', ',"item":2', ',"type":6', ',"type":"1"'],
      ...[',"invocationId":"1"', ',"streamIds":["1"]', ',"streamIds":1', ',"error":"x"', ',"x'],
    );
    const push = fc
      .tuple(name, space, fc.oneof(arrayText, jsonText), tail, space)
      .map(
        ([target, before, raw, tail, after]) =>
          `{"type":1,"target":"${target}","arguments":${before}${raw}${tail}${after}}`,
      );
    const item = fc
      .tuple(name, space, jsonText, tail, space)
      .map(
        ([id, before, raw, tail, after]) =>
          `{"type":2,"invocationId":"${id}","item":${before}${raw}${tail}${after}}`,
      );
    fc.assert(
      fc.property(fc.oneof(push, item), (record) => {
        expect(outcomeOf(record)).toEqual(outcomeOf(`${record} `));
      }),
      { numRuns: 3000 },
    );
  });

  test("a control character in a name is no JSON, by the short way too", () => {
    expect(() => parse('{"type":1,"target":"a\nb","arguments":[]}')).toThrow(ProtocolError);
    expect(() => parse('{"type":2,"invocationId":"a\nb","item":1}')).toThrow(ProtocolError);
  });

  test("an item without an invocation id is refused, by the short way too", () => {
    expect(() => parse('{"type":2,"invocationId":"","item":1}')).toThrow(
      "Missing required property 'invocationId'.",
    );
  });

  test("an empty id of an invocation is none", () => {
    expect(parse('{"type":1,"invocationId":"","target":"a","arguments":[]}')).toEqual({
      type: "invocation",
      target: "a",
      arguments: "[]",
      values: [],
    });
  });

  test("an unknown type is a message, so that it can be skipped", () => {
    for (const code of [0, -1, 10, 99]) {
      expect(parse(`{"type":${code}}`)).toEqual({ type: "unknown", code });
    }
  });

  test.each([
    ["", "Error reading JSON."],
    ["x", "Error reading JSON."],
    ["[]", "Unexpected JSON Token Type 'Array'. Expected a JSON Object."],
    ["null", "Unexpected JSON Token Type 'Null'. Expected a JSON Object."],
    ["1", "Unexpected JSON Token Type 'Number'. Expected a JSON Object."],
    ["{}", "Missing required property 'type'."],
    ['{"type":"1"}', "Expected 'type' to be of type Number."],
    ['{"type":null}', "Expected 'type' to be of type Number."],
    ['{"type":1,"arguments":[]}', "Missing required property 'target'."],
    ['{"type":1,"target":null,"arguments":[]}', "Expected 'target' to be of type String."],
    ['{"type":1,"target":"a"}', "Missing required property 'arguments'."],
    ['{"type":1,"target":"a","arguments":null}', "Expected 'arguments' to be of type Array."],
    ['{"type":1,"target":"a","arguments":{}}', "Expected 'arguments' to be of type Array."],
    [
      '{"type":1,"target":"a","arguments":[],"streamIds":null}',
      "Expected 'streamIds' to be of type Array.",
    ],
    [
      '{"type":1,"target":"a","arguments":[],"streamIds":[1]}',
      "Expected 'streamIds' to be of type Array.",
    ],
    [
      '{"type":1,"invocationId":null,"target":"a","arguments":[]}',
      "Expected 'invocationId' to be of type String.",
    ],
    ['{"type":2,"item":1}', "Missing required property 'invocationId'."],
    ['{"type":2,"invocationId":"1"}', "Missing required property 'item'."],
    ['{"type":3}', "Missing required property 'invocationId'."],
    [
      '{"type":3,"invocationId":"1","error":"a","result":null}',
      "The 'error' and 'result' properties are mutually exclusive.",
    ],
    ['{"type":3,"invocationId":"1","error":null}', "Expected 'error' to be of type String."],
    ['{"type":4,"target":"a","arguments":[]}', "Missing required property 'invocationId'."],
    [
      '{"type":4,"invocationId":"","target":"a","arguments":[]}',
      "Missing required property 'invocationId'.",
    ],
    ['{"type":5}', "Missing required property 'invocationId'."],
    ['{"type":7,"allowReconnect":1}', "Expected 'allowReconnect' to be true or false."],
  ])("%s is refused", (record, message) => {
    expect(() => parse(record)).toThrow(new ProtocolError(message));
  });

  test.each(["1.5", '"1"', "null"])("an acknowledged id of %s is refused", (id) => {
    expect(() => parse(`{"type":8,"sequenceId":${id}}`)).toThrow(ProtocolError);
    expect(() => parse(`{"type":9,"sequenceId":${id}}`)).toThrow(ProtocolError);
  });
});

describe("a push that begins as one before it", () => {
  const HEAD = '{"type":1,"target":"Known","arguments":';

  test.each([
    `${HEAD}[]}`,
    `${HEAD}[{"a":1}]}`,
    `${HEAD} [1] }`,
    `${HEAD}[1],"streamIds":["1"]}`,
    `${HEAD}[1],"arguments":[2]}`,
    `${HEAD}[1],"invocationId":"9"}`,
    `${HEAD}[1],"target":"Other"}`,
    `${HEAD}[1]} `,
  ])("%s is read as by itself", (record) => {
    parse(`${HEAD}[0]}`);
    expect(parse(record)).toEqual(parse(record, "client"));
  });

  test.each([`${HEAD}{}}`, `${HEAD}[1]]}`, `${HEAD}[1}`, `${HEAD}}`])("%s is refused", (record) => {
    parse(`${HEAD}[0]}`);
    expect(() => parse(record)).toThrow(ProtocolError);
  });

  test("is told from those of other targets, however many there are", () => {
    for (const i of [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 9, 1]) {
      const message = parse(`{"type":1,"target":"T${i}","arguments":[${i}]}`);
      expect(message).toMatchObject({ target: `T${i}`, values: [i] });
    }
  });
});

describe("cutting a stream into records", () => {
  const text = fc
    .array(fc.oneof(fc.constantFrom("😀", "é", "\u2028", "a"), fc.string({ unit: "binary" })), {
      maxLength: 4,
    })
    .map((parts) => parts.join("").replaceAll(RS, "").replaceAll("\ufeff", ""));

  test("it does not matter where it is cut, nor what comes as text and what as bytes", () => {
    const streams = fc.array(text, { maxLength: 5 }).chain((records) => {
      const stream = records.map((record) => record + RS).join("");
      return fc.tuple(fc.constant(records), pieces(new TextEncoder().encode(stream)));
    });
    fc.assert(
      fc.property(streams, ([records, frames]) => {
        const framing = createRecords(1_000_000);
        expect(frames.flatMap((frame) => framing.push(frame))).toEqual(records);
      }),
      { numRuns: 1000 },
    );
  });

  test("bytes that are no UTF-8 are text all the same", () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        const framing = createRecords(1_000_000);
        framing.push(bytes);
        framing.push(new Uint8Array([0x1e]));
      }),
    );
  });

  test("a byte order mark is part of its record, as text and as bytes", () => {
    const stream = `\ufeff{"type":6}${RS}`;
    const record = '\ufeff{"type":6}';
    expect(createRecords(100).push(stream)).toEqual([record]);
    expect(createRecords(100).push(new TextEncoder().encode(stream))).toEqual([record]);
    expect(() => parse(record)).toThrow(ProtocolError);
  });

  describe.each(["text", "bytes"])("of %s", (kind) => {
    const frame = (text: string) => (kind === "text" ? text : new TextEncoder().encode(text));

    test("a record may be as large as the limit with its separator, and no larger", () => {
      const largest = "x".repeat(32_767);
      expect(createRecords(32_768).push(frame(largest + RS))).toEqual([largest]);
      expect(() => createRecords(32_768).push(frame(`x${largest}${RS}`))).toThrow(
        new ProtocolError(
          "The maximum message size of 32768B was exceeded. The message size can be configured in AddHubOptions.",
        ),
      );
    });

    test("a record that has not ended is waited for up to the limit", () => {
      const framing = createRecords(32_768);
      expect(framing.push(frame("x".repeat(32_768)))).toEqual([]);
      expect(() => framing.push(frame("x"))).toThrow(ProtocolError);
    });

    test("the limit counts bytes, not characters", () => {
      const largest = `${"é".repeat(16_383)}x`;
      expect(createRecords(32_768).push(frame(largest + RS))).toEqual([largest]);
      expect(() => createRecords(32_768).push(frame(`${largest}x${RS}`))).toThrow(ProtocolError);
      expect(() => createRecords(32_768).push(frame(`${"é".repeat(16_385)}`))).toThrow(
        ProtocolError,
      );
    });

    test("any number of records may come at once", () => {
      const frames = frame(`{"type":6}${RS}`.repeat(10_000));
      expect(createRecords(32_768).push(frames)).toHaveLength(10_000);
    });
  });
});

function kindOf(record: string): string {
  try {
    parse(record);
    return "message";
  } catch (error) {
    return error instanceof ProtocolError ? error.name : String(error);
  }
}

/** What a record is read as; spaces around raw pieces mean nothing and may stay or go. */
function outcomeOf(record: string): HubMessage<string> | Unknown | { refused: string } {
  try {
    const message = parse(record);
    if ("arguments" in message) return { ...message, arguments: message.arguments.trim() };
    if ("item" in message) return { ...message, item: message.item.trim() };
    return message;
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    return { refused: error.message };
  }
}
