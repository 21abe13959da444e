/**
 * What ASP.NET Core 10.0.12 was seen to make of records that its own clients do not write: the tables
 * are its answers.
 */

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ProtocolError } from "../../lib/errors.ts";
import {
  createHandshakeReader,
  parseHandshakeRequest,
  parseHandshakeResponse,
  printHandshakeResponse,
} from "../../lib/wire/handshake.ts";
import type { HubMessage } from "../../lib/wire/hub.ts";
import { jsonProtocol } from "../../lib/wire/json.ts";
import { members, printString } from "../../lib/wire/text.ts";
import { hubMessage } from "../support/hub-message.ts";
import { jsonText, objectText, stringText } from "../support/json.ts";

const RS = "\u001e";
const { createFraming, print } = jsonProtocol;

function parse(record: string) {
  return jsonProtocol.parse(record, "client");
}

function nested(levels: number): string {
  return "[".repeat(levels) + "]".repeat(levels);
}

describe("a record of a client is read", () => {
  const call = { type: "invocation", target: "t", arguments: "[1]", values: [1] } as const;
  const ping = { type: "ping" } as const;

  test.each<[string, HubMessage<string>]>([
    ['{"type":6}x', ping],
    ['{"type":6}{"type":7}', ping],
    ['\n {"type":6} ]', ping],
    [`{"type":6}${nested(99)}`, ping],
    ['{"type":6}"', ping],
    ['{"\\u0074ype":6}', ping],
    ['{"type":7,"type":6}', ping],
    ['{"type":6,"a":1,"a":2}', ping],
    ['{"type":6,"x":1e400}', ping],
    ['{"type":6,"headers":{"a":"5"}}', ping],
    ['{"type":6,"headers":{}}', ping],
    ['{"type":1,"target":"t","arguments":[1]}', call],
    ['{"type":1,"arguments":[1],"target":"t"}', call],
    ['{"type":1,"target":"t","arguments":[2,3],"arguments":[1]}', call],
    ['{"type":1,"target":"x","target":"t","arguments":[1]}', call],
    ['{"type":1,"target":"t","arguments":[1],"invocationId":""}', call],
    ['{"type":1,"target":"t","arguments":[1],"streamIds":[]}', call],
    ['{"type":1,"target":"t","arguments":[1],"result":1}', call],
    ['{"type":1,"target":"t","arguments":[1],"error":"e"}', call],
    ['{"type":1,"target":"","arguments":[1]}', { ...call, target: "" }],
    [
      '{"type":1,"target":"t","arguments":["\\ud800"]}',
      { ...call, arguments: '["\\ud800"]', values: ["\ud800"] },
    ],
    [
      '{"type":3,"invocationId":"1","error":""}',
      { type: "completion", invocationId: "1", error: "" },
    ],
    ['{"type":7,"error":""}', { type: "close", error: "" }],
    ['{"type":7,"allowReconnect":false}', { type: "close", allowReconnect: false }],
    ['{"type":9,"sequenceId":-5}', { type: "sequence", sequenceId: -5 }],
    ['{"type":8,"sequenceId":9007199254740993}', { type: "ack", sequenceId: 2 ** 53 }],
  ])("%s", (record, message) => {
    expect(parse(record)).toEqual(message);
  });

  test.each(["0", "-0", "10", "99", "-2147483648", "2147483647"])("of type %s", (type) => {
    expect(parse(`{"type":${type}}`)).toEqual({ type: "unknown", code: Number(type) });
  });
});

