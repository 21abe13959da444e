import { createParser, type EventSourceMessage } from "eventsource-parser";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { printComment, printEvent, type ServerSentEvent } from "../../lib/wire/sse.ts";

/** What a client makes of a stream. */
function read(stream: string) {
  const events: EventSourceMessage[] = [];
  const retries: number[] = [];
  const comments: string[] = [];
  const parser = createParser({
    onEvent: (event) => events.push(event),
    onRetry: (ms) => retries.push(ms),
    onComment: (comment) => comments.push(comment),
    onError(error) {
      throw error;
    },
  });
  parser.feed(stream);
  return { events, retries, comments };
}

describe("an event", () => {
  test("has its fields in lines and ends with an empty one", () => {
    expect(printEvent({ data: "{}" })).toBe("data: {}\n\n");
    expect(
      printEvent({ event: "OddsChanged", data: "[1,\n2]", id: "k3v9x2ma:7", retryMs: 1500 }),
    ).toBe("event: OddsChanged\nid: k3v9x2ma:7\nretry: 1500\ndata: [1,\ndata: 2]\n\n");
  });

  test("arrives as it was sent, but for line ends and for names of several lines", () => {
    const text = fc
      .array(
        fc.oneof(
          fc.constantFrom("\n", "\r", "\r\n", " ", ":", "data: ", "\u2028", "\ufeff"),
          fc.string({ unit: "binary", maxLength: 4 }),
        ),
        { maxLength: 6 },
      )
      .map((parts) => parts.join(""));
    const event = fc.record(
      {
        event: text.filter((name) => name !== ""),
        data: text,
        id: fc.stringMatching(/^[a-z0-9]{1,8}:\d{1,5}$/),
        retryMs: fc.nat(),
      },
      { requiredKeys: ["data"] },
    );
    fc.assert(
      fc.property(fc.array(event, { maxLength: 4 }), (events: ServerSentEvent[]) => {
        const received = read(events.map(printEvent).join(""));
        expect(received.events).toEqual(
          events.map(({ event, data, id }) => ({
            event: event?.replaceAll(/\r\n|\r|\n/g, " "),
            data: data.replaceAll(/\r\n|\r/g, "\n"),
            id,
          })),
        );
        expect(received.retries).toEqual(
          events.flatMap(({ retryMs }) => (retryMs === undefined ? [] : [retryMs])),
        );
      }),
      { numRuns: 1000 },
    );
  });
});

describe("a comment", () => {
  test.each([3, 4, 256])("of %i bytes has this size, and clients skip it", (bytes) => {
    const comment = printComment(bytes);
    expect(new TextEncoder().encode(comment)).toHaveLength(bytes);
    const received = read(comment + printEvent({ data: "1" }));
    expect(received.comments).toHaveLength(1);
    expect(received.events).toMatchObject([{ data: "1" }]);
  });
});
