import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ProtocolError } from "../../lib/errors.ts";
import type { Notice } from "../../lib/topic/publication.ts";
import {
  InvalidMessage,
  parseClientMessage,
  printData,
  printDrain,
  printError,
  printNotice,
  printPong,
  printPublication,
  printState,
} from "../../lib/wire/message.ts";
import { jsonText } from "../support/json.ts";
import { createPublication } from "../support/publication.ts";

describe("a client's message", () => {
  test.each([
    ['{"type":"subscribe","topics":["a"]}', { type: "subscribe", topics: [{ topic: "a" }] }],
    [
      '{"type":"subscribe","id":7,"topics":["a",{"topic":"b","since":"x:1"},{"topic":"c"}]}',
      {
        type: "subscribe",
        id: 7,
        topics: [{ topic: "a" }, { topic: "b", since: "x:1" }, { topic: "c" }],
      },
    ],
    [
      '{"type":"unsubscribe","id":"u","topics":["a","b"],"later":true}',
      { type: "unsubscribe", id: "u", topics: ["a", "b"] },
    ],
    ['{"type":"ping"}', { type: "ping" }],
    ['{"id":-1,"type":"ping"}', { type: "ping", id: -1 }],
  ])("%s is read", (text, message) => {
    expect(parseClientMessage(text)).toEqual(message);
  });

  test("an id has 64 characters at most", () => {
    const id = "x".repeat(64);
    expect(parseClientMessage(`{"type":"ping","id":"${id}"}`)).toEqual({ type: "ping", id });
    expect(() => parseClientMessage(`{"type":"ping","id":"x${id}"}`)).toThrow(InvalidMessage);
  });

  test("up to 100 topics may stand in one", () => {
    const subscribe = (count: number) =>
      JSON.stringify({ type: "subscribe", topics: Array.from({ length: count }, () => "a") });
    expect(parseClientMessage(subscribe(100))).toMatchObject({ topics: { length: 100 } });
    expect(() => parseClientMessage(subscribe(101))).toThrow('Invalid field "topics"');
    expect(() => parseClientMessage(subscribe(0))).toThrow('Invalid field "topics"');
  });

  test.each([
    ["[]", "message", undefined],
    ["null", "message", undefined],
    ["1", "message", undefined],
    ['{"id":"i"}', "type", "i"],
    ['{"type":"publish","id":3}', "type", 3],
    ['{"type":"ping","id":1.5}', "id", undefined],
    ['{"type":"ping","id":{}}', "id", undefined],
    ['{"type":"ping","id":null}', "id", undefined],
    ['{"type":"subscribe","id":"i"}', "topics", "i"],
    ['{"type":"subscribe","id":"i","topics":"a"}', "topics", "i"],
    ['{"type":"subscribe","id":"i","topics":["a",1]}', "topics.1", "i"],
    ['{"type":"subscribe","id":"i","topics":[{"since":"x:1"}]}', "topics.0", "i"],
    ['{"type":"subscribe","id":"i","topics":[{"topic":"a","since":1}]}', "topics.0", "i"],
    ['{"type":"unsubscribe","id":"i","topics":[{"topic":"a"}]}', "topics.0", "i"],
  ])("%s is invalid, which names the field and the id", (text, field, id) => {
    expect(() => parseClientMessage(text)).toThrow(
      expect.objectContaining({
        code: "invalid_message",
        message: expect.stringContaining(`Invalid field "${field}`),
        id,
      }),
    );
  });

  test.each(["", "x", '{"type":"ping"', '{"type":"ping"}\n{"type":"ping"}'])(
    "%j is no message at all",
    (text) => {
      const error = new ProtocolError("Cannot parse message: it is not JSON");
      expect(() => parseClientMessage(text)).toThrow(error);
    },
  );

  test("garbage is refused as such or read, and nothing else", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), jsonText, fc.json()), (text) => {
        try {
          parseClientMessage(text);
        } catch (error) {
          const isExpected = error instanceof ProtocolError || error instanceof InvalidMessage;
          expect(isExpected).toBe(true);
        }
      }),
    );
  });
});

describe("data", () => {
  const dataOf = (raw: string, argumentCount?: number) =>
    printData(createPublication({ raw, argumentCount }));

  test("of one argument is the argument, of several or none the array of them", () => {
    expect(dataOf('[{"price":2.10}]', 1)).toBe('{"price":2.10}');
    expect(dataOf("[[1]]", 1)).toBe("[1]");
    expect(dataOf("[1.0, 2]", 2)).toBe("[1.0, 2]");
    expect(dataOf("[]", 0)).toBe("[]");
  });

  test("of a stream is the item, also when that is an array", () => {
    expect(dataOf("[1]")).toBe("[1]");
  });

  test("means what the origin wrote", () => {
    fc.assert(
      fc.property(jsonText, (raw) => {
        expect(JSON.parse(dataOf(`\n [ ${raw} ]\t`, 1))).toEqual(JSON.parse(raw));
        expect(JSON.parse(dataOf(raw))).toEqual(JSON.parse(raw));
      }),
    );
  });
});