describe("a record of a client is refused", () => {
  test.each([
    ["", "Error reading JSON."],
    [" ", "Error reading JSON."],
    ["1", "Unexpected JSON Token Type 'Number'. Expected a JSON Object."],
    ["1x", "Error reading JSON."],
    ["1 x", "Unexpected JSON Token Type 'Number'. Expected a JSON Object."],
    ["[", "Unexpected JSON Token Type 'Array'. Expected a JSON Object."],
    ["null", "Unexpected JSON Token Type 'Null'. Expected a JSON Object."],
    ["true", "Unexpected JSON Token Type 'True'. Expected a JSON Object."],
    ['"a"', "Unexpected JSON Token Type 'String'. Expected a JSON Object."],
    ['"a', "Error reading JSON."],
    ["}", "Error reading JSON."],
    ["{", "Error reading JSON."],
    ["{}", "Missing required property 'type'."],
    ['{"Type":6}', "Missing required property 'type'."],
    ['\ufeff{"type":6}', "Error reading JSON."],
    ['\u00a0{"type":6}', "Error reading JSON."],
    ['\u0001{"type":6}', "Error reading JSON."],
    ['{"type":6,}', "Error reading JSON."],
    ['{"type":6 "a":1}', "Error reading JSON."],
    ['{"type":6/**/}', "Error reading JSON."],
    ["{'type':6}", "Error reading JSON."],
    ['{"type":6', "Error reading JSON."],
    ['{"type":6,"x":"', "Error reading JSON."],
    ['{"type":6,"x":"\\', "Error reading JSON."],
    ['{"type":6,"x":[1', "Error reading JSON."],
    ['{"type"', "Error reading JSON."],
    ['{"type":', "Error reading JSON."],
    ['{"type":6,"x":01}', "Error reading JSON."],
    ['{"type":6,"x":NaN}', "Error reading JSON."],
    ['{"type":6,"x":"\u0001"}', "Error reading JSON."],
    ['{"type":"6"}', "Expected 'type' to be of type Number."],
    ['{"type":null}', "Expected 'type' to be of type Number."],
    ['{"type":[]}', "Expected 'type' to be of type Number."],
    ['{"type":6,"type":"x"}', "Expected 'type' to be of type Number."],
    [
      '{"type":6.0}',
      "Either the JSON value is not in a supported format, or is out of bounds for an Int32.",
    ],
    [
      '{"type":6e0}',
      "Either the JSON value is not in a supported format, or is out of bounds for an Int32.",
    ],
    [
      '{"type":2147483648}',
      "Either the JSON value is not in a supported format, or is out of bounds for an Int32.",
    ],
    ['{"type":6,"target":5}', "Expected 'target' to be of type String."],
    ['{"type":99,"target":5}', "Expected 'target' to be of type String."],
    ['{"type":6,"invocationId":5}', "Expected 'invocationId' to be of type String."],
    ['{"type":6,"error":null}', "Expected 'error' to be of type String."],
    ['{"type":6,"arguments":5}', "Expected 'arguments' to be of type Array."],
    ['{"type":6,"streamIds":null}', "Expected 'streamIds' to be of type Array."],
    ['{"type":6,"allowReconnect":null}', "Expected 'allowReconnect' to be true or false."],
    ['{"type":6,"sequenceId":"x"}', "Expected 'sequenceId' to be of type Number."],
    ['{"type":6,"headers":5}', "Expected 'headers' to be of type StartObject."],
    ['{"type":6,"headers":null}', "Expected 'headers' to be of type StartObject."],
    ['{"type":6,"headers":[]}', "Expected 'headers' to be of type StartObject."],
    ['{"type":6,"headers":{"a":5}}', "Expected header 'a' to be of type String."],
    ['{"type":6,"headers":{"a":{}}}', "Expected header 'a' to be of type String."],
    ['{"type":1,"arguments":[1]}', "Missing required property 'target'."],
    ['{"type":1,"target":"t"}', "Missing required property 'arguments'."],
    ['{"type":2}', "Missing required property 'invocationId'."],
    ['{"type":2,"invocationId":"","item":1}', "Missing required property 'invocationId'."],
    ['{"type":2,"invocationId":"1"}', "Missing required property 'item'."],
    [
      '{"type":3,"invocationId":"","error":"e","result":1}',
      "Missing required property 'invocationId'.",
    ],
    [
      '{"type":3,"invocationId":"1","error":"","result":1}',
      "The 'error' and 'result' properties are mutually exclusive.",
    ],
    ['{"type":4,"arguments":[1]}', "Missing required property 'target'."],
    [
      '{"type":4,"invocationId":"","target":"t","arguments":[1]}',
      "Missing required property 'invocationId'.",
    ],
    ['{"type":5,"invocationId":""}', "Missing required property 'invocationId'."],
    ['{"type":8,"sequenceId":null}', "Missing required property 'sequenceId'."],
    [
      '{"type":8,"sequenceId":1.5}',
      "Either the JSON value is not in a supported format, or is out of bounds for an Int64.",
    ],
    [
      '{"type":8,"sequenceId":99999999999999999999}',
      "Either the JSON value is not in a supported format, or is out of bounds for an Int64.",
    ],
  ])("%s", (record, text) => {
    expect(() => parse(record)).toThrow(new ProtocolError(text));
  });

  test("a name that is half a character", () => {
    for (const member of ['"target":"\\ud800"', '"invocationId":"a\\udc00"']) {
      expect(() => parse(`{"type":6,${member}}`)).toThrow(ProtocolError);
    }
    expect(parse('{"type":5,"invocationId":"\\ud83d\\ude00"}')).toMatchObject({
      invocationId: "😀",
    });
  });
});

