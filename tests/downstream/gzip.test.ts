import { gunzipSync, constants as zlib } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createGzipSink } from "../../lib/downstream/gzip.ts";
import { createStreamSink, type StreamSink } from "../../lib/downstream/stream-sink.ts";
import { HEAD } from "../../lib/wire/gzip.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

/** A frame with one update, as fan-out sends it: the same object to all. Every sixth is much like it. */
let sequence = 1_000;
function update(): Uint8Array {
  const price = 1 + ((sequence * 37) % 400) / 100;
  const name = String.fromCharCode(97 + (sequence % 6)).repeat(9) + NAMES[sequence % 6];
  return bytes(
    `event: OddsChanged\nid: k3v9x2ma:${++sequence}\ndata: {"matchId":7,"name":"${name}","suspended":false,"selections":[{"id":"home","name":"Ostrel United","price":${price}},{"id":"away","name":"Cassaly Town","price":3.15}]}\n\n`,
  );
}

const NAMES = [
  "Match result",
  "Over/under 2.5",
  "Next goal",
  "Both score",
  "Corners",
  "First card",
];

const COMMENT = bytes(`:${" ".repeat(253)}\n\n`);

/** A stream that keeps what it is sent, and has been read as far as a test says. */
function createStream() {
  const blocks: Uint8Array[] = [];
  const stream: StreamSink & { bufferedBytes: number; stuck: boolean; closed: boolean } = {
    body: new ReadableStream(),
    bufferedBytes: 0,
    stuck: false,
    closed: false,
    send(frame) {
      if (typeof frame === "string") throw new TypeError("A block is bytes");
      blocks.push(frame);
      if (stream.stuck) stream.bufferedBytes += frame.length;
      return stream.bufferedBytes === 0;
    },
    close() {
      stream.closed = true;
    },
  };
  const sink = createGzipSink(stream);
  return {
    stream,
    sink,
    blocks,
    /** What its client has read by now. */
    text: () =>
      gunzipSync(Buffer.concat(blocks), { finishFlush: zlib.Z_SYNC_FLUSH }).toString("utf8"),
    /** The last block. */
    last: () => blocks.at(-1) as Uint8Array,
  };
}

type Client = ReturnType<typeof createStream>;

function sendAll(clients: readonly Client[], frame: Uint8Array): void {
  for (const { sink } of clients) sink.send(frame, 1);
}

describe("a compressed stream", () => {
  test("begins as gzip, and can be read after each frame", () => {
    const client = createStream();
    expect(client.blocks).toEqual([HEAD]);
    let text = "";
    for (let i = 0; i < 50; i++) {
      const frame = update();
      client.sink.send(frame, 1);
      text += Buffer.from(frame).toString();
      expect(client.text()).toBe(text);
    }
  });

  test("takes a seventh of the bytes, with one update at a time", () => {
    const client = createStream();
    const frames = Array.from({ length: 100 }, update);
    for (const frame of frames) client.sink.send(frame, 1);
    const size = Buffer.concat(client.blocks).length;
    expect(size).toBeLessThan(Buffer.concat(frames).length / 7);
  });

  test("ends as gzip does, with a checksum over all that it held", () => {
    const client = createStream();
    client.sink.send(COMMENT);
    const frames = Array.from({ length: 5 }, update);
    for (const frame of frames) client.sink.send(frame, 1);
    client.sink.send(COMMENT); // padding, because something was said
    client.sink.close();
    expect(client.stream.closed).toBe(true);
    expect(
      gunzipSync(Buffer.concat(client.blocks)).equals(Buffer.concat([COMMENT, ...frames])),
    ).toBe(true);
  });

  test("is a response's body", async () => {
    const sink = createGzipSink(createStreamSink(expect.unreachable));
    sink.send("data: é\n\n", 1);
    sink.close();
    const body = Buffer.from(await new Response(sink.body).arrayBuffer());
    expect(gunzipSync(body).toString()).toBe("data: é\n\n");
  });

  test("of frames larger than a window can be read, too", () => {
    const [a, b] = [createStream(), createStream()];
    const text = "x".repeat(40_000);
    for (const i of [1, 2, 3]) sendAll([a, b], bytes(`data: ${i}${text}\n\n`));
    sendAll([a], bytes("data: last\n\n"));
    expect(a.text()).toBe(
      `${[1, 2, 3].map((i) => `data: ${i}${text}\n\n`).join("")}data: last\n\n`,
    );
    expect(a.blocks[1]).toBe(b.blocks[1]);
  });
});

