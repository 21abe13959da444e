import { EventSource } from "eventsource";
import type { EventSourceMessage } from "eventsource-parser";
import { expect, onTestFinished } from "vitest";
import { createInbox } from "../support/inbox.ts";
import type { Origin, Published } from "../support/origins.ts";
import { openSse } from "../support/sse-client.ts";
import { openWire } from "../support/tcp-proxy.ts";
import { brief, FLOOD_BYTES, flood, run, sequences, streamOf } from "./reading.ts";
import { HEARTBEAT_MS, NOTE_HISTORY, type StagedTest } from "./stage.ts";

/** PROTOCOL.md, section 4. */
export function sse(test: StagedTest): void {
  test("a stream begins at once, whatever the origin does", async ({ relay }) => {
    const client = await openSse(`${relay.url}/sse?topic=note/silent`);
    expect(client.headers["content-type"]).toMatch(/^text\/event-stream/);
    expect(client.headers["cache-control"]).toContain("no-cache");
    expect(client.headers["x-accel-buffering"]).toBe("no");
    expect(await client.retries.next()).toBeGreaterThanOrEqual(1_000);
    expect(client.text()).toMatch(/^: {253}\n\nretry: \d+\n\n$/);
    // The join is never answered: the topic opens as stale when the wait is over.
    expect((await client.opening()).map(brief)).toEqual([
      ["keryx.reset", { topic: "note/silent", reason: "new" }],
      ["keryx.subscribed", { topic: "note/silent", recovered: false, state: "stale" }],
    ]);
  });

  test("a newcomer gets the snapshot, the newest of each key, and what comes", async ({
    relay,
    origin,
  }) => {
    const first = await openSse(`${relay.url}/sse?topic=match/1`);
    const [reset, subscribed] = await first.opening();
    const snapshot = { matchId: 1, home: expect.anything(), markets: expect.anything() };
    expect(brief(reset)).toEqual([
      "keryx.reset",
      { topic: "match/1", reason: "new", snapshot: expect.objectContaining(snapshot) },
    ]);
    expect(reset?.id).toBeUndefined();
    expect(brief(subscribed)).toEqual([
      "keryx.subscribed",
      { topic: "match/1", recovered: false, state: "live" },
    ]);
    expect(subscribed?.id).toMatch(/^[a-z0-9]+:\d+$/);

    const published = await origin.publish(1, 3);
    const events = await first.events.take(3);
    expect(sequences(events)).toEqual(run(published));
    expect(events.map(({ id }) => id)).toEqual(new Array(3).fill(expect.stringMatching(/:\d+$/)));

    const second = await openSse(`${relay.url}/sse?topic=match/1`);
    const [, ...state] = await second.opening();
    expect(state.map(({ event }) => event)).toEqual(["OddsChanged", "keryx.subscribed"]);
    expect(sequences(state)).toEqual([published.last]);
    expect(state[0]?.id).toBeUndefined(); // cut here, it would have to begin anew
  });

  test("Last-Event-ID brings exactly the 50 that were missed, then what comes", async ({
    relay,
    origin,
  }) => {
    const url = `${relay.url}/sse?topic=match/2`;
    const witness = await openSse(url);
    await witness.opening();
    const before = await openSse(url);
    await before.opening();
    const { first } = await origin.publish(2, 1);
    expect(sequences([await before.events.next()])).toEqual([first]);
    before.close();
    await origin.publish(2, 50);
    await witness.events.take(51); // so the relay has them all

    // A position in the URL is the one of the first connection: the header is newer.
    const after = await openSse(`${url}&since=garbage`, { lastEventId: before.lastId() });
    const missed = await after.opening();
    expect(sequences(missed)).toEqual(run({ first: first + 1, last: first + 50 }));
    expect(brief(missed.at(-1))).toEqual([
      "keryx.subscribed",
      { topic: "match/2", recovered: true, state: "live" },
    ]);
    expect(missed.at(-1)?.id).toBe(witness.lastId());
    await origin.publish(2, 1);
    expect(sequences([await after.events.next()])).toEqual([first + 51]);
  });

  test("an EventSource whose wire is cut misses nothing", async ({ relay, origin }) => {
    const wire = await openWire(relay.url);
    const source = new EventSource(`${wire.url}/sse?topic=match/3`);
    onTestFinished(() => source.close());
    const seen = createInbox<number>();
    const opened = createInbox<unknown>();
    source.addEventListener("OddsChanged", ({ data }) => seen.push(JSON.parse(data).sequence));
    source.addEventListener("keryx.subscribed", ({ data }) => opened.push(JSON.parse(data)));
    expect(await opened.next()).toMatchObject({ recovered: false });
    const { first } = await origin.publish(3, 10);
    await seen.take(10);
    wire.cut();
    await origin.publish(3, 50);
    expect(await opened.next()).toMatchObject({ recovered: true });
    const { last } = await origin.publish(3, 1);
    expect(await seen.take(51)).toEqual(run({ first: first + 10, last }));
    expect(wire.connections).toBe(2);
  });

  test("who loses the connection again and again still gets every one, once", async ({
    relay,
    origin,
  }) => {
    const url = `${relay.url}/sse?topic=match/19`;
    let client = await openSse(url);
    await client.opening();
    const all: number[] = [];
    const publishing = publishSlowly(origin, 19, 40);
    let last: number | undefined;
    void publishing.then((published) => {
      last = published.last;
    });
    for (let lives = 1; last === undefined || all.at(-1) !== last; lives++) {
      const events = [await client.events.next(), ...client.events.waiting];
      all.push(...sequences(events));
      const lastEventId = events.findLast(({ id }) => id !== undefined)?.id ?? "";
      client.close();
      client = await openSse(url, { lastEventId });
      expect(lives).toBeLessThan(1_000);
    }
    expect(all).toEqual(run(await publishing));
  });

  test("who comes in the middle of it sees no hole between the state and what comes", async ({
    relay,
    origin,
  }) => {
    const url = `${relay.url}/sse?topic=match/20`;
    const first = await openSse(url);
    await first.opening();
    const publishing = publishSlowly(origin, 20, 40);
    const clients = [];
    while (clients.length < 20) {
      await first.events.next();
      clients.push(await openSse(url));
    }
    const { last } = await publishing;
    for (const { events } of clients) {
      const seen = await events.until((event) => sequences([event])[0] === last);
      const [from = 0] = sequences(seen);
      expect(sequences(seen)).toEqual(run({ first: from, last }));
    }
  });

  test("whose position is no good is told why, and gets the state", async ({ relay, puppet }) => {
    const url = `${relay.url}/sse?topic=note/evicted`;
    const witness = await openSse(url);
    await witness.opening();
    const [epoch] = witness.lastId().split(":");
    for (let i = 0; i <= NOTE_HISTORY; i++) puppet.push("Note", `[{"id":"evicted","i":${i}}]`);
    const [oldest] = await witness.events.take(NOTE_HISTORY + 1);
    const newest = ["Note", { id: "evicted", i: NOTE_HISTORY }];

    const reasons = {
      garbage: "invalid",
      "zzzzzzzz:1": "epoch",
      [`${epoch}:999999999`]: "invalid",
    };
    for (const [position, reason] of Object.entries(reasons)) {
      const client = await openSse(url, { lastEventId: position });
      expect((await client.opening()).map(brief)).toEqual([
        ["keryx.reset", { topic: "note/evicted", reason }],
        newest,
        ["keryx.subscribed", { topic: "note/evicted", recovered: false, state: "live" }],
      ]);
    }
    // The history reaches back to the oldest, and one more puts that out of reach.
    const recovered = await openSse(url, { lastEventId: oldest?.id ?? "" });
    expect(await recovered.opening()).toHaveLength(NOTE_HISTORY + 1);
    puppet.push("Note", '[{"id":"evicted","i":"last"}]');
    await witness.events.next();
    const evicted = await openSse(url, { lastEventId: oldest?.id ?? "" });
    expect(brief((await evicted.opening())[0])).toEqual([
      "keryx.reset",
      { topic: "note/evicted", reason: "evicted" },
    ]);
  });

  test("several topics open together, and one id resumes them all", async ({ relay, origin }) => {
    const url = `${relay.url}/sse?topic=match/4&topic=match/5`;
    const before = await openSse(url);
    const opening = await before.opening(2);
    expect(opening.map(({ event }) => event)).toEqual([
      "keryx.reset",
      "keryx.reset",
      "keryx.subscribed",
      "keryx.subscribed",
    ]);
    expect(opening.map(({ id }) => id !== undefined)).toEqual([false, false, true, true]);
    const { first } = await origin.publish(4, 1);
    await before.events.next();
    before.close();

    const witness = await openSse(url);
    await witness.opening(2);
    for (const match of [5, 4, 5, 4]) await origin.publish(match, 1);
    await witness.events.take(4);
    const after = await openSse(url, { lastEventId: before.lastId() });
    const missed = await after.opening(2);
    expect(sequences(missed)).toEqual(run({ first: first + 1, last: first + 4 }));
    expect(missed.slice(-2).map(brief)).toEqual([
      ["keryx.subscribed", { topic: "match/4", recovered: true, state: "live" }],
      ["keryx.subscribed", { topic: "match/5", recovered: true, state: "live" }],
    ]);

    const each = await openSse(`${url}&since=${before.lastId()}&since=`);
    const openings = (await each.opening(2)).map(brief);
    expect(openings).toContainEqual(["keryx.reset", expect.objectContaining({ topic: "match/5" })]);
    expect(openings).not.toContainEqual([
      "keryx.reset",
      expect.objectContaining({ topic: "match/4" }),
    ]);
    const recovered = { topic: "match/4", recovered: true, state: "live" };
    expect(openings).toContainEqual(["keryx.subscribed", recovered]);
    const anew = { topic: "match/5", recovered: false, state: "live" };
    expect(openings).toContainEqual(["keryx.subscribed", anew]);
  });

  test("envelope=true sends messages as on /ws", async ({ relay, origin }) => {
    const client = await openSse(`${relay.url}/sse?topic=match/6&envelope=true`);
    const isEnd = ({ data }: EventSourceMessage) => JSON.parse(data).type === "subscribed";
    const [reset, subscribed] = await client.events.until(isEnd);
    expect(JSON.parse(reset?.data ?? "")).toMatchObject({ type: "reset", reason: "new" });
    expect(subscribed?.event).toBeUndefined();
    expect(JSON.parse(subscribed?.data ?? "")).toEqual({
      type: "subscribed",
      topic: "match/6",
      position: subscribed?.id,
      recovered: false,
      state: "live",
    });
    const { first } = await origin.publish(6, 1);
    const { event, id, data } = await client.events.next();
    expect(event).toBeUndefined();
    expect(JSON.parse(data)).toMatchObject({
      type: "publication",
      topic: "match/6",
      position: id,
      event: "OddsChanged",
      data: { matchId: 6, sequence: first },
    });
  });

  test("a quiet stream has a comment of 256 bytes at every heartbeat", async ({ relay }) => {
    const client = await openSse(`${relay.url}/sse?topic=bell`);
    await client.opening();
    const [opening] = await client.comments.take(1);
    const since = Date.now();
    const beats = await client.comments.take(3);
    expect(Date.now() - since).toBeGreaterThan(2 * HEARTBEAT_MS - 200); // the first may come soon
    for (const comment of [opening, ...beats])
      expect(`:${comment}\n\n`.length).toBeGreaterThan(254);
    expect(client.text()).toMatch(/: {253}\n\n$/);
  });

  test("data of several lines and any letters means what the origin wrote", async ({
    relay,
    puppet,
  }) => {
    const client = await openSse(`${relay.url}/sse?topic=note/lines`);
    await client.opening();
    const value = { id: "lines", text: "κῆρυξ 🏟 data: \n\nid: 7\n\u2028" };
    for (const lineBreak of ["\n", "\r\n", "\r", "\n\n"]) {
      const text = JSON.stringify(value, undefined, 2).replaceAll("\n", lineBreak);
      puppet.push("Note", `[ ${text} ]`);
      expect(brief(await client.events.next())).toEqual(["Note", value]);
    }
    puppet.push("Note", '[{"id":"lines","price":1.10,"big":12345678901234567890}]');
    const data = '{"id":"lines","price":1.10,"big":12345678901234567890}';
    expect(await client.events.next()).toMatchObject({ data });
  });

  test("data is the argument, or the array of them when there is not one", async ({
    relay,
    puppet,
  }) => {
    const client = await openSse(`${relay.url}/sse?topic=note/pair&topic=bell`);
    await client.opening(2);
    puppet.push("Note", '[{"id":"pair"}]');
    puppet.push("Pair", '["pair", {"a":1}]');
    puppet.push("Bell", "[]");
    expect((await client.events.take(3)).map(brief)).toEqual([
      ["Note", { id: "pair" }],
      ["Pair", ["pair", { a: 1 }]],
      ["Bell", []],
    ]);
  });

  test("a stream of the hub gives its items, and its end", async ({ relay, puppet }) => {
    const client = await openSse(`${relay.url}/sse?topic=lines/sse`);
    await client.opening();
    const { invocationId } = await streamOf(puppet, "sse");
    puppet.send(`{"type":2,"invocationId":"${invocationId}","item":[1,"two"]}`);
    expect(brief(await client.events.next())).toEqual(["Lines", [1, "two"]]);
    puppet.send(`{"type":3,"invocationId":"${invocationId}"}`);
    expect(brief(await client.events.next())).toEqual([
      "keryx.unsubscribed",
      { topic: "lines/sse", reason: "ended" },
    ]);
  });

  test("a topic that the origin refuses is ended with its text, and no other", async ({
    relay,
    puppet,
  }) => {
    const client = await openSse(`${relay.url}/sse?topic=note/refused&topic=note/taken`);
    const opening = (await client.opening()).map(brief);
    expect(opening).toContainEqual([
      "keryx.unsubscribed",
      { topic: "note/refused", reason: "rejected", error: "No refused for you" },
    ]);
    puppet.push("Note", '[{"id":"taken"}]');
    expect(brief(await client.events.next())).toEqual(["Note", { id: "taken" }]);
  });

  test("who does not read is cut off, and nobody else waits", { timeout: 30_000 }, async ({
    relay,
    puppet,
  }) => {
    const url = `${relay.url}/sse?topic=note/flood`;
    const [stuck, reader] = [await openSse(url), await openSse(url)];
    await Promise.all([stuck.opening(), reader.opening()]);
    stuck.pause();
    await flood(puppet, "flood", reader.events);
    const came = stuck.text().length;
    stuck.resume();
    await stuck.ended;
    // What had left for it arrives; the relay has kept no more than its bound.
    expect(stuck.text().length - came).toBeLessThan(FLOOD_BYTES);
    expect(reader.text().length).toBeGreaterThan(FLOOD_BYTES);
  });
}

/** Publishes ten at a time, and the next ten when the origin has answered. */
async function publishSlowly(origin: Origin, match: number, times: number): Promise<Published> {
  const { first } = await origin.publish(match, 10);
  let last = first + 9;
  for (let i = 1; i < times; i++) last = (await origin.publish(match, 10)).last;
  return { first, last };
}