describe("nesting of a client's record", () => {
  const tooDeep = new ProtocolError("Error reading JSON.");

  test("is taken to the depth of 64, the record being the first", () => {
    const call = (levels: number) => `{"type":1,"target":"t","arguments":[${nested(levels)}]}`;
    expect(parse(call(62))).toMatchObject({ type: "invocation", target: "t" });
    expect(() => parse(call(63))).toThrow(tooDeep);
    const unknown = (levels: number) => `{"x":${nested(levels)},"type":6}`;
    expect(parse(unknown(63))).toEqual({ type: "ping" });
    expect(() => parse(unknown(64))).toThrow(tooDeep);
  });

  test("counts objects too, and no brackets in strings", () => {
    const objects = `${'{"a":'.repeat(64)}1${"}".repeat(64)}`;
    expect(() => parse(`{"type":6,"x":${objects}}`)).toThrow(tooDeep);
    expect(parse(`{"type":6,"x":"${nested(99)}"}`)).toEqual({ type: "ping" });
    expect(parse(`{"type":6,"x":[${Array(99).fill("[]").join()}]}`)).toEqual({ type: "ping" });
  });

  test("is an origin's own affair", () => {
    const record = `{"type":1,"target":"t","arguments":[${nested(200)}]}`;
    expect(jsonProtocol.parse(record)).toMatchObject({ target: "t" });
  });

  test("without end does no harm", () => {
    for (const bomb of ["[".repeat(1_000_000), '{"a":'.repeat(200_000)]) {
      expect(() => parse(`{"type":6,"x":${bomb}`)).toThrow(tooDeep);
      expect(() => parseHandshakeRequest(`{"protocol":"json","x":${bomb}`)).toThrow(tooDeep);
    }
  });
});

test("what .NET writes is read alike from a client and from an origin", () => {
  fc.assert(
    fc.property(hubMessage, (message) => {
      const record = print(message).slice(0, -1);
      expect(parse(record)).toEqual(jsonProtocol.parse(record));
    }),
  );
});

describe("the scanner", () => {
  const object = fc
    .array(fc.tuple(stringText, jsonText), { maxLength: 4 })
    .chain((pairs) => objectText(pairs));

  test("ignores what stands behind the object", () => {
    fc.assert(
      fc.property(object, fc.oneof(fc.string(), jsonText), (object, behind) => {
        expect(members(object + behind)).toEqual(members(object));
      }),
      { numRuns: 1000 },
    );
  });

  test("refuses an object that is cut off, wherever", () => {
    fc.assert(
      fc.property(object, fc.nat(), (object, at) => {
        expect(() => members(object.slice(0, at % object.length))).toThrow(ProtocolError);
      }),
      { numRuns: 1000 },
    );
  });

  test("ends on anything, with members or a ProtocolError", () => {
    const likely = fc
      .array(fc.constantFrom(...'{}[]",:\\ 1a\n', '{"a":', '"b"', "null"), { maxLength: 30 })
      .map((parts) => `{${parts.join("")}`);
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: "binary" }), likely), (text) => {
        try {
          expect(members(text)).toBeInstanceOf(Map);
        } catch (error) {
          expect(error).toBeInstanceOf(ProtocolError);
        }
      }),
      { numRuns: 5000 },
    );
  });
});

describe("a string is written as .NET writes it", () => {
  test.each([
    ["plain <text> & 'more' +`", "plain <text> & 'more' +`"],
    ['"\\/', '\\"\\\\/'],
    ["\b\t\n\f\r", "\\b\\t\\n\\f\\r"],
    ["\u0000\u001e\u007f\u0085", "\\u0000\\u001E\\u007F\\u0085"],
    ["é Ж 中 \u200d", "é Ж 中 \u200d"],
    ["\u2028\u2029\u00a0\u3000\ufeff", "\\u2028\\u2029\\u00A0\\u3000\\uFEFF"],
    ["\ue000\uffff", "\\uE000\\uFFFF"],
    ["😀", "\\uD83D\\uDE00"],
    ["a\ud800b\udc00", "a\ufffdb\ufffd"],
  ])("%j", (text, written) => {
    expect(printString(text)).toBe(`"${written}"`);
  });

  test("in names, ids and errors", () => {
    const list = { arguments: '["😀"]', values: ["😀"] };
    expect(
      print({
        type: "invocation",
        invocationId: "\u0000",
        target: "😀",
        streamIds: ["é\u2028"],
        ...list,
      }),
    ).toBe(
      `{"type":1,"invocationId":"\\u0000","target":"\\uD83D\\uDE00","arguments":["😀"],"streamIds":["é\\u2028"]}${RS}`,
    );
    expect(print({ type: "completion", invocationId: "😀", error: "<\u007f>" })).toBe(
      `{"type":3,"invocationId":"\\uD83D\\uDE00","error":"<\\u007F>"}${RS}`,
    );
    expect(print({ type: "close", error: "\u2028" })).toBe(`{"type":7,"error":"\\u2028"}${RS}`);
    expect(printHandshakeResponse("The protocol '😀<>&\u2028' is \"x\\\n\b\f/")).toBe(
      `{"error":"The protocol '\\uD83D\\uDE00<>&\\u2028' is \\"x\\\\\\n\\b\\f/"}${RS}`,
    );
  });

  test("and is read as it was", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        expect(JSON.parse(printString(text))).toBe(text);
      }),
      { numRuns: 1000 },
    );
  });
});

