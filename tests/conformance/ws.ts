import { describe, expect } from "vitest";
import { readMetric } from "../support/metrics.ts";
import { type Message, openWs } from "../support/ws-client.ts";
import { FLOOD_BYTES, flood, run, sequences, streamOf } from "./reading.ts";
import type { StagedTest } from "./stage.ts";

/** PROTOCOL.md, sections 3, 6 and 7. */
export function ws(test: StagedTest): void {
  test("a newcomer gets the state, and then what comes", async ({ relay, origin }) => {
    const client = await openWs(`${relay.url}/ws`);
    expect(await client.subscribe("match/7")).toEqual([
      {
        type: "reset",
        topic: "match/7",
        reason: "new",
        snapshot: expect.objectContaining({ matchId: 7 }),
      },
      {
        type: "subscribed",
        topic: "match/7",
        position: expect.stringMatching(/^[a-z0-9]+:\d+$/),
        recovered: false,
        state: "live",
      },
    ]);
    const { first, last } = await origin.publish(7, 30);
    const publications = await client.messages.take(30);
    expect(sequences(publications)).toEqual(run({ first, last }));
    expect(publications[0]).toEqual({
      type: "publication",
      topic: "match/7",
      position: expect.stringMatching(/^[a-z0-9]+:\d+$/),
      event: "OddsChanged",
      data: expect.objectContaining({ matchId: 7, marketId: "1x2" }),
    });
  });

  test("each topic of a subscribe has a position of its own", async ({ relay, origin }) => {
    const before = await openWs(`${relay.url}/ws`);
    const [, subscribed] = await before.subscribe("match/8");
    await before.subscribe("match/9");
    const since = String(subscribed?.position);
    const published = await origin.publish(8, 50);
    await before.messages.take(50);
    const after = await openWs(`${relay.url}/ws`);
    const all = await after.subscribe({ topic: "match/8", since }, "match/9", {
      topic: "note/ws",
      since: "garbage",
    });
    const of = (name: string) => all.filter(({ topic }) => topic === name);
    expect(sequences(of("match/8"))).toEqual(run(published));
    expect(of("match/8").at(-1)).toMatchObject({ type: "subscribed", recovered: true });
    expect(of("match/9").at(0)).toMatchObject({ type: "reset", reason: "new" });
    expect(of("match/9").at(-1)).toMatchObject({ type: "subscribed", recovered: false });
    expect(of("note/ws").at(0)).toMatchObject({ type: "reset", reason: "invalid" });
  });

  test("what is subscribed already is opened anew", async ({ relay, puppet }) => {
    const client = await openWs(`${relay.url}/ws`);
    await client.subscribe("note/again");
    puppet.push("Note", '[{"id":"again","i":1}]');
    const { position } = await client.messages.next();
    puppet.push("Note", '[{"id":"again","i":2}]');
    await client.messages.next();
    const again = await client.subscribe({ topic: "note/again", since: String(position) });
    expect(again).toMatchObject([
      { type: "publication", data: { i: 2 } },
      { type: "subscribed", recovered: true },
    ]);
    puppet.push("Note", '[{"id":"again","i":3}]');
    puppet.push("Note", '[{"id":"again","i":4}]');
    expect(await client.messages.take(2)).toMatchObject([{ data: { i: 3 } }, { data: { i: 4 } }]);
  });

  test("nothing comes after an unsubscribe", async ({ relay, puppet }) => {
    const client = await openWs(`${relay.url}/ws`);
    await client.subscribe("note/kept", "note/left");
    client.send({ type: "unsubscribe", id: 1, topics: ["note/left"] });
    expect(await client.messages.next()).toEqual({
      type: "unsubscribed",
      topic: "note/left",
      reason: "requested",
    });
    puppet.push("Note", '[{"id":"left"}]');
    puppet.push("Note", '[{"id":"kept"}]');
    expect(await client.messages.next()).toMatchObject({ topic: "note/kept" });
    client.send({ type: "unsubscribe", id: 2, topics: ["note/kept", "note/left"] });
    expect(await client.messages.next()).toEqual({
      type: "error",
      code: "not_subscribed",
      message: expect.any(String),
      id: 2,
      topic: "note/left",
    });
    puppet.push("Note", '[{"id":"kept"}]'); // nothing of the refused message was done
    expect(await client.messages.next()).toMatchObject({ topic: "note/kept" });
  });

  test("a message stands on one line, however the origin wrote it", async ({ relay, puppet }) => {
    const client = await openWs(`${relay.url}/ws`);
    await client.subscribe("note/line");
    puppet.push("Note", '[{\n\r"id":"line",\r\n "price":1.10}\n]');
    expect(await client.messages.next()).toMatchObject({ data: { id: "line", price: 1.1 } });
    expect(client.frames.at(-1)).toContain('"price":1.10}');
  });

  test("a stream of the hub gives its items, and its end", async ({ relay, puppet }) => {
    const client = await openWs(`${relay.url}/ws`);
    await client.subscribe("lines/ws");
    const { invocationId } = await streamOf(puppet, "ws");
    puppet.send(`{"type":2,"invocationId":"${invocationId}","item":[1,"two"]}`);
    expect(await client.messages.next()).toMatchObject({ event: "Lines", data: [1, "two"] });
    puppet.send(`{"type":3,"invocationId":"${invocationId}","error":"Rain"}`);
    expect(await client.messages.next()).toEqual({
      type: "unsubscribed",
      topic: "lines/ws",
      reason: "ended",
      error: "Rain",
    });
  });

  test("a topic that the origin refuses is ended with its text", async ({ relay }) => {
    const client = await openWs(`${relay.url}/ws`);
    client.send({ type: "subscribe", topics: ["note/refused"] });
    expect(await client.messages.next()).toEqual({
      type: "unsubscribed",
      topic: "note/refused",
      reason: "rejected",
      error: "No refused for you",
    });
  });

  test("a ping is answered with its id, and heartbeats come unasked", async ({ relay }) => {
    const client = await openWs(`${relay.url}/ws`);
    for (const id of ["a".repeat(64), 7, undefined]) {
      client.send({ type: "ping", id });
      expect(await client.messages.next()).toEqual({ type: "pong", ...(id && { id }) });
    }
    const beat = { type: "heartbeat" };
    expect(await client.heartbeats.take(3)).toEqual([beat, beat, beat]);
  });

  test("unknown fields are ignored, and many messages share a frame", async ({ relay, origin }) => {
    const client = await openWs(`${relay.url}/ws`);
    client.send({ type: "subscribe", topics: [{ topic: "match/10", extra: 1 }], future: true });
    await client.messages.until(({ type }) => type === "subscribed");
    const before = client.frames.length;
    await origin.publish(10, 500);
    await client.messages.take(500);
    expect(client.frames.length - before).toBeLessThan(500);
  });

  describe("a message that is refused", () => {
    const invalid = { code: "invalid_message" };
    const refused: [name: string, message: unknown, expected: Partial<Message>][] = [
      ["null", "null", invalid],
      ["a number", "7", invalid],
      ["an array", "[]", invalid],
      ["no type", { id: 1 }, { ...invalid, id: 1, message: /type/ }],
      ["an unknown type", { type: "publish", id: 2 }, { ...invalid, id: 2, message: /type/ }],
      ["no topics", { type: "subscribe", id: 3 }, { ...invalid, id: 3, message: /topics/ }],
      ["an empty list", { type: "subscribe", topics: [] }, { ...invalid, message: /topics/ }],
      ["an empty name", { type: "subscribe", topics: [""] }, { code: "invalid_topic", topic: "" }],
      [
        "a number for a topic",
        { type: "subscribe", topics: ["match/1", 7] },
        { ...invalid, message: /topics\.1/ },
      ],
      [
        "101 topics",
        { type: "subscribe", topics: names(101), id: "many" },
        { ...invalid, id: "many", message: /topics/ },
      ],
      [
        "a position that is not text",
        { type: "subscribe", topics: [{ topic: "match/1", since: 7 }] },
        { ...invalid, message: /topics\.0/ },
      ],
      ["an id that is an object", { type: "ping", id: {} }, { ...invalid, message: /id/ }],
      ["an id that is too long", { type: "ping", id: "x".repeat(65) }, invalid],
      [
        "a topic that nobody declares",
        { type: "subscribe", topics: ["nope/1"], id: 4 },
        { code: "unknown_topic", id: 4, topic: "nope/1" },
      ],
      [
        "a path that climbs",
        { type: "subscribe", topics: ["match/../../x"] },
        { code: "invalid_topic", topic: "match/../../x" },
      ],
      [
        "a value out of range",
        { type: "subscribe", topics: ["match/1000"] },
        { code: "invalid_topic", topic: "match/1000", message: /id/ },
      ],
      [
        "a second spelling of a number",
        { type: "subscribe", topics: ["match/1e2"] },
        { code: "invalid_topic", topic: "match/1e2" },
      ],
    ];

    test.for(refused)("is answered and forgotten: %s", async ([, message, expected], { relay }) => {
      const client = await openWs(`${relay.url}/ws`);
      client.send(typeof message === "string" ? message : JSON.stringify(message));
      const { message: text, ...error } = await client.messages.next();
      const { message: pattern = /./, ...fields } = expected;
      expect(error).toEqual({ type: "error", ...fields });
      expect(text).toMatch(pattern as RegExp); // where the table gives one
      client.send({ type: "ping" });
      expect(await client.messages.next()).toEqual({ type: "pong" });
    });

    test("leaves nothing of itself behind", async ({ relay, puppet }) => {
      const client = await openWs(`${relay.url}/ws`);
      client.send({ type: "subscribe", id: 1, topics: ["note/half", "nope"] });
      expect(await client.messages.next()).toMatchObject({ code: "unknown_topic", id: 1 });
      client.send({ type: "unsubscribe", id: 2, topics: ["note/half"] });
      expect(await client.messages.next()).toMatchObject({ code: "not_subscribed", id: 2 });
      const witness = await openWs(`${relay.url}/ws`);
      await witness.subscribe("note/half");
      puppet.push("Note", '[{"id":"half"}]');
      await witness.messages.next();
      client.send({ type: "ping" });
      expect(await client.messages.next()).toEqual({ type: "pong" });
    });

    test("may be one topic too many, of ten thousand", async ({ relay }) => {
      const client = await openWs(`${relay.url}/ws`);
      await client.subscribe(...names(100));
      for (let id = 100; id < 10_000; id += 100) {
        client.send({ type: "subscribe", id, topics: names(100, id) });
      }
      for (let id = 100; id < 10_000; id += 100) {
        const error = { type: "error", code: "too_many_topics", id };
        expect(await client.messages.next()).toMatchObject(error);
      }
    });
  });

  describe("a frame that ends the connection", () => {
    const fatal: [name: string, frame: string | Uint8Array, code: number, reason: string][] = [
      ["bytes", new Uint8Array([1, 2, 3]), 1003, "Binary frames are not part of this protocol"],
      ["33 KiB", " ".repeat(33 * 1024), 1009, "Message is larger than 32768 bytes"],
      ["10 MB", "x".repeat(10_000_000), 1009, "Message is larger than 32768 bytes"],
      [
        "10,000 topics at once",
        JSON.stringify({ type: "subscribe", topics: names(10_000) }),
        1009,
        "Message is larger than 32768 bytes",
      ],
      ["half of a JSON", '{"type":"ping"', 4400, "Cannot parse message"],
      ["two messages", '{"type":"ping"}\n{"type":"ping"}', 4400, "Cannot parse message"],
      ["nothing", "", 4400, "Cannot parse message"],
    ];

    test.for(fatal)("%s", async ([, frame, code, reason], { relay, puppet }) => {
      const witness = await openWs(`${relay.url}/ws`);
      await witness.subscribe("note/witness");
      const client = await openWs(`${relay.url}/ws`);
      await client.subscribe("note/witness");
      client.send(frame);
      expect(await client.closed).toEqual({ code, reason });
      if (code === 4400) {
        const error = { type: "error", code: "invalid_message" };
        expect(await client.messages.next()).toMatchObject(error);
      }
      expect(client.messages.waiting).toEqual([]);
      puppet.push("Note", '[{"id":"witness"}]');
      expect(await witness.messages.next()).toMatchObject({ data: { id: "witness" } });
    });
  });

  test("who does not read is cut off, and nobody else waits", { timeout: 30_000 }, async ({
    relay,
    puppet,
  }) => {
    const stuck = await openWs(`${relay.url}/ws`);
    const reader = await openWs(`${relay.url}/ws`);
    for (const client of [stuck, reader]) await client.subscribe("note/torrent");
    stuck.pause();
    await flood(puppet, "torrent", reader.messages);
    expect(await readMetric(relay.url, "keryx_slow_disconnects_total")).toBeGreaterThan(0);
    stuck.resume();
    expect(await stuck.closed).toEqual({ code: 4508, reason: "Too slow" });
    const bytes = stuck.frames.reduce((sum, frame) => sum + frame.length, 0);
    expect(bytes).toBeLessThan(FLOOD_BYTES);
  });
}

function names(count: number, from = 0): string[] {
  return Array.from({ length: count }, (_, i) => `note/n${from + i}`);
}
