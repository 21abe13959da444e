import { gunzipSync } from "node:zlib";
import { EventSource } from "eventsource";
import { createParser } from "eventsource-parser";
import { expect, onTestFinished } from "vitest";
import { demoConfig } from "../../app/demo/config.ts";
import { createInbox } from "../support/inbox.ts";
import { startRelay } from "../support/spawned-relay.ts";
import { openSse } from "../support/sse-client.ts";
import { run, sequences } from "./reading.ts";
import { HEARTBEAT_MS, type StagedTest } from "./stage.ts";

const COMMENT = `:${" ".repeat(253)}\n\n`;

/** PROTOCOL.md, section 4: compressed streams. */
export function compression(test: StagedTest): void {
  test("gzip is for who accepts it, and others get plain text", async ({ relay }) => {
    const url = `${relay.url}/sse?topic=match/12`;
    const expected = {
      gzip: "gzip",
      "gzip, deflate, br": "gzip",
      "gzip;q=0": undefined,
      br: undefined,
    };
    for (const [encodings, encoding] of Object.entries(expected)) {
      const { headers, comments } = await openSse(url, { encodings });
      expect(headers["content-encoding"]).toBe(encoding);
      expect(headers["content-type"]).toMatch(/^text\/event-stream/);
      expect(headers.vary?.toLowerCase()).toContain("accept-encoding");
      expect(await comments.next()).toMatch(/^ {252}$/);
    }
    expect((await openSse(url)).headers["content-encoding"]).toBeUndefined();
  });

  test("a compressed stream says the same, as soon as a plain one", async ({ relay, origin }) => {
    const url = `${relay.url}/sse?topic=match/17`;
    const plain = await openSse(url);
    await plain.opening();
    const clients = [];
    for (let i = 0; i < 5; i++) {
      // One more each time, so that those who share blocks have begun at different times.
      const client = await openSse(url, { encodings: "gzip" });
      await client.opening();
      expect(client.text().startsWith(COMMENT)).toBe(true);
      clients.push(client);
      for (const count of [1, 1, 10, 1]) {
        await origin.publish(17, count);
        const events = await plain.events.take(count);
        for (const { events: compressed } of clients) {
          expect(await compressed.take(count)).toEqual(events);
        }
      }
    }
  });

  test("fetch and EventSource read it", async ({ relay, origin }) => {
    const url = `${relay.url}/sse?topic=match/18`;
    const ending = new AbortController();
    onTestFinished(() => ending.abort());
    const response = await fetch(url, { signal: ending.signal });
    expect(response.headers.get("content-encoding")).toBe("gzip");
    const fetched = createInbox<number>();
    void read(response, (data) => fetched.push(data));

    let encoding: string | null = null;
    const source = new EventSource(url, {
      async fetch(input, init) {
        const reply = await fetch(input, init as RequestInit); // theirs is a subset of it
        encoding = reply.headers.get("content-encoding");
        return reply;
      },
    });
    onTestFinished(() => source.close());
    const seen = createInbox<number>();
    source.addEventListener("OddsChanged", ({ data }) => seen.push(JSON.parse(data).sequence));
    await new Promise((resolve) => source.addEventListener("keryx.subscribed", resolve));
    expect(encoding).toBe("gzip");
    await fetched.until((sequence) => sequence === 0);
    await seen.take(seen.waiting.length); // of the opening

    for (const count of [1, 1, 20, 1]) {
      const published = await origin.publish(18, count);
      expect(await seen.take(count)).toEqual(run(published));
      expect(await fetched.take(count)).toEqual(run(published));
    }
  });

  test("Last-Event-ID brings what was missed", async ({ relay, origin }) => {
    const url = `${relay.url}/sse?topic=match/14`;
    const before = await openSse(url, { encodings: "gzip" });
    await before.opening();
    const { first } = await origin.publish(14, 1);
    await before.events.next();
    before.close();
    const witness = await openSse(url);
    await witness.opening();
    const { last } = await origin.publish(14, 50);
    await witness.events.take(50);
    const after = await openSse(url, { encodings: "gzip", lastEventId: before.lastId() });
    expect(sequences(await after.opening())).toEqual(run({ first: first + 1, last }));
  });

  test("a stream with nothing to say is heard, and one that speaks goes on", async ({
    relay,
    puppet,
  }) => {
    const client = await openSse(`${relay.url}/sse?topic=note/compressed`, { encodings: "gzip" });
    await client.opening();
    await client.comments.take(4);
    for (let i = 0; i < 5; i++) {
      puppet.push("Note", `[{"id":"compressed","i":${i}}]`);
      expect(JSON.parse((await client.events.next()).data)).toEqual({ id: "compressed", i });
      await new Promise((resolve) => setTimeout(resolve, HEARTBEAT_MS / 2));
    }
    await client.comments.next();
  });

  test("updates take less than a quarter of their bytes, one by one; the stream ends as gzip does", async ({
    runtime,
    origin,
  }) => {
    // Of its own, for its heartbeats: no padding comes in between.
    const relay = await startRelay(runtime, demoConfig(origin.hub));
    onTestFinished(() => void relay.program.kill());
    const client = await openSse(`${relay.url}/sse?topic=match/1`, { encodings: "gzip" });
    await client.opening();
    const before = { wire: client.wire().length, text: client.text().length };
    for (let i = 0; i < 30; i++) {
      await origin.publish(1, 1);
      await client.events.next();
    }
    const wire = client.wire().length - before.wire;
    expect(wire).toBeLessThan((client.text().length - before.text) / 4);

    const stopped = relay.program.stop();
    await client.ended;
    const text = gunzipSync(client.wire()).toString(); // throws unless it is whole
    expect(text).toBe(client.text());
    expect(text).toMatch(/event: keryx\.drain\nretry: \d+\n.*\n\n$/);
    await stopped;
  });

  test("it can be turned off", async ({ runtime, origin }) => {
    const config = demoConfig(origin.hub);
    const relay = await startRelay(runtime, { ...config, sse: { compression: "off" } });
    onTestFinished(() => void relay.program.kill());
    const client = await openSse(`${relay.url}/sse?topic=match/1`, { encodings: "gzip" });
    expect(client.headers["content-encoding"]).toBeUndefined();
    await client.opening();
  });
}

/** Tells the sequence of each publication, and 0 for the end of the opening. */
async function read(response: Response, tell: (sequence: number) => void): Promise<void> {
  const parser = createParser({
    onEvent({ event, data }) {
      if (event === "keryx.subscribed") tell(0);
      if (event === "OddsChanged") tell(JSON.parse(data).sequence);
    },
  });
  const decoder = new TextDecoder();
  try {
    for await (const chunk of response.body ?? []) {
      parser.feed(decoder.decode(chunk, { stream: true }));
    }
  } catch {} // the test has ended
}