describe("a handshake", () => {
  test.each<[string, string, number]>([
    ['{"protocol":"json","version":1}', "json", 1],
    ['{"protocol":"json","version":1}x', "json", 1],
    ['{"protocol":"json","version":1}{}', "json", 1],
    ['{"protocol":"json","version":-3}', "json", -3],
    ['{"protocol":"JSON","version":2147483647}', "JSON", 2147483647],
    ['{"protocol":"xml","protocol":"json","version":1}', "json", 1],
    ['{"\\u0070rotocol":"json","version":1,"type":6}', "json", 1],
    [`{"x":${nested(63)},"protocol":"json","version":1}`, "json", 1],
  ])("%s is read", (record, protocol, version) => {
    expect(parseHandshakeRequest(record)).toEqual({ protocol, version });
  });

  const int32 =
    "Either the JSON value is not in a supported format, or is out of bounds for an Int32.";

  test.each([
    ['{"protocol":"json","version":1.0}', int32],
    ['{"protocol":"json","version":1e0}', int32],
    ['{"protocol":"json","version":2147483648}', int32],
    ['{"protocol":"json","version":-2147483649}', int32],
    ['{"protocol":"json","version":"1"}', "Expected 'version' to be of type Number."],
    ['{"protocol":"json","version":[1]}', "Expected 'version' to be of type Number."],
    [
      '{"protocol":"json","version":null}',
      `Missing required property 'version'. Message content: {"protocol":"json","version":null}`,
    ],
    ['{"protocol":null,"version":1}', "Expected 'protocol' to be of type String."],
    ['{"version":1}', `Missing required property 'protocol'. Message content: {"version":1}`],
    [
      '{"protocol":"json"}',
      `Missing required property 'version'. Message content: {"protocol":"json"}`,
    ],
    ["[]", "Unexpected JSON Token Type 'Array'. Expected a JSON Object."],
    ['{"protocol":"\\ud800","version":1}', "Cannot read incomplete UTF-16 JSON text as string."],
    ["", "Error reading JSON."],
    ["h", "Error reading JSON."],
    ['{"protocol":"json","version":1', "Error reading JSON."],
    [`{"x":${nested(64)},"protocol":"json","version":1}`, "Error reading JSON."],
  ])("%s is refused", (record, text) => {
    expect(() => parseHandshakeRequest(record)).toThrow(new ProtocolError(text));
  });

  test.each([
    ["{}", undefined],
    ["{}x", undefined],
    ['{"error":""}', ""],
    ['{"error":"x"}', "x"],
    ['{"x":{"type":1}}', undefined],
    ['{"minorVersion":0}', undefined],
    ['{"error":null}', undefined], // .NET refuses it; nobody is harmed by reading it
  ])("the answer %s is read", (record, error) => {
    expect(parseHandshakeResponse(record)).toBe(error);
  });

  test.each([
    ['{"type":1}', "Expected a handshake response from the server."],
    ['{"error":"x","type":null}', "Expected a handshake response from the server."],
    ['{"error":5}', "Expected 'error' to be of type String."],
    ["[]", "Unexpected JSON Token Type 'Array'. Expected a JSON Object."],
  ])("the answer %s is refused", (record, text) => {
    expect(() => parseHandshakeResponse(record)).toThrow(new ProtocolError(text));
  });

  test("with a byte order mark is none, nor is a record behind it", () => {
    const bytes = new TextEncoder().encode(`\ufeff{}${RS}\ufeff{}${RS}`);
    const { record, rest } = createHandshakeReader(100).push(bytes) ?? {};
    expect(record).toBe("\ufeff{}");
    expect(createFraming(100).push(rest ?? "")).toEqual(["\ufeff{}"]);
  });
});