describe("many streams", () => {
  test("are sent the same block, however they began", () => {
    const clients = Array.from({ length: 200 }, (_, i) => {
      const client = createStream();
      client.sink.send(bytes(`retry: ${i}\n\n`));
      client.sink.send(bytes(`data: opening of ${"x".repeat(i)}\n\n`), 1);
      return client;
    });
    for (let i = 0; i < 40; i++) sendAll(clients, update());
    const frame = update();
    sendAll(clients, frame);
    expect(new Set(clients.map((client) => client.last())).size).toBe(1);
    expect(clients[0]?.last().length).toBeLessThan(frame.length / 6);
  });

  test("are not held up by who comes: it shares the block as soon as it has a window", () => {
    const clients = Array.from({ length: 20 }, createStream);
    for (let i = 0; i < 60; i++) sendAll(clients, update());
    const before = Math.max(...(clients[0]?.blocks.slice(-6) ?? []).map(({ length }) => length));
    const newcomer = createStream();
    newcomer.sink.send(bytes("data: {}\n\n"), 1);
    for (let i = 0; i < 6; i++) {
      sendAll([newcomer, ...clients], update()); // the newest first, as fan-out does
      expect(new Set(clients.map((client) => client.last())).size).toBe(1);
      expect(clients[0]?.last().length).toBeLessThanOrEqual(before + 2);
    }
    for (let i = 0; i < 60; i++) sendAll([newcomer, ...clients], update());
    expect(newcomer.last()).toBe(clients[0]?.last());
  });

  test("have at most a dozen encodings made of a frame, whatever they were told before", () => {
    const clients = Array.from({ length: 300 }, createStream);
    for (let round = 0; round < 10; round++) {
      // Groups of two that overlap, as of connections with topics at several rates.
      for (let i = 0; i + 1 < clients.length; i += 2) sendAll(clients.slice(i, i + 2), update());
      sendAll(clients, update());
      expect(new Set(clients.map((client) => client.last())).size).toBeLessThanOrEqual(13);
    }
    const [client] = clients;
    expect(client?.text().match(/^id: /gm)).toHaveLength(20);
  });

  test("are each read as they were sent, whatever is sent to whom", () => {
    const action = fc.oneof(
      // To some of them, in any order: one after the other is a cohort.
      { weight: 6, arbitrary: fc.shuffledSubarray([0, 1, 2, 3, 4], { minLength: 1 }) },
      { weight: 2, arbitrary: fc.constantFrom("own", "comment", "opening", "large") },
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(action, fc.nat(4)), { maxLength: 120 }), (actions) => {
        const clients = Array.from({ length: 5 }, createStream);
        const sent = clients.map(() => [] as Uint8Array[]);
        const send = (i: number, frame: Uint8Array, messages: number) => {
          clients[i]?.sink.send(frame, messages);
          sent[i]?.push(frame);
        };
        for (const [what, who] of actions) {
          if (typeof what !== "string") {
            const frame = update();
            for (const i of what) send(i, frame, 1);
          } else if (what === "own") send(who, update(), 0);
          else if (what === "comment") clients[who]?.sink.send(COMMENT);
          else if (what === "opening") send(who, Buffer.concat([update(), update()]), 2);
          else send(who, bytes(`data: ${"[1,2,3],".repeat(1_500)}\n\n`), 1);
        }
        for (const [i, client] of clients.entries()) {
          client.sink.close();
          const text = gunzipSync(Buffer.concat(client.blocks)).toString();
          const comment = Buffer.from(COMMENT).toString();
          expect(text.replaceAll(comment, "")).toBe(Buffer.concat(sent[i] ?? []).toString());
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe("a comment", () => {
  test("stands as it is on a stream that has nothing else to say", () => {
    const client = createStream();
    for (let i = 0; i < 3; i++) client.sink.send(COMMENT);
    expect(client.text()).toBe(Buffer.from(COMMENT).toString().repeat(3));
    expect(client.last().length).toBeGreaterThanOrEqual(COMMENT.length);
  });

  test("is padding without text, and not in the way, on one that has", () => {
    const clients = [createStream(), createStream()];
    const [padded] = clients;
    for (let i = 0; i < 40; i++) sendAll(clients, update());
    const text = padded?.text();
    padded?.sink.send(COMMENT);
    expect(padded?.text()).toBe(text);
    expect(padded?.last().length).toBeGreaterThanOrEqual(COMMENT.length);
    sendAll(clients, update());
    expect(clients[0]?.last()).toBe(clients[1]?.last());
  });

  test("is heard at every other time at least", () => {
    const client = createStream();
    client.sink.send(update(), 1);
    client.sink.send(COMMENT);
    const before = client.text();
    client.sink.send(COMMENT);
    expect(client.text().length).toBe(before.length + COMMENT.length);
  });
});

describe("what waits", () => {
  test("is counted as text, however small it is on the wire", () => {
    const client = createStream();
    sendAll([client], update()); // a first one, that a later one can refer to
    client.stream.stuck = true;
    const frames = Array.from({ length: 10 }, update);
    let text = 0;
    for (const frame of frames) {
      expect(client.sink.send(frame, 1)).toBe(false);
      text += frame.length;
      expect(client.sink.bufferedBytes).toBe(text);
    }
    expect(client.stream.bufferedBytes).toBeLessThan(text / 3);
  });

  test("shrinks as the client reads", () => {
    const client = createStream();
    client.stream.stuck = true;
    for (let i = 0; i < 10; i++) sendAll([client], update());
    const all = client.sink.bufferedBytes;
    client.stream.bufferedBytes /= 2;
    expect(client.sink.bufferedBytes).toBe(Math.ceil(all / 2));
    client.stream.bufferedBytes /= 2;
    const frame = update();
    client.sink.send(frame, 1);
    expect(client.sink.bufferedBytes).toBe(Math.ceil(all / 4 + frame.length));
    client.stream.bufferedBytes = 0;
    expect(client.sink.bufferedBytes).toBe(0);
    client.stream.stuck = false;
    expect(client.sink.send(update(), 1)).toBe(true);
    expect(client.sink.bufferedBytes).toBe(0);
  });
});
