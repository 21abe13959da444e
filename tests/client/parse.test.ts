import { createParser as createOracle } from "eventsource-parser";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createParser, type StreamEvent } from "../../lib/client/parse.ts";

/** Events and retries of a stream that came in these pieces. */
function parse(chunks: readonly string[]): unknown[] {
  const seen: unknown[] = [];
  const parser = createParser({
    onEvent: (event) => seen.push(event),
    onRetry: (retryMs) => seen.push(retryMs),
  });
  for (const chunk of chunks) parser.feed(chunk);
  return seen;
}

function ask(text: string): unknown[] {
  const seen: unknown[] = [];
  const oracle = createOracle({
    onEvent: ({ event, data }) => seen.push({ event, data }),
    onRetry: (retryMs) => seen.push(retryMs),
  });
  oracle.feed(text);
  return seen;
}

function events(text: string): StreamEvent[] {
  return parse([text]) as StreamEvent[]; // no retry: field in these
}

/** Cuts a value at these places, counted round and round. */
function cut<T extends string | Uint8Array>(whole: T, at: readonly number[]): T[] {
  const places = at.map((place) => place % (whole.length + 1)).sort((a, b) => a - b);
  const bounds = [0, ...places, whole.length];
  return bounds.slice(1).map((end, i) => whole.slice(bounds[i], end) as T); // slice keeps the type
}

const word = fc.stringMatching(/^[a-c :\0é💶]{0,6}$/u);
const line = fc.oneof(
  fc
    .tuple(fc.constantFrom("data", "event", "id", "retry", "", "other"), word)
    .map(([field, value]) => `${field}:${value}`),
  fc.constantFrom(
    "data",
    "data:",
    "data: ",
    "event",
    "id",
    "retry: 12",
    "retry: 1x",
    ": heartbeat",
    "",
  ),
);
const text = fc
  .array(fc.tuple(line, fc.constantFrom("\n", "\n\n", "\r\n", "\r\n\r\n", "\r", "\r\r")), {
    maxLength: 30,
  })
  .map((lines) => lines.flat().join(""));
const places = fc.array(fc.nat({ max: 1_000 }), { maxLength: 40 });

describe("the event stream parser", () => {
  test("reads what eventsource-parser reads", () => {
    // The comment at the end makes the oracle look at a carriage return that comes last.
    fc.assert(
      fc.property(text, (stream) => {
        expect(parse([`${stream}:\n`])).toEqual(ask(`${stream}:\n`));
      }),
    );
  });

  test("reads the same whatever the cut", () => {
    fc.assert(
      fc.property(text, places, (stream, at) => {
        expect(parse(cut(stream, at))).toEqual(parse([stream]));
      }),
    );
  });

  test("reads the same when bytes are cut, also inside a character", () => {
    fc.assert(
      fc.property(text, places, (stream, at) => {
        const decoder = new TextDecoder();
        const pieces = cut(new TextEncoder().encode(stream), at);
        const chunks = pieces.map((bytes) => decoder.decode(bytes, { stream: true }));
        expect(parse([...chunks, decoder.decode()])).toEqual(parse([stream]));
      }),
    );
  });

  test("gives an event as soon as its empty line has begun", () => {
    const seen: StreamEvent[] = [];
    const parser = createParser({ onEvent: (event) => seen.push(event) });
    parser.feed("data: a\r\n\r");
    expect(seen).toEqual([{ event: undefined, data: "a" }]);
    parser.feed("\ndata: b\r\n\r\n");
    expect(seen.map(({ data }) => data)).toEqual(["a", "b"]);
  });

  test("joins data lines, drops one space and ignores comments and ids", () => {
    expect(events("event: e\nid: k3v9:7\ndata:  a\n: note\ndata:b\n\ndata\n\n")).toEqual([
      { event: "e", data: " a\nb" },
      { event: undefined, data: "" },
    ]);
  });

  test("refuses an event larger than its bound", () => {
    const parser = createParser({ onEvent() {}, maxChars: 10 });
    parser.feed("data:1234\n");
    expect(() => parser.feed("data:567")).toThrow(RangeError);
  });
});
