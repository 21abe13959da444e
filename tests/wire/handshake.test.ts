import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ProtocolError } from "../../lib/errors.ts";
import type { Frame } from "../../lib/socket.ts";
import {
  createHandshakeReader,
  parseHandshakeRequest,
  parseHandshakeResponse,
  printHandshakeRequest,
  printHandshakeResponse,
} from "../../lib/wire/handshake.ts";
import { jsonText } from "../support/json.ts";
import { pieces } from "../support/pieces.ts";

const RS = "\u001e";

describe("a request", () => {
  test("is written as the official clients write it", () => {
    expect(printHandshakeRequest({ protocol: "json", version: 1 })).toBe(
      `{"protocol":"json","version":1}${RS}`,
    );
  });

  test.each([
    ['{"protocol":"json","version":1}', { protocol: "json", version: 1 }],
    ['{"version":-1,"protocol":"JSON"}', { protocol: "JSON", version: -1 }],
    ['{"protocol":"json","version":0}', { protocol: "json", version: 0 }],
    ['{"protocol":"","version":2}', { protocol: "", version: 2 }],
    ['{"protocol":"xml","protocol":"json","version":1}', { protocol: "json", version: 1 }],
    ['{"\\u0070rotocol":"js\\u006fn","version":1}', { protocol: "json", version: 1 }],
    ['{"type":6,"protocol":"json","version":1,"x":[{}]}', { protocol: "json", version: 1 }],
    [' {"protocol":"json","version":1}\n', { protocol: "json", version: 1 }],
  ])("%s is read", (record, request) => {
    expect(parseHandshakeRequest(record)).toEqual(request);
  });

  test.each(["x", "{}", " []", '}{"a":"}"}'])("%s behind it is ignored", (rest) => {
    const request = { protocol: "json", version: 1 };
    expect(parseHandshakeRequest(`{"protocol":"json","version":1}${rest}`)).toEqual(request);
  });

  test.each([
    "",
    "x",
    "{}",
    "[]",
    "null",
    "1",
    '{"type":6}',
    '{"protocol":"json"}',
    '{"version":1}',
    '{"protocol":null,"version":1}',
    '{"protocol":1,"version":1}',
    '{"Protocol":"json","version":1}',
    '{"protocol":"json","version":"1"}',
    '{"protocol":"json","version":null}',
    '{"protocol":"json","version":1.5}',
    '{"protocol":"json","version":99999999999}',
    '\ufeff{"protocol":"json","version":1}',
  ])("%j is refused", (record) => {
    expect(() => parseHandshakeRequest(record)).toThrow(ProtocolError);
  });

  test("garbage is refused as such or read, and nothing else", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), jsonText), (record) => {
        for (const parse of [parseHandshakeRequest, parseHandshakeResponse]) {
          try {
            parse(record);
          } catch (error) {
            expect(error).toBeInstanceOf(ProtocolError);
          }
        }
      }),
    );
  });
});

describe("an answer", () => {
  test("is written as .NET writes it", () => {
    expect(printHandshakeResponse()).toBe(`{}${RS}`);
    expect(printHandshakeResponse("The protocol 'xml' is not supported.")).toBe(
      `{"error":"The protocol 'xml' is not supported."}${RS}`,
    );
  });

  test("is a success without an error", () => {
    expect(parseHandshakeResponse("{}")).toBeUndefined();
    expect(parseHandshakeResponse('{"error":null,"minorVersion":1}')).toBeUndefined();
    expect(parseHandshakeResponse('{"error":"no"}')).toBe("no");
  });

  test("is no hub message", () => {
    expect(() => parseHandshakeResponse('{"type":6}')).toThrow(
      new ProtocolError("Expected a handshake response from the server."),
    );
    expect(() => parseHandshakeResponse("[]")).toThrow(ProtocolError);
    expect(() => parseHandshakeResponse("")).toThrow(ProtocolError);
  });
});

describe("taking the first record off a connection", () => {
  const bytesOf = (frame: Frame) => (typeof frame === "string" ? Buffer.from(frame) : frame);

  test("it does not matter where the stream is cut, and what comes behind is left as it was", () => {
    const text = fc
      .string({ unit: "binary", maxLength: 12 })
      .map((text) => text.replaceAll(RS, "").replaceAll("\ufeff", ""));
    const streams = fc.tuple(text, fc.uint8Array({ maxLength: 12 })).chain(([record, rest]) => {
      const bytes = Buffer.concat([Buffer.from(record + RS), rest]);
      return fc.tuple(fc.constant(record), fc.constant(rest), pieces(bytes));
    });
    fc.assert(
      fc.property(streams, ([record, rest, frames]) => {
        const reader = createHandshakeReader(1_000);
        while (frames.length > 0) {
          const taken = reader.push(frames.shift() as Frame);
          if (!taken) continue;
          expect(taken.record).toBe(record);
          const left = Buffer.concat([bytesOf(taken.rest), ...frames.map(bytesOf)]);
          expect([...left]).toEqual([...rest]);
          return;
        }
        expect.unreachable();
      }),
      { numRuns: 1000 },
    );
  });

  test("what comes behind is of the kind that came", () => {
    expect(createHandshakeReader(100).push(`{}${RS}a`)).toEqual({ record: "{}", rest: "a" });
    expect(createHandshakeReader(100).push(Buffer.from(`{}${RS}a`))?.rest).toBeInstanceOf(
      Uint8Array,
    );
  });

  test("a byte order mark is part of what it stands in", () => {
    const stream = `\ufeff{}${RS}\ufeffa`;
    expect(createHandshakeReader(100).push(stream)).toEqual({
      record: "\ufeff{}",
      rest: "\ufeffa",
    });
  });

  test.each([
    ["text", (text: string): Frame => text],
    ["bytes", (text: string): Frame => Buffer.from(text)],
  ])("%s may be as large as the limit with the separator, and no larger", (_, frame) => {
    const largest = "x".repeat(32_767);
    expect(createHandshakeReader(32_768).push(frame(largest + RS))?.record).toBe(largest);
    expect(() => createHandshakeReader(32_768).push(frame(`x${largest}${RS}`))).toThrow(
      ProtocolError,
    );
    const reader = createHandshakeReader(32_768);
    expect(reader.push(frame(`x${largest}`))).toBeUndefined();
    expect(() => reader.push(frame("x"))).toThrow(ProtocolError);
  });

  test("the limit is of the record alone", () => {
    const rest = "x".repeat(100_000);
    expect(createHandshakeReader(32_768).push(`{}${RS}${rest}`)).toEqual({ record: "{}", rest });
  });
});
