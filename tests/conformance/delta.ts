import { expect, onTestFinished } from "vitest";
import { WebSocket } from "ws";
import { createBases } from "../../lib/client/delta.ts";
import { createFeed } from "../../lib/client/feed.ts";
import { decode } from "../../lib/client/message.ts";
import { ask } from "../support/http.ts";
import { createInbox } from "../support/inbox.ts";
import { openSse } from "../support/sse-client.ts";
import { openWs, type WsClient } from "../support/ws-client.ts";
import { run, sequences } from "./reading.ts";
import type { StagedTest } from "./stage.ts";

/** PROTOCOL.md, section 8. */
export function delta(test: StagedTest): void {
  test("the same publications come in less than 40 % of the bytes", async ({ relay, origin }) => {
    const plain = await openWs(`${relay.url}/ws`);
    const socket = await openWs(`${relay.url}/ws?delta=splice`);
    const stream = await openSse(`${relay.url}/sse?topic=match/13&delta=splice`);
    await plain.subscribe("match/13");
    await socket.subscribe("match/13");
    await stream.events.until(({ data }) => data.includes('"subscribed"'));
    const published = await origin.publish(13, 20);

    const whole = await plain.messages.take(20);
    await socket.messages.take(20);
    const events = await stream.events.take(20);
    expect(sequences(whole)).toEqual(run(published));
    const lines = linesOf(socket);
    expect(read(lines).slice(-20)).toEqual(whole.map(brief));
    expect(events.map(({ data }) => data)).toEqual(lines.slice(-20));
    expect(events.map(({ id }) => id)).toEqual(whole.map(({ position }) => position));
    // The first may be whole: it has none before that newcomers know.
    const bytes = (all: readonly string[]) => Buffer.byteLength(all.slice(-19).join());
    expect(bytes(lines) / bytes(linesOf(plain))).toBeLessThan(0.4);
  });

  test("who comes back gets what it missed in deltas, too", async ({ relay, origin }) => {
    const before = await openWs(`${relay.url}/ws?delta=splice`);
    const subscribed = (await before.subscribe("match/14")).at(-1);
    const since = String(subscribed?.position);
    const known = linesOf(before);
    const published = await origin.publish(14, 4);
    await before.messages.take(4);
    const after = await openWs(`${relay.url}/ws?delta=splice`);
    const missed = await after.subscribe({ topic: "match/14", since });
    expect(missed.at(-1)).toMatchObject({ type: "subscribed", recovered: true });
    const lines = linesOf(after).slice(0, 4);
    for (const line of lines.slice(1)) expect(line).toMatch(/^\[/);
    const data = read([...known, ...lines]).map(([, data]) => ({ data }));
    expect(sequences(data.slice(-4))).toEqual(run(published));
  });

  test("a newcomer has the base of what comes next", async ({ relay, origin }) => {
    const early = await openWs(`${relay.url}/ws`);
    await early.subscribe("match/15");
    await origin.publish(15, 1);
    await early.messages.next();
    const late = await openWs(`${relay.url}/ws?delta=splice`);
    await late.subscribe("match/15");
    const { last } = await origin.publish(15, 1);
    await late.messages.next();
    const lines = linesOf(late);
    expect(lines.at(-1)).toMatch(/^\[/);
    expect(read(lines).at(-1)).toMatchObject([
      "OddsChanged",
      { sequence: last },
      expect.anything(),
    ]);
  });

  test("the client library shows the same as without", async ({ relay, origin }) => {
    const plain = await openWs(`${relay.url}/ws`);
    await plain.subscribe("match/16");
    const inboxes = (["websocket", "sse"] as const).map((transport) => {
      const feed = createFeed(relay.url, { transport, WebSocket, delta: true });
      onTestFinished(() => feed.close());
      const updates = createInbox<unknown>();
      feed.topic("match/16").on((update) => updates.push(update));
      return updates;
    });
    for (const updates of inboxes)
      expect(await updates.take(2)).toMatchObject([{ type: "reset" }, {}]);
    await origin.publish(16, 30);
    const whole = await plain.messages.take(30);
    for (const updates of inboxes) expect(await updates.take(30)).toEqual(whole);
  });

  test("of a kind that is not known is refused", async ({ relay }) => {
    const reply = await ask(relay.url, "/sse?topic=match/1&delta=zip");
    const message = 'Query parameter "delta" must be splice, not "zip"';
    expect([reply.status, reply.json()]).toEqual([
      400,
      { error: { code: "invalid_request", message } },
    ]);
    await expect(openWs(`${relay.url}/ws?delta=`)).rejects.toThrow("400");
  });
}

function linesOf({ frames }: WsClient): string[] {
  return frames.flatMap((frame) => frame.split("\n")).filter((line) => !line.includes("heartbeat"));
}

type Brief = readonly [event: unknown, data: unknown, position: unknown];

function brief(message: { readonly [field: string]: unknown }): Brief {
  return [message.event, message.data, message.position];
}

/** What a client makes of publications and deltas. */
function read(lines: readonly string[]): Brief[] {
  const bases = createBases();
  return lines.map((line) => {
    const message = decode(line);
    if (message.type === "publication") bases.keep(message);
    const item = message.type === "delta" ? bases.apply(message.delta) : message;
    return brief({ ...item });
  });
}