describe("what a client is told", () => {
  const topic = "match/42";
  const position = "k3v9x2ma:1207";
  const publication = createPublication({
    topic,
    position,
    event: "OddsChanged",
    raw: '[{"price":2.10}]',
    argumentCount: 1,
  });

  test("a publication has its position, but behind a reset", () => {
    expect(printPublication(publication, position)).toBe(
      '{"type":"publication","topic":"match/42","position":"k3v9x2ma:1207","event":"OddsChanged","data":{"price":2.10}}',
    );
    expect(printNotice({ type: "value", publication })).toBe(
      '{"type":"publication","topic":"match/42","event":"OddsChanged","data":{"price":2.10}}',
    );
  });

  test("an event may have any name", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (event) => {
        expect(JSON.parse(printPublication(createPublication({ event })))).toMatchObject({ event });
      }),
    );
  });

  test.each<[Exclude<Notice, { type: "newest" }>, object]>([
    [
      { type: "reset", topic, reason: "new", snapshot: undefined },
      { type: "reset", topic, reason: "new" },
    ],
    [
      { type: "reset", topic, reason: "break", snapshot: '{"score":[1, 0]}' },
      { type: "reset", topic, reason: "break", snapshot: { score: [1, 0] } },
    ],
    [
      { type: "subscribed", topic, position, recovered: true, state: "live" },
      { type: "subscribed", topic, position, recovered: true, state: "live" },
    ],
    [
      { type: "stale", topic, lastMessageAt: 1_700_000_000_000 },
      { type: "stale", topic, lastMessageAt: 1_700_000_000_000 },
    ],
    [
      { type: "stale", topic, lastMessageAt: undefined },
      { type: "stale", topic },
    ],
    [
      { type: "live", topic, position },
      { type: "live", topic, position },
    ],
    [
      { type: "unsubscribed", topic, reason: "rejected", error: "No such match" },
      { type: "unsubscribed", topic, reason: "rejected", error: "No such match" },
    ],
    [
      { type: "unsubscribed", topic, reason: "requested", error: undefined },
      { type: "unsubscribed", topic, reason: "requested" },
    ],
  ])("%j", (notice, message) => {
    expect(JSON.parse(printNotice(notice))).toEqual(message);
  });

  test("a snapshot goes in as the origin wrote it", () => {
    const snapshot = '{"price":2.10,"id":12345678901234567890}';
    const text = printNotice({ type: "reset", topic, reason: "new", snapshot });
    expect(text).toBe(`{"type":"reset","topic":"match/42","reason":"new","snapshot":${snapshot}}`);
  });

  test("answers and errors name what they answer", () => {
    expect(printPong(7)).toBe('{"type":"pong","id":7}');
    expect(printPong(undefined)).toBe('{"type":"pong"}');
    expect(printDrain(1500)).toBe('{"type":"drain","retryMs":1500}');
    expect(JSON.parse(printError("unknown_topic", "No such topic", { id: "i", topic }))).toEqual({
      type: "error",
      code: "unknown_topic",
      message: "No such topic",
      id: "i",
      topic,
    });
    expect(JSON.parse(printError("invalid_message", "What?", {}))).toEqual({
      type: "error",
      code: "invalid_message",
      message: "What?",
    });
  });

  // Messages are told apart by line feeds, and an origin may well write its JSON over several lines.
  test("each message is one line, whatever the origin's JSON looks like", () => {
    const raw = '[\n  {\r\n    "price": 2.10\n  }\n]';
    const printed = [
      printPublication(createPublication({ raw, argumentCount: 1 }), position),
      printPublication(createPublication({ raw, argumentCount: 2 }), position),
      printNotice({ type: "value", publication: createPublication({ raw, argumentCount: 1 }) }),
      printNotice({ type: "reset", topic, reason: "new", snapshot: raw }),
    ];
    for (const text of printed) {
      expect(text).not.toMatch(/[\r\n]/);
      expect(JSON.parse(text)).toHaveProperty("topic");
    }
  });
});

test("the newest state of a topic is printed as the origin wrote it", () => {
  const state = {
    topic: "match/42",
    position: "x:9",
    state: "live" as const,
    snapshot: undefined,
    latest: [],
  };
  expect(printState(state)).toBe(
    '{"topic":"match/42","position":"x:9","state":"live","latest":[]}',
  );
  const latest = [
    createPublication({ event: "OddsChanged", raw: "[2.10]", argumentCount: 1 }),
    createPublication({ event: "ScoreChanged", raw: "[1,0]", argumentCount: 2 }),
  ];
  expect(printState({ ...state, snapshot: '{"a":1.0}', latest })).toBe(
    '{"topic":"match/42","position":"x:9","state":"live","snapshot":{"a":1.0},"latest":[{"event":"OddsChanged","data":2.10},{"event":"ScoreChanged","data":[1,0]}]}',
  );
});
